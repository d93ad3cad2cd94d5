//! What an engine is made of, and what a turn takes and returns.

use std::time::Duration;

use super::Network;
use crate::message::Change;
use crate::time::WallTime;
use crate::wire::Protocol;

/// The bounds of an engine that a user sets.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Milliseconds in which a session must complete a request, if there is a limit.
    pub idle_ms_max: Option<u64>,
    /// The interval between sweeps of expired registrations.
    pub tick: Duration,
    /// The time within which the silent death of a holder's host is noticed.
    pub ttl: Duration,
}

/// The readings of the clocks at the start of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The monotonic clock.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: WallTime,
    /// The longest turn so far.
    pub worst_turn: Duration,
    /// Log lines that were dropped so far.
    pub log_lines_dropped: u64,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a> {
    /// How long to wait for events before the next turn; `None` means without limit.
    pub wait: Option<Duration>,
    /// The changes of the registry, in their order.
    pub changes: &'a [Change],
}

/// The sockets that an engine serves, each with its protocol.
pub struct Sockets<N: Network> {
    /// Listening sockets.
    pub listeners: Vec<(N::Listener, Protocol)>,
    /// Datagram sockets.
    pub datagrams: Vec<(N::Datagram, Protocol)>,
}
