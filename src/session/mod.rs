//! One connection as a state machine: bytes in, requests to whoever answers, bytes out.
//!
//! Owns the input that no request has used yet, the format, the answers that wait, and the moments
//! from which the connection's time limits count. Knows no socket and no clock.
//!
//! Its doors: [`Session::activate`] to serve it, [`Session::deliver`] for what the service has for it
//! later, [`Session::timeout`] for the passing of time, [`Session::close`] to end it.

mod deadline;
mod deliver;
mod feed;
mod requests;
mod scratch;

use std::io;

use crate::message::{Bytes, CloseReason, Peer, Refusal, Reply};
use crate::time::Moment;
use crate::wire::output::Output;
use crate::wire::{Codec, Protocol};

pub use deadline::Timeout;
pub use deliver::Delivered;
use feed::Feed;
pub use scratch::{Active, Scratch};

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    codec: Codec,
    phase: Phase,
    /// Input that waits for the rest of its request, or for room in the output.
    rest: Box<[u8]>,
    output: Output,
    /// Of a session that watches.
    feed: Option<Box<Feed>>,
    /// A request waits for its reply.
    parked: Option<Parked>,
    /// Why the session ends, once it does.
    close_reason: Option<CloseReason>,
    /// When the last request was completed; at first, when the connection was accepted.
    completed_at: Moment,
    /// When the first byte came of the request that is not complete.
    request_since: Option<Moment>,
    /// When the peer last took bytes of the answers that wait, or some began to wait.
    progress_at: Moment,
    /// Since when there has always been an answer that waits.
    owes_since: Moment,
    /// When a watcher was last told something.
    told_at: Moment,
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parked {
    /// When the wait ends, if it does.
    until: Option<Moment>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests are run.
    Open,
    /// No further request is run; what waits is sent, then the write side is shut.
    Ending {
        /// Whether the peer has ended its input, so that nothing of it has to be drained.
        drained: bool,
    },
    /// The write side is shut; input is dropped until the peer ends it or time is up.
    Lingering {
        /// When the write side was shut.
        since: Moment,
    },
    /// Over: the socket can be closed.
    Done,
}

/// Why a session runs no further request for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The next request is not complete.
    Starved,
    /// A request waits for its reply, or a watcher for its snapshot: a delivery goes on.
    Parked,
    /// The peer must take answers first.
    Full,
    /// The request is to be tried again in the next turn.
    Retry,
    /// The turn's requests are used up.
    Budget,
    /// The session runs no further request.
    Ended,
}

impl Session {
    /// A session with `peer`, accepted at `now` where this protocol is spoken.
    #[must_use]
    pub fn new(peer: Peer, protocol: Protocol, now: Moment) -> Self {
        Session {
            peer,
            codec: Codec::new(protocol),
            phase: Phase::Open,
            rest: Box::default(),
            output: Output::default(),
            feed: None,
            parked: None,
            close_reason: None,
            completed_at: now,
            request_since: None,
            progress_at: now,
            owes_since: now,
            told_at: now,
        }
    }

    /// A session that is told `refusal` and ends.
    #[must_use]
    pub fn refused(peer: Peer, protocol: Protocol, refusal: Refusal, now: Moment) -> Self {
        let mut session = Session::new(peer, protocol, now);
        session.answer(&Reply::Refused(refusal), now);
        session
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The other end, for the service to note what it learns.
    pub fn peer_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// How far the session has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The answers that wait.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Why the session ends; the peer ended it where nothing else did.
    #[must_use]
    pub fn close_reason(&self) -> CloseReason {
        self.close_reason.unwrap_or(CloseReason::Peer)
    }

    /// Since when the session has owed answers, if it does.
    #[must_use]
    pub fn owes_since(&self) -> Option<Moment> {
        self.owes().then_some(self.owes_since)
    }

    /// The bytes that wait here and may wait elsewhere too.
    pub fn shared(&self) -> impl Iterator<Item = &Bytes> {
        let lines = self.feed.iter().flat_map(|feed| feed.lines());
        self.output.shared().chain(lines)
    }

    /// Bytes kept in memory for this session between turns, shared ones left out.
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.rest.len() + self.output.own_capacity()
    }

    /// Whether a request waits for its reply.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Whether a watcher can take the snapshot that it needs: nothing else waits.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.needs_snapshot() && self.output.is_empty()
    }

    fn needs_snapshot(&self) -> bool {
        let needs = |feed: &Feed| feed.needs_snapshot();
        self.phase == Phase::Open && self.feed.as_deref().is_some_and(needs)
    }

    /// Runs no further request: what waits is sent, and then the connection closes.
    pub fn close(&mut self, reason: CloseReason) {
        self.end(Phase::Ending { drained: false }, reason);
    }

    /// As [`close`](Self::close), where the peer has ended its input, so that nothing has to be
    /// drained.
    pub fn close_drained(&mut self, reason: CloseReason) {
        self.end(Phase::Ending { drained: true }, reason);
    }

    fn end(&mut self, ending: Phase, reason: CloseReason) {
        match self.phase {
            Phase::Open | Phase::Ending { .. } => {
                self.phase = ending;
                self.feed = None;
                self.parked = None;
                self.close_reason.get_or_insert(reason);
            }
            Phase::Lingering { .. } if ending == (Phase::Ending { drained: true }) => {
                self.phase = Phase::Done;
            }
            Phase::Lingering { .. } | Phase::Done => {}
        }
    }

    /// Gives the session up, with all that waits in it.
    pub fn abandon(&mut self, reason: CloseReason) {
        self.phase = Phase::Done;
        self.output = Output::default();
        self.feed = None;
        self.parked = None;
        self.close_reason.get_or_insert(reason);
    }

    /// Whether the write side is to be shut now: everything is sent, but the peer may still send.
    /// The session lingers from then on; one that is drained is over.
    pub fn shut_when_sent(&mut self, now: Moment) -> bool {
        match self.phase {
            Phase::Ending { drained } if self.output.is_empty() => {
                self.phase = if drained {
                    Phase::Done
                } else {
                    Phase::Lingering { since: now }
                };
                !drained
            }
            _ => false,
        }
    }

    /// Keeps input that no request has used for the next turn.
    fn keep(&mut self, rest: &[u8]) {
        if !rest.is_empty() && self.phase == Phase::Open {
            self.rest = rest.into();
        }
    }

    fn send(
        &mut self,
        len_max: usize,
        now: Moment,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> (usize, io::Result<()>) {
        let mut sent = 0;
        loop {
            self.refill(now);
            if self.output.is_empty() || sent >= len_max {
                return (sent, Ok(()));
            }
            let before = self.output.len();
            let result = self.output.write_to(len_max - sent, &mut write);
            let n = before - self.output.len();
            sent += n;
            if n > 0 {
                self.progress_at = now;
            }
            if let Err(error) = result {
                return (sent, Err(error));
            }
        }
    }

    fn owes(&self) -> bool {
        let waits = |feed: &Feed| !feed.is_empty();
        !self.output.is_empty() || self.feed.as_deref().is_some_and(waits)
    }

    /// Notes that something waits from now on. `owed` says whether something did before.
    fn note_waiting(&mut self, owed: bool, now: Moment) {
        if self.output.is_empty() {
            self.progress_at = now;
        }
        if !owed {
            self.owes_since = now;
        }
    }
}
