//! Serves one session: reads, runs and writes until it would block or its budget is used up.

use std::io;

use log::debug;

use super::Network;
use super::ready::Reason;
use super::saving::{Batch, Gates};
use super::sessions::Connection;
use super::transport::Read;
use crate::limits::{
    BYTES_A_UNIT, FIRST_SHARE_WORK_MAX, INPUT_BYTES_A_UNIT, PART_LEN_MAX, SHARE_WORK_MAX,
    TURN_READ_LEN_MAX, TURN_WRITE_LEN_MAX, VISIT_WORK,
};
use crate::message::CloseReason;
use crate::service::Handler;
use crate::session::{Active, Bounds, Pause, Phase, Scratch, Session};
use crate::time::Moment;

/// The result of one visit to a session.
pub(super) enum Visit {
    /// No work until an event, a timer or a delivery.
    Blocked,
    /// More work is possible without an event.
    Again,
    /// The service has put the request off to the next turn.
    PutOff,
    /// The connection has failed.
    Failed,
}

/// The remaining budget of a visit, and the bytes it has moved.
pub(super) struct Budget {
    /// Units of work that are left, and that were granted.
    share: usize,
    granted: usize,
    /// What the session may keep.
    bounds: Bounds,
    read_len: usize,
    write_len: usize,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Budget {
    /// The budget of a visit to a session that has work to do for this reason, and may keep so much.
    pub(super) fn new(reason: Reason, bounds: Bounds) -> Self {
        let share = match reason {
            Reason::Woken => FIRST_SHARE_WORK_MAX,
            Reason::Unfinished | Reason::PutOff => SHARE_WORK_MAX,
        };
        Budget {
            share,
            granted: share,
            bounds,
            read_len: TURN_READ_LEN_MAX,
            write_len: TURN_WRITE_LEN_MAX,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The work of the visit: its requests, and its system calls.
    pub(super) fn visit_work(&self) -> usize {
        let input = (self.bytes_in / INPUT_BYTES_A_UNIT) as usize;
        let requests = (self.granted - self.share).max(input);
        requests + VISIT_WORK + ((self.bytes_in + self.bytes_out) / BYTES_A_UNIT) as usize
    }

    /// Whether no request was run in this visit.
    fn is_unused(&self) -> bool {
        self.share == self.granted
    }

    /// Whether the session had more to do than one that asks now and then, or that reads a long answer
    /// part by part.
    pub(super) fn was_heavy(&self) -> bool {
        let moved_len = self.bytes_in + self.bytes_out;
        self.granted - self.share >= FIRST_SHARE_WORK_MAX || moved_len > 2 * PART_LEN_MAX as u64
    }
}

/// The result of a read within the budget.
enum Input {
    Bytes(usize),
    End,
    Nothing,
    Budget,
    Failed,
}

impl<T> Connection<T> {
    /// Does all possible work for the session, within the budget of a visit.
    pub(super) fn serve<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        scratch: &mut Scratch,
        responder: &mut impl Handler,
        now: Moment,
        budget: &mut Budget,
        gates: Gates,
    ) -> Visit {
        let visit = match self.session.phase() {
            Phase::Done => Visit::Blocked,
            Phase::Lingering { .. } => self.drain(network, scratch, budget),
            Phase::Open | Phase::Ending { .. } => {
                self.exchange(network, scratch, responder, now, budget, gates)
            }
        };
        if let Visit::Failed = visit {
            self.session.abandon(CloseReason::Failed);
        }
        visit
    }

    /// Runs the requests that have arrived and sends the replies.
    fn exchange<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        scratch: &mut Scratch,
        responder: &mut impl Handler,
        now: Moment,
        budget: &mut Budget,
        gates: Gates,
    ) -> Visit {
        let Connection {
            transport,
            session,
            stopping,
            gate,
            ..
        } = self;
        let stopping = *stopping;
        let has_waited = gate.take_if(|batch| !gates.are_shut_for(*batch)).is_some();
        let mut wire = Wire {
            transport,
            network,
            budget,
            gate,
        };
        let changes = responder.changes().len();
        let mut active = session.activate(scratch);
        // A watcher's pending updates are sent before the reply to its next request.
        active.refill(now);
        // What has waited is not made to wait again for what the next requests change.
        if has_waited && let Err(visit) = wire.send(&mut active, now) {
            return visit;
        }
        loop {
            if stopping {
                // A short read leaves the rest to an event, which nobody waits for any more.
                wire.transport.expect_input();
            }
            let Budget { share, bounds, .. } = wire.budget;
            let pause = active.run(responder, now, bounds.run_len_max, share);
            let waiting = active.session().output().len();
            wire.wait_for(gates.after(&responder.changes()[changes..]));
            if let Err(visit) = wire.send(&mut active, now) {
                return visit;
            }
            match pause {
                Pause::Ended => return wire.close_when_sent(active.session(), now),
                Pause::Parked if stopping && !active.session().is_parked() => {
                    active.session().close(CloseReason::Stopped);
                }
                Pause::Parked => return wire.look_for_failure(&mut active, now),
                Pause::Retry => return Visit::PutOff,
                Pause::Budget => return Visit::Again,
                Pause::Full if active.session().output().len() < waiting => {}
                Pause::Full => return wire.wait_for_room(),
                Pause::Starved => match wire.read(&mut active) {
                    Input::Bytes(n) => active.received(n),
                    Input::End => match active.finish(responder, now) {
                        Pause::Retry => return Visit::PutOff,
                        Pause::Parked if !stopping => return Visit::Blocked,
                        _ => {}
                    },
                    Input::Nothing if stopping => {
                        // All replies are sent and no request has arrived since.
                        let idle = wire.budget.is_unused() && active.session().output().is_empty();
                        if idle {
                            active.session().close_drained(CloseReason::Stopped);
                        } else {
                            active.session().close(CloseReason::Stopped);
                        }
                    }
                    Input::Nothing => return Visit::Blocked,
                    Input::Budget => return Visit::Again,
                    Input::Failed => return Visit::Failed,
                },
            }
        }
    }

    /// Drops input until the peer ends it.
    fn drain<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        scratch: &mut Scratch,
        budget: &mut Budget,
    ) -> Visit {
        let mut wire = Wire {
            transport: &mut self.transport,
            network,
            budget,
            gate: &mut self.gate,
        };
        loop {
            match wire.read_into(scratch.sink(), self.session.peer()) {
                Input::Bytes(_) => {}
                Input::End => {
                    self.session.close_drained(CloseReason::Peer);
                    return Visit::Blocked;
                }
                Input::Nothing => return Visit::Blocked,
                Input::Budget => return Visit::Again,
                Input::Failed => return Visit::Failed,
            }
        }
    }
}

