//! The interface between the engine and the service.

use std::time::Duration;

use crate::message::{
    Change, CloseReason, Delivery, LinkCommand, LinkEvent, Peer, Reply, Responder, StateStats,
    Tally, Work,
};
use crate::time::{Moment, WallTime};

/// One turn of the loop, as a handler sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Registry time, which stands still during the turn.
    pub now: Moment,
    /// The registry time at which what this turn hears counts as heard. It is later than `now` where
    /// input may have waited in a pause: who was live before the pause is still live, and lives on
    /// from the end of the pause.
    pub heard: Moment,
    /// The loop's time, which follows the monotonic clock also where registry time stands still. The
    /// time limits of sessions and of parked requests are moments of it.
    pub uptime: Moment,
    /// The wall clock, to be shown to people.
    pub wall: WallTime,
    /// The loop's counters before this turn.
    pub meter: Meter,
}

/// The loop's counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Time since the start.
    pub uptime: Duration,
    /// Open connections that `--max-connections` counts: without refused ones that linger.
    pub connections: usize,
    /// Connections that were refused at the limit of `--max-connections`.
    pub refused_connections: u64,
    /// Connections that were closed, by reason.
    pub connections_closed: Tally<CloseReason, { CloseReason::ALL.len() }>,
    /// Bytes read from all connections.
    pub bytes_in: u64,
    /// Bytes written to all connections.
    pub bytes_out: u64,
    /// Time for which the process was paused.
    pub stalled: Duration,
    /// The longest turn.
    pub worst_turn: Duration,
    /// Answers in datagrams that were dropped because the socket could not take them at once.
    pub datagrams_dropped: u64,
    /// Answers in datagrams that were held back, or cut to nothing, because too many were alike.
    pub datagrams_rate_limited: u64,
    /// Log lines that were dropped.
    pub log_lines_dropped: u64,
    /// How the state file is.
    pub state: StateStats,
}

/// Hands a delivery to the session with this key. Returns whether the session lagged on this
/// delivery and therefore needs a snapshot.
pub type Deliver<'a> = dyn FnMut(usize, &Delivery) -> bool + 'a;

/// The service as the engine sees it. Requests arrive through [`Responder`].
///
/// The service hands over all deliveries to sessions at the end of a turn, through `deliver`.
pub trait Handler: Responder {
    /// What is left of this turn's work, which the service shares with the sessions. The engine
    /// charges what it does itself, and the [work](crate::message::Verb::work) of each request.
    fn work(&mut self) -> &mut Work;

    /// Whether peers must show a token before other requests. The engine then bounds the connections
    /// that have shown none, in number and in time.
    fn requires_token(&self) -> bool {
        false
    }

    /// Whether the peer has shown a token that is not valid any more. The engine asks after the tokens have
    /// changed, and closes the connections of such peers.
    fn has_lost_access(&self, _peer: &Peer) -> bool {
        false
    }

    /// Starts a turn, and does the bounded work that no request triggers.
    fn begin_turn(&mut self, turn: Turn);

    /// The reply to this peer's parked request, whose time limit has passed.
    fn expire(&mut self, peer: &mut Peer) -> Reply;

    /// This peer's blocked request has waited for its time, and is tried again.
    fn end_wait(&mut self, _peer: &Peer) {}

    /// The engine stops: from now on no request may wait.
    fn stop(&mut self) {}

    /// Whether nothing is left to do after [`stop`](Self::stop) for which a process should live on a little.
    fn is_finished(&self) -> bool {
        true
    }

    /// The session needs the next part of its answer or snapshot. The service delivers it as soon as the
    /// budgets allow.
    fn wants_part(&mut self, session: usize);

    /// The session needs a keepalive. The service delivers it at the end of this turn.
    fn wants_keepalive(&mut self, session: usize);

    /// The peer's session runs no further request. The service removes what it holds, ends its
    /// watching, and delivers nothing more to it.
    fn leave(&mut self, peer: &mut Peer);

    /// Ends a turn and makes all deliveries, with parts of long answers of about `room` bytes together.
    fn end_turn(&mut self, room: usize, deliver: &mut Deliver<'_>);

    /// The changes of this turn.
    fn changes(&self) -> &[Change];

    /// Takes the service's next command to one of its links. A service without links has none.
    fn next_link_command(&mut self) -> Option<LinkCommand> {
        None
    }

    /// Reports an event of the link with this number.
    fn link_event(&mut self, _link: usize, _event: LinkEvent<'_>) {}

    /// When the service has something to do without a request, in the loop's time.
    fn next_due(&self) -> Option<Moment> {
        None
    }

    /// Whether the next turn has work that no request triggers.
    fn has_backlog(&self) -> bool;

    /// Whether the loop must wake once a tick, because a registration can expire.
    fn needs_ticks(&self) -> bool;
}
