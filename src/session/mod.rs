//! One connection as a state machine: bytes in, requests to the responder, bytes out.
//!
//! Owns the unread input, the format, the pending output, and the moments from which the connection's
//! time limits count. Has no knowledge of sockets or clocks.
//!
//! Entry points: [`Session::activate`] to serve it, [`Session::deliver`] for deliveries from the
//! service, [`Session::timeout`] for time limits, [`Session::close`] to end it.

mod deadline;
mod deliver;
mod feed;
mod requests;
mod scratch;

use std::io;

use crate::limits::{OUTPUT_RUN_LEN_MAX, OUTPUT_WAITING_LEN_MAX, TIGHT_RUN_LEN_MAX};
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
    /// Input of an incomplete request, or of requests that have no room in the output yet.
    rest: Box<[u8]>,
    output: Output,
    /// The pending updates of a watcher.
    feed: Option<Box<Feed>>,
    /// What the session waits for, before it runs another request.
    awaited: Option<Awaited>,
    /// Why the session ends, once that is known.
    close_reason: Option<CloseReason>,
    /// Whether it was given up before its peer was sent everything.
    cut_off: bool,
    /// Whether the peer must show a token.
    needs_token: bool,
    /// When the last request was complete; at first, and for a stranger, when the connection was
    /// accepted.
    completed_at: Moment,
    /// When the first byte of an incomplete request arrived.
    request_since: Option<Moment>,
    /// When the peer last took pending bytes, or the output last became pending.
    progress_at: Moment,
    /// Since when the output has contained an answer, and not only a watcher's updates. An answer comes
    /// after the updates in the output, and no updates are added before it is sent.
    answer_since: Option<Moment>,
    /// Since when output has been pending without interruption.
    pending_since: Moment,
    /// When an update was last moved into a watcher's output.
    updated_at: Moment,
}

/// What a session may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of pending output at which it runs no further request.
    pub run_len_max: usize,
    /// Bytes of deltas that a watcher may have pending; it lags on more.
    pub feed_len_max: usize,
}

impl Bounds {
    /// As long as all sessions together keep little.
    pub const USUAL: Bounds = Bounds {
        run_len_max: OUTPUT_RUN_LEN_MAX,
        feed_len_max: OUTPUT_WAITING_LEN_MAX,
    };
    /// While all sessions together keep much: whoever does not read gets nothing more.
    pub const TIGHT: Bounds = Bounds {
        run_len_max: TIGHT_RUN_LEN_MAX,
        feed_len_max: 0,
    };
}

/// What a session waits for that has run a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The reply to a parked request.
    Reply {
        /// When the wait ends, if it is limited.
        until: Option<Moment>,
    },
    /// The next part of an answer.
    Part,
    /// That the blocked request, which is unread, can be tried again.
    Wake {
        /// When the wait ends.
        until: Moment,
    },
}

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests are run.
    Open,
    /// No further request is run; pending output is sent, then the write side is shut down.
    Ending {
        /// Whether the peer has ended its input, so that there is nothing to drain.
        drained: bool,
    },
    /// The write side is shut down; input is dropped until the peer ends it or the limit passes.
    Lingering {
        /// When the write side was shut down.
        since: Moment,
    },
    /// The socket can be closed.
    Done,
}

/// Why a session stops running requests for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The next request is not complete.
    Starved,
    /// A request is parked, or a watcher needs its snapshot: a delivery resumes the session.
    Parked,
    /// The peer must read pending output first.
    Full,
    /// The request must be tried again in the next turn.
    Retry,
    /// The turn's budget of requests is used up.
    Budget,
    /// The session runs no further request.
    Ended,
}

impl Session {
    /// A session with `peer`, accepted at `now` on a socket with this protocol.
    #[must_use]
    pub fn new(peer: Peer, protocol: &Protocol, now: Moment) -> Self {
        Session {
            peer,
            codec: Codec::new(protocol),
            phase: Phase::Open,
            rest: Box::default(),
            output: Output::default(),
            feed: None,
            awaited: None,
            close_reason: None,
            cut_off: false,
            needs_token: false,
            completed_at: now,
            request_since: None,
            progress_at: now,
            answer_since: None,
            pending_since: now,
            updated_at: now,
        }
    }

    /// A session that sends `refusal` and ends.
    #[must_use]
    pub fn refused(peer: Peer, protocol: &Protocol, refusal: Refusal, now: Moment) -> Self {
        let mut session = Session::new(peer, protocol, now);
        session.answer(&Reply::Refused(refusal), now);
        session
    }

    /// Requires the peer to show a token in bounded time.
    pub fn require_token(&mut self) {
        self.needs_token = true;
    }

