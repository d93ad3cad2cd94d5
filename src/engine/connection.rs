//! Serving one connection: read, run, write, until it would block or has had its share.

use std::io;

use log::debug;
use slab::Slab;

use super::{Buffers, Engine, Network};
use crate::limits::{
    OUTPUT_WAITING_LEN_MAX, READ_LEN_MAX, TURN_COMMANDS_MAX, TURN_READ_LEN_MAX, TURN_WRITE_LEN_MAX,
};
use crate::service::Handler;
use crate::session::{Pause, Phase, Session};
use crate::time::Moment;
use crate::time::wheel::{WheelLink, WheelLinks};

/// A connection with its socket and what is known of the socket's readiness.
pub(super) struct Connection<T> {
    pub(super) stream: T,
    pub(super) session: Session,
    /// Something may be read. Set by an event, cleared by what a read says; while reading waits for
    /// something else (output, budget) it stays set, for the edge does not come twice.
    pub(super) readable: bool,
    /// Something may be written. Likewise.
    pub(super) writable: bool,
    /// The end of input or an error is waiting behind what can be read.
    pub(super) ended: bool,
    /// In the ready list.
    queued: bool,
    /// Came when the service was full.
    pub(super) refused: bool,
    /// The service stops: the connection ends when what has arrived is answered.
    pub(super) stopping: bool,
    /// When its timer goes off.
    pub(super) alarm: Option<Moment>,
    timer: WheelLink,
    /// In the list of watchers that are to get the whole state.
    wants_state: bool,
    /// The network was told to look after its peer.
    guarded: bool,
}

impl<T> Connection<T> {
    /// A new connection is tried at once: often its first command has come with it.
    pub(super) fn new(stream: T, session: Session) -> Self {
        Connection {
            stream,
            session,
            readable: true,
            writable: true,
            ended: false,
            queued: false,
            refused: false,
            stopping: false,
            alarm: None,
            timer: WheelLink::default(),
            wants_state: false,
            guarded: false,
        }
    }

    /// Marks the connection as being in the ready list; `true` when it was not.
    pub(super) fn enqueue(&mut self) -> bool {
        !std::mem::replace(&mut self.queued, true)
    }

    /// Marks a connection that wants the whole state as being in the list of those; `true` when it
    /// was not.
    pub(super) fn queue_for_state(&mut self) -> bool {
        self.session.wants_state() && !std::mem::replace(&mut self.wants_state, true)
    }

    /// The connection is taken from the list of those that want the whole state; `true` when it
    /// still does.
    pub(super) fn take_for_state(&mut self) -> bool {
        self.wants_state = false;
        self.session.wants_state()
    }

    pub(super) fn check_invariants(&self, key: usize, idle_ms_max: Option<u64>) {
        let Connection { session, .. } = self;
        assert!(
            session.phase() != Phase::Done,
            "connection {key} is over, but not reaped"
        );
        assert!(
            session.kept_len() <= READ_LEN_MAX + OUTPUT_WAITING_LEN_MAX,
            "connection {key} keeps too much"
        );
        if let Some(due) = session.alarm(idle_ms_max) {
            assert!(
                self.alarm.is_some_and(|alarm| alarm <= due),
                "connection {key} has no timer"
            );
        }
        assert!(
            session.phase() == Phase::Open || !session.peer().stays(),
            "connection {key} is ending, but holds or watches"
        );
        assert!(
            !session.wants_state() || self.wants_state || self.queued,
            "connection {key} waits for a state in vain"
        );
        if !self.queued {
            let waits_for_room = session.owes_since().is_some();
            assert!(
                !(self.writable && waits_for_room),
                "connection {key} could write, but waits for an event"
            );
            let waits = waits_for_room || self.wants_state;
            assert!(
                !self.readable || waits,
                "connection {key} could read, but waits for an event"
            );
        }
    }

    pub(super) fn log_end(&self) {
        debug!("{}: connection closed", self.session.peer().ip);
    }
}

impl<T> WheelLinks for Slab<Connection<T>> {
    fn wheel_link(&mut self, key: u32) -> &mut WheelLink {
        &mut self[key as usize].timer
    }
}

/// The key of a connection in the timer wheel. `--max-connections` keeps keys far below 2^32.
pub(super) fn timer_key(key: usize) -> u32 {
    key as u32
}

/// What one visit to a connection left.
enum Visit {
    /// Nothing to do before an event or a timer.
    Blocked,
    /// More can be done without an event.
    Again,
    /// The connection has failed.
    Failed,
}

impl<N: Network, H: Handler> Engine<N, H> {
    /// Serves the connection `key`, which has been taken from the ready list.
    pub(super) fn serve(&mut self, network: &mut N, key: usize, now: Moment) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.queued = false;
        self.waiting.remove(key, &connection.session);
        let visit = match connection.session.phase() {
            Phase::Done => return,
            Phase::Lingering { .. } => connection.drain(network, &mut self.buffers),
            Phase::Open | Phase::Ending { .. } => {
                connection.exchange(network, &mut self.buffers, &mut self.handler, now)
            }
        };
        if let Visit::Failed = visit {
            connection.session.abandon();
        }
        if connection.session.phase() != Phase::Open {
            // It hears nothing more and holds nothing more, also while its last answers are sent.
            connection.session.leave(&mut self.handler);
        } else if connection.session.peer().holds
            && !std::mem::replace(&mut connection.guarded, true)
        {
            network.guard(&mut connection.stream, self.settings.ttl);
        }
        self.waiting.add(key, &connection.session);
        if connection.queue_for_state() {
            self.wanting.push_back(key);
        }
        if connection.session.phase() == Phase::Done {
            self.over.push(key);
            return;
        }
        if let Visit::Again = visit
            && connection.enqueue()
        {
            self.ready.push_back(key);
        }
        self.arm(key);
    }
}

