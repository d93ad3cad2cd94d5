//! What the client tells who uses it.

use std::fmt;
use std::net::SocketAddr;

use crate::etcd::answers::{Event, KeyValue};
use crate::etcd::failure::Failure;
use crate::etcd::messages::Answer;

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A member of this version was reached, and the [checked key](super::Config::checked_key) has
    /// this value.
    Reached {
        /// The member's address.
        member: SocketAddr,
        /// Its version.
        version: String,
        /// The cluster's revision: all earlier changes were made before.
        revision: u64,
        /// The key's value; `None` where it is absent.
        checked: Option<KeyValue>,
    },
    /// etcd is not what it was: another cluster, or restored from a backup. All revisions that were
    /// seen mean nothing any more.
    OtherHistory,
    /// All keys are told anew.
    LoadBegins,
    /// A key that is there.
    Loaded(KeyValue),
    /// All keys were told, as they were at this revision.
    LoadEnds(u64),
    /// A change. Further ones of the same revision may follow until [`Report::LineEnds`].
    Changed(Event),
    /// All changes to this revision were told.
    LineEnds(u64),
    /// A key or a change could not be read, or is too long, and was left out.
    LeftOut,
    /// The watch goes on from where it was; calls are taken.
    Watching,
    /// The answer to the call.
    Answered(Answer),
    /// A lease was prolonged.
    Prolonged(i64),
    /// etcd does not know this lease: its keys have gone.
    LeaseLost(i64),
    /// The client is away, and tries again after a pause.
    Away(Trouble),
}

impl Report {
    /// Whether the watch has told it, or ends it: what the other links tell may come amid a line.
    pub(super) fn is_of_watch(&self) -> bool {
        !matches!(
            self,
            Report::Answered(_) | Report::Prolonged(_) | Report::LeaseLost(_)
        )
    }
}

/// Why the client is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The member that was asked.
    pub member: SocketAddr,
    /// What was wrong.
    pub cause: Cause,
}

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be reached: why.
    Unreachable(String),
    /// It has ended the connection.
    Ended,
    /// It did not answer in time.
    Late,
    /// The watch was silent, and did not answer when it was probed.
    SilentWatch,
    /// It has canceled the watch: why.
    Canceled(String),
    /// It speaks TLS.
    Tls,
    /// Nothing answers under the path of the gateway.
    NoGateway,
    /// What came is no answer of etcd's: the status, and why.
    Garbled(u16, &'static str),
    /// Its version is too old, or is none.
    Version(String),
    /// It refuses what the client needs.
    Failed(Failure),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd at {}: ", self.member)?;
        match &self.cause {
            Cause::Unreachable(why) => write!(f, "it cannot be reached: {why}"),
            Cause::Ended => f.write_str("it has ended the connection"),
            Cause::Late => f.write_str("it did not answer in time"),
            Cause::SilentWatch => f.write_str(
                "the watch was silent and did not answer a probe; is it stopped, or is there a proxy that buffers?",
            ),
            Cause::Canceled(why) => write!(f, "it has canceled the watch: {why:?}"),
            Cause::Tls => f.write_str("it expects TLS, which cannot be spoken; give its http:// address"),
            Cause::NoGateway => f.write_str(
                "POST under /v3 was answered with 404; it must be started with --enable-grpc-gateway=true",
            ),
            Cause::Garbled(0, reason) => write!(f, "{reason}; is this its client port?"),
            Cause::Garbled(status, reason) => write!(f, "{reason} (status {status})"),
            Cause::Version(version) => write!(f, "version 3.4 or later is needed, and it says {version:?}"),
            Cause::Failed(failure) => write!(f, "{:?} (code {})", failure.message, failure.code),
        }
    }
}
