//! What the engine needs of a service, and what it tells it.

use std::time::Duration;

use crate::message::{
    Change, CloseReason, Delivery, LinkCommand, LinkEvent, Peer, Reply, Responder, Tally,
};
use crate::time::{Moment, WallTime};

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
    /// Connections that were refused, because there were too many.
    pub refused_connections: u64,
    /// Connections that were closed, by reason.
    pub connections_closed: Tally<CloseReason, { CloseReason::ALL.len() }>,
    /// Bytes read from all connections.
    pub bytes_in: u64,
    /// Bytes written to all connections.
    pub bytes_out: u64,
    /// Time in which the service itself stood still.
    pub stalled: Duration,
    /// The longest turn.
    pub worst_turn: Duration,
    /// Lines of the log that were dropped.
    pub log_lines_dropped: u64,
}

/// Hands a delivery to the session with this key. Returns whether the session wants a snapshot now
/// that it did not want before: it lags.
pub type Deliver<'a> = dyn FnMut(usize, &Delivery) -> bool + 'a;

/// What the engine needs of a service. Requests come through [`Responder`].
///
/// What the service has for a session later, whatever it is, goes to `deliver` at the end of a turn,
/// and nowhere else.
pub trait Handler: Responder {
    /// Starts a turn, and does the bounded work that needs no request.
    fn begin_turn(&mut self, turn: Turn);

    /// The answer to the parked request of this peer, whose time is up.
    fn expire(&mut self, peer: &mut Peer) -> Reply;

    /// The session wants a snapshot: one is delivered as soon as the budgets allow.
    fn wants_snapshot(&mut self, session: usize);

    /// The session was told nothing for long: a keepalive is delivered at the end of this turn.
    fn wants_keepalive(&mut self, session: usize);

    /// The peer's session runs no further request: what it held is gone, it watches no more, and
    /// nothing that it waited for is delivered.
    fn leave(&mut self, peer: &mut Peer);

    /// Ends a turn: delivers what it has for the sessions.
    fn end_turn(&mut self, deliver: &mut Deliver<'_>);

    /// What has changed in this turn.
    fn changes(&self) -> &[Change];

    /// What the service asks of the connections that it opens itself, one after the other. It opens
    /// none unless it says so here.
    fn next_link_command(&mut self) -> Option<LinkCommand> {
        None
    }

    /// Something has happened to the link with this number, which the service has opened.
    fn link_event(&mut self, _link: usize, _event: LinkEvent<'_>) {}

    /// Whether the next turn has work that needs no request.
    fn has_backlog(&self) -> bool;

    /// Whether anything ages, so that the loop must wake once a tick.
    fn needs_ticks(&self) -> bool;
}