    /// Whether the peer must show a token and has not yet.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        self.needs_token && self.peer.token.is_none()
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The other end, for the service to update.
    pub fn peer_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// The phase of the session.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The pending output.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Why the session ends; [`CloseReason::Peer`] if there is no other reason.
    #[must_use]
    pub fn close_reason(&self) -> CloseReason {
        self.close_reason.unwrap_or(CloseReason::Peer)
    }

    /// Since when it has kept memory for pending output or input, if it does.
    #[must_use]
    pub fn kept_since(&self) -> Option<Moment> {
        let input_since = self.request_since.unwrap_or(self.completed_at);
        let keeps_input = self.kept_len() > 0 && self.phase != Phase::Done;
        self.pending_since().or(keeps_input.then_some(input_since))
    }

    /// Since when output has been pending, if any is.
    #[must_use]
    pub fn pending_since(&self) -> Option<Moment> {
        self.has_pending().then_some(self.pending_since)
    }

    /// The pending bytes that other sessions may share.
    pub fn shared(&self) -> impl Iterator<Item = &Bytes> {
        let lines = self.feed.iter().flat_map(|feed| feed.lines());
        self.output.shared().chain(lines)
    }

    /// Bytes in memory for this session between turns, without shared ones.
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.rest.len() + self.output.own_capacity() + self.codec.collected_len()
    }

    /// Whether its request is blocked, and would be tried again when it is woken.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self.awaited, Some(Awaited::Wake { .. }))
    }

    /// Lets a blocked request be tried again when the session is next served.
    pub fn wake(&mut self) {
        if self.is_blocked() {
            self.awaited = None;
        }
    }

    /// Whether the answer to a request is to be delivered, or a part of it.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.awaited.is_some()
    }

    /// Whether the session needs the next part of an answer or of a snapshot, and has nothing else
    /// pending.
    #[must_use]
    pub fn wants_part(&self) -> bool {
        let lacks = |feed: &Feed| !feed.is_complete() && feed.is_empty();
        let needs = self.awaited == Some(Awaited::Part) || self.feed.as_deref().is_some_and(lacks);
        self.phase == Phase::Open && needs && self.output.is_empty()
    }

    fn needs_snapshot(&self) -> bool {
        let needs = |feed: &Feed| feed.needs_snapshot();
        self.phase == Phase::Open && self.feed.as_deref().is_some_and(needs)
    }

    /// Runs no further request; the pending output is sent, and then the connection closes.
    pub fn close(&mut self, reason: CloseReason) {
        self.end(Phase::Ending { drained: false }, reason);
    }

    /// As [`close`](Self::close), for a peer that has ended its input, so that there is nothing to
    /// drain.
    pub fn close_drained(&mut self, reason: CloseReason) {
        self.end(Phase::Ending { drained: true }, reason);
    }

    fn end(&mut self, ending: Phase, reason: CloseReason) {
        match self.phase {
            Phase::Open | Phase::Ending { .. } => {
                self.codec.close_stream(&mut self.output);
                self.phase = ending;
                self.feed = None;
                self.awaited = None;
                self.close_reason.get_or_insert(reason);
            }
            Phase::Lingering { .. } if ending == (Phase::Ending { drained: true }) => {
                self.phase = Phase::Done;
            }
            Phase::Lingering { .. } | Phase::Done => {}
        }
    }

    /// Whether the session was given up before its peer was sent everything, so that its connection must
    /// be reset: what has arrived must not look whole, and nothing may be kept for the peer.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Ends the session at once, and drops its pending output.
    pub fn abandon(&mut self, reason: CloseReason) {
        self.cut_off = self.has_pending() || reason == CloseReason::Failed;
        self.phase = Phase::Done;
        self.output = Output::default();
        self.feed = None;
        self.awaited = None;
        self.close_reason.get_or_insert(reason);
    }

    /// Continues the close once everything is sent. `true` when the write side must be shut down now,
    /// because the peer may still send: the session lingers. A drained session is done.
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

    /// Keeps unused input for the next turn.
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
            if self.output.is_empty() {
                self.answer_since = None;
            }
            if let Err(error) = result {
                return (sent, Err(error));
            }
        }
    }

    fn has_pending(&self) -> bool {
        let waits = |feed: &Feed| !feed.is_empty();
        !self.output.is_empty() || self.feed.as_deref().is_some_and(waits)
    }

    /// Updates the times for output that becomes pending now. `pending` says whether any was before.
    fn mark_pending(&mut self, pending: bool, now: Moment) {
        if self.output.is_empty() {
            self.progress_at = now;
        }
        if !pending {
            self.pending_since = now;
        }
    }
}
