//! A client of etcd, over the JSON that etcd's own gateway speaks in HTTP/1.1.
//!
//! It has no sockets and no clock: it is told the events of its links and the time, and gives
//! commands to its links. It knows keys, values, revisions and leases, and nothing of what they
//! mean.

mod answers;
mod client;
mod elements;
mod failure;
mod http;
mod messages;
mod pauses;

pub use answers::{Event, KeyValue};
pub use client::{Cause, Client, Config, LINKS, Member, Random, Report, Trouble, User};
pub use failure::{Failure, FailureKind};
pub use messages::{Answer, Call, Change, Count, Write, WriteOutcome};
