//! Why a connection was closed.

use std::fmt;

use super::tally::Named;

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer ended its input and was sent all its answers.
    Peer,
    /// The peer sent `quit`, or a frame was answered.
    Done,
    /// The connection failed: it was reset, or the peer's host stopped answering.
    Failed,
    /// No command was completed within `--idle-timeout`.
    Idle,
    /// A command was not complete in time.
    Incomplete,
    /// The peer did not read its answers.
    Unread,
    /// The pending output of all connections together was over its limit.
    Memory,
    /// The peer broke the protocol: it spoke another one, or sent a too long line or a bad frame.
    Protocol,
    /// The peer showed a wrong token, or the one that it showed is no longer in the token file.
    Token,
    /// The peer showed no token in time, where one is required.
    Unauthenticated,
    /// There were too many connections.
    TooMany,
    /// The service stopped.
    Stopped,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl CloseReason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [CloseReason; 12] = [
        CloseReason::Peer,
        CloseReason::Done,
        CloseReason::Failed,
        CloseReason::Idle,
        CloseReason::Incomplete,
        CloseReason::Unread,
        CloseReason::Memory,
        CloseReason::Protocol,
        CloseReason::Token,
        CloseReason::Unauthenticated,
        CloseReason::TooMany,
        CloseReason::Stopped,
    ];
}

const _: () = assert!(
    CloseReason::ALL.len() == CloseReason::Stopped as usize + 1,
    "the list leaves none out"
);

impl Named<{ CloseReason::ALL.len() }> for CloseReason {
    const ALL: [Self; CloseReason::ALL.len()] = CloseReason::ALL;

    fn name(self) -> &'static str {
        match self {
            CloseReason::Peer => "peer",
            CloseReason::Done => "done",
            CloseReason::Failed => "failed",
            CloseReason::Idle => "idle",
            CloseReason::Incomplete => "incomplete",
            CloseReason::Unread => "unread",
            CloseReason::Memory => "memory",
            CloseReason::Protocol => "protocol",
            CloseReason::Token => "token",
            CloseReason::Unauthenticated => "unauthenticated",
            CloseReason::TooMany => "too_many",
            CloseReason::Stopped => "stopped",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}