impl<T> Connection<T> {
    /// Runs the commands that have arrived and sends the answers, within the budgets of a turn.
    fn exchange<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        buffers: &mut Buffers,
        handler: &mut impl Handler,
        now: Moment,
    ) -> Visit {
        let mut len = self.session.unpack(&mut buffers.input, &mut buffers.output);
        // A watcher is told the state before its next command is answered.
        self.session.refill(now);
        let mut budget = Budget::default();
        let visit = loop {
            let (used, pause) =
                self.session
                    .run(&buffers.input[..len], handler, now, &mut budget.commands);
            buffers.input.copy_within(used..len, 0);
            len -= used;
            let full = self.session.output().len();
            if let Err(visit) = self.send(network, &mut budget, now) {
                break visit;
            }
            match pause {
                Pause::Ended => break self.close_when_sent(network, now),
                Pause::Stateless if self.stopping => self.session.end(false),
                // It is told at the end of the turn, or when it has taken what waits.
                Pause::Stateless => break Visit::Blocked,
                Pause::NotYet | Pause::Budget => break Visit::Again,
                Pause::Full if self.session.output().len() < full => {}
                Pause::Full => {
                    break if self.writable {
                        Visit::Again
                    } else {
                        Visit::Blocked
                    };
                }
                Pause::Starved => {
                    match self.read(network, &mut buffers.input[len..], &mut budget) {
                        Read::Bytes(n) => len += n,
                        Read::End => match self.session.finish(&buffers.input[..len], handler, now)
                        {
                            Ok(()) => len = 0,
                            Err(Pause::Stateless) => {
                                len = 0;
                                if !self.stopping {
                                    break Visit::Blocked;
                                }
                                self.session.end(true);
                            }
                            Err(_) => break Visit::Again,
                        },
                        Read::Nothing if self.stopping => self
                            .session
                            .end(budget.is_unused() && self.session.output().is_empty()),
                        Read::Nothing => break Visit::Blocked,
                        Read::Budget => break Visit::Again,
                        Read::Failed => break Visit::Failed,
                    }
                }
            }
        };
        self.session
            .pack(&buffers.input[..len], &mut buffers.output);
        buffers.bytes_in += budget.bytes_in;
        buffers.bytes_out += budget.bytes_out;
        visit
    }

    /// Writes what waits. `Err` ends the visit.
    fn send<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        budget: &mut Budget,
        now: Moment,
    ) -> Result<(), Visit> {
        while self.writable && (self.session.refill(now) || !self.session.output().is_empty()) {
            if budget.write_len == 0 {
                return Err(Visit::Again);
            }
            let before = self.session.output().len();
            let stream = &mut self.stream;
            let result = self
                .session
                .send(budget.write_len, now, |bytes| network.write(stream, bytes));
            let written = before - self.session.output().len();
            budget.write_len = budget.write_len.saturating_sub(written);
            budget.bytes_out += written as u64;
            match result {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) => {
                    debug!("{}: cannot write: {error}", self.session.peer().ip);
                    return Err(Visit::Failed);
                }
            }
        }
        Ok(())
    }

    fn read<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        buffer: &mut [u8],
        budget: &mut Budget,
    ) -> Read {
        if !self.readable {
            return Read::Nothing;
        }
        if budget.read_len == 0 {
            return Read::Budget;
        }
        loop {
            return match network.read(&mut self.stream, buffer) {
                Ok(0) => Read::End,
                Ok(n) => {
                    budget.read_len = budget.read_len.saturating_sub(n);
                    budget.bytes_in += n as u64;
                    // Fewer bytes than asked: the socket is empty, and what comes next is an edge
                    // (epoll(7)), unless the end has been told already.
                    self.readable = n == buffer.len() || self.ended;
                    Read::Bytes(n)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Read::Nothing
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    debug!("{}: cannot read: {error}", self.session.peer().ip);
                    Read::Failed
                }
            };
        }
    }

    /// The staged close: the write side is shut when the last answer has left.
    fn close_when_sent<N: Network<Stream = T>>(&mut self, network: &mut N, now: Moment) -> Visit {
        if self.session.shut_when_sent(now) {
            network.shut(&mut self.stream);
            return if self.readable {
                Visit::Again
            } else {
                Visit::Blocked
            };
        }
        if self.writable {
            Visit::Again
        } else {
            Visit::Blocked
        }
    }

    /// Drops what arrives until the peer ends its input.
    fn drain<N: Network<Stream = T>>(&mut self, network: &mut N, buffers: &mut Buffers) -> Visit {
        let mut budget = Budget::default();
        loop {
            match self.read(network, &mut buffers.input, &mut budget) {
                Read::Bytes(_) => {}
                Read::End => {
                    self.session.end(true);
                    return Visit::Blocked;
                }
                Read::Nothing => return Visit::Blocked,
                Read::Budget => return Visit::Again,
                Read::Failed => return Visit::Failed,
            }
        }
    }
}

/// What a visit may still use.
struct Budget {
    commands: usize,
    read_len: usize,
    write_len: usize,
    bytes_in: u64,
    bytes_out: u64,
}

impl Budget {
    /// Whether no command was run in this visit.
    fn is_unused(&self) -> bool {
        self.commands == TURN_COMMANDS_MAX
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            commands: TURN_COMMANDS_MAX,
            read_len: TURN_READ_LEN_MAX,
            write_len: TURN_WRITE_LEN_MAX,
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

/// What a read brought.
enum Read {
    Bytes(usize),
    End,
    Nothing,
    Budget,
    Failed,
}