/// A session's socket, with the budget of the visit.
struct Wire<'a, N: Network> {
    transport: &'a mut super::transport::Transport<N::Stream>,
    network: &'a mut N,
    budget: &'a mut Budget,
    /// The batch of changes for which the answers wait, if they do.
    gate: &'a mut Option<Batch>,
}

impl<N: Network> Wire<'_, N> {
    /// Lets the answers wait for this batch as well.
    fn wait_for(&mut self, batch: Option<Batch>) {
        *self.gate = batch.or(*self.gate);
    }

    /// Writes pending output, unless it has to wait. `Err` ends the visit.
    fn send(&mut self, active: &mut Active<'_>, now: Moment) -> Result<(), Visit> {
        if !self.transport.is_writable() || self.gate.is_some() {
            return Ok(());
        }
        let Wire {
            transport,
            network,
            budget,
            ..
        } = self;
        let write = |bytes: &[u8]| transport.write(*network, bytes);
        let (sent, result) = active.send(budget.write_len, now, write);
        budget.write_len = budget.write_len.saturating_sub(sent);
        budget.bytes_out += sent as u64;
        match result {
            Ok(()) if active.session().output().is_empty() => Ok(()),
            Ok(()) => Err(Visit::Again),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => {
                let address = active.session().peer().address;
                debug!("{address}: cannot write: {error}");
                Err(Visit::Failed)
            }
        }
    }

    fn read(&mut self, active: &mut Active<'_>) -> Input {
        let peer = *active.session().peer();
        self.read_into(active.room(), &peer)
    }

    fn read_into(&mut self, buffer: &mut [u8], peer: &crate::message::Peer) -> Input {
        if !self.transport.is_readable() {
            return Input::Nothing;
        }
        if self.budget.read_len == 0 {
            return Input::Budget;
        }
        match self.transport.read(self.network, buffer) {
            Read::Bytes(n) => {
                self.budget.read_len = self.budget.read_len.saturating_sub(n);
                self.budget.bytes_in += n as u64;
                Input::Bytes(n)
            }
            Read::End => Input::End,
            Read::Nothing => Input::Nothing,
            Read::Failed(error) => {
                debug!("{}: cannot read: {error}", peer.address);
                Input::Failed
            }
        }
    }

    /// A session that waits for a delivery reads no requests. Where its connection may have failed, it
    /// reads to detect that, so that a dead peer's session does not wait on.
    fn look_for_failure(&mut self, active: &mut Active<'_>, now: Moment) -> Visit {
        while self.transport.is_ended() && !active.room().is_empty() {
            match self.read(active) {
                Input::Bytes(n) => active.received(n),
                Input::Failed => return Visit::Failed,
                // What a blocked request waits for may never come, so its peer counts as gone: unless it
                // waits only until the service is ready, and is answered soon.
                Input::End if active.session().is_blocked() && !active.session().peer().waits => {
                    active.session().close_drained(CloseReason::Peer);
                    return self.close_when_sent(active.session(), now);
                }
                // A peer that has only ended its input still reads the reply.
                Input::End | Input::Nothing => break,
                Input::Budget => return Visit::Again,
            }
        }
        Visit::Blocked
    }

    /// The peer must read pending output first, or may be sent it only later.
    fn wait_for_room(&self) -> Visit {
        if self.transport.is_writable() && self.gate.is_none() {
            Visit::Again
        } else {
            Visit::Blocked
        }
    }

    /// The staged close: shuts down the write side when all pending output is sent.
    fn close_when_sent(&mut self, session: &mut Session, now: Moment) -> Visit {
        if session.shut_when_sent(now) {
            self.network.shut(self.transport.stream());
            return if self.transport.is_readable() {
                Visit::Again
            } else {
                Visit::Blocked
            };
        }
        self.wait_for_room()
    }
}
