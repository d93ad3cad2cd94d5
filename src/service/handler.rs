//! What the connections need of a service, and what they tell it.

use std::net::IpAddr;
use std::time::Duration;

use crate::message::{Change, Refusal, Reply, Request, Update};
use crate::time::{Moment, WallTime};

/// Who asks: one connection, and what the service knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection's key: no other connection has it as long as this one is open.
    pub session: usize,
    /// The address that the connection comes from.
    pub ip: IpAddr,
    /// Whether the connection has shown a token of the service.
    pub authenticated: bool,
    /// Whether the connection has ever held a registration.
    pub holds: bool,
    /// Whether the connection watches.
    pub watches: bool,
}

impl Peer {
    /// The peer on a new connection.
    #[must_use]
    pub fn new(session: usize, ip: IpAddr) -> Self {
        Peer {
            session,
            ip: ip.to_canonical(),
            authenticated: false,
            holds: false,
            watches: false,
        }
    }

    /// Whether something ends with the connection, so that its being there is worth something by
    /// itself.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.holds || self.watches
    }
}

/// One turn of the loop, as a handler sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Registry time, which stands still during the turn.
    pub now: Moment,
    /// The wall clock, to be shown to people.
    pub wall: WallTime,
    /// What the loop has counted up to this turn.
    pub meter: Meter,
}

/// What the loop counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Since the start.
    pub uptime: Duration,
    /// Connections held.
    pub connections: usize,
    /// Connections that were refused, for there were too many.
    pub refused_connections: u64,
    /// Bytes read from all connections.
    pub bytes_in: u64,
    /// Bytes written to all connections.
    pub bytes_out: u64,
    /// Time in which the service itself stood still.
    pub stalled: Duration,
    /// The longest turn.
    pub worst_turn: Duration,
}

/// What the connections need of a service.
pub trait Handler {
    /// Starts a turn, and does the bounded work that needs no request.
    fn begin_turn(&mut self, turn: Turn);

    /// Runs one request in the turn of the last [`begin_turn`](Self::begin_turn).
    ///
    /// `None` means not yet: the request is to be tried again in the next turn.
    fn apply(&mut self, request: &Request<'_>, peer: &mut Peer) -> Option<Reply>;

    /// The answer to a command that is no request.
    fn refuse(&mut self, refusal: Refusal, peer: &Peer) -> Reply;

    /// The peer's connection runs no further command: what it held is gone, and it watches no
    /// more.
    fn leave(&mut self, peer: &mut Peer);

    /// Tells what has changed since the last call: `tell` gets a watching connection and a delta
    /// for it.
    fn publish(&mut self, tell: &mut dyn FnMut(usize, &Update));

    /// The snapshot for a watching connection, as of the last [`publish`](Self::publish). `None`
    /// means not yet, as for [`apply`](Self::apply).
    fn snapshot(&mut self, connection: usize) -> Option<Update>;

    /// What watchers are told to whom nothing was to be told for long.
    fn keepalive(&mut self) -> Update;

    /// What has changed in this turn, so far.
    fn changes(&self) -> &[Change];

    /// Whether the next turn has work that needs no request.
    fn has_backlog(&self) -> bool;

    /// Whether anything ages, so that the loop must wake once a tick.
    fn needs_ticks(&self) -> bool;
}
