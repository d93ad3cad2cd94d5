//! One connection as a state machine: bytes in, requests to the handler, bytes out.
//!
//! Owns the input that no command has used yet, the format, the answers that wait, and the
//! moments from which the connection's time limits count. Knows no socket and no clock.

pub mod feed;
mod watch;

use std::rc::Rc;

use crate::limits::{COMMAND_MS_MAX, LINGER_MS_MAX, OUTPUT_RUN_LEN_MAX, OUTPUT_STALL_MS_MAX};
use crate::message::{Command, Refusal, Reply, Request};
use crate::service::{Handler, Peer};
use crate::session::feed::Feed;
use crate::time::Moment;
use crate::wire::output::Output;
use crate::wire::{Codec, Decoded, Step};

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    /// What the service knows of the peer.
    peer: Peer,
    codec: Codec,
    phase: Phase,
    /// Input that waits for the rest of its command, or for room in the output.
    rest: Box<[u8]>,
    output: Output,
    /// Of a connection that watches.
    feed: Option<Box<Feed>>,
    /// When the last command was completed; at first, when the connection was accepted.
    completed_at: Moment,
    /// When the first byte came of the command that is not complete.
    command_since: Option<Moment>,
    /// When the peer last took bytes of the answers that wait, or some began to wait.
    progress_at: Moment,
    /// Since when there has always been an answer that waits.
    owes_since: Moment,
    /// When a watcher was last told something.
    told_at: Moment,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Commands are run.
    Open,
    /// No further command is run; what waits is sent, then the write side is shut.
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

/// Why [`Session::run`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The next command is not complete.
    Starved,
    /// The peer is to be told the whole state before anything else.
    Stateless,
    /// The peer must take answers first.
    Full,
    /// The service answers this one in the next turn at the earliest.
    NotYet,
    /// The turn's commands are used up.
    Budget,
    /// The connection runs no further command.
    Ended,
}

impl Session {
    /// A connection of `peer`, accepted at `now`.
    #[must_use]
    pub fn new(peer: Peer, now: Moment) -> Self {
        Session {
            peer,
            codec: Codec::default(),
            phase: Phase::Open,
            rest: Box::default(),
            output: Output::default(),
            feed: None,
            completed_at: now,
            command_since: None,
            progress_at: now,
            owes_since: now,
            told_at: now,
        }
    }

    /// A connection that is told `refusal` and ends.
    #[must_use]
    pub fn refused(peer: Peer, refusal: Refusal, now: Moment) -> Self {
        let mut session = Session::new(peer, now);
        session.answer(&Reply::Refused(refusal), now);
        session.end(false);
        session
    }

    /// How far the connection has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The answers that wait.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Moves what is kept between turns into the buffers of this turn: the unused input to the
    /// front of `input`, the waiting answers into `spare`. Returns how many bytes of input.
    pub fn unpack(&mut self, input: &mut [u8], spare: &mut Vec<u8>) -> usize {
        let rest = std::mem::take(&mut self.rest);
        input[..rest.len()].copy_from_slice(&rest);
        self.output.unpack(spare);
        rest.len()
    }

    /// The reverse of [`unpack`](Self::unpack): keeps what is left of the input and of the answers
    /// in memory of exactly their size, and gives the large buffer back.
    pub fn pack(&mut self, rest: &[u8], spare: &mut Vec<u8>) {
        if !rest.is_empty() && self.phase == Phase::Open {
            self.rest = rest.into();
        }
        self.output.pack(spare);
    }

    /// Runs the commands in `input`, at most `commands`, which it counts down. Returns how many
    /// bytes it used and why it stopped.
    pub fn run(
        &mut self,
        input: &[u8],
        handler: &mut impl Handler,
        now: Moment,
        commands: &mut usize,
    ) -> (usize, Pause) {
        let mut used = 0;
        loop {
            if self.phase != Phase::Open {
                return (input.len(), Pause::Ended);
            }
            if self.output.len() > OUTPUT_RUN_LEN_MAX {
                return (used, self.paused(Pause::Full));
            }
            if self.feed.as_ref().is_some_and(|feed| feed.needs_state()) {
                return (used, self.paused(Pause::Stateless));
            }
            if *commands == 0 {
                return (used, self.paused(Pause::Budget));
            }
            let Step { consumed, decoded } = self.codec.decode(&input[used..]);
            match self.decide(decoded, handler, now) {
                Outcome::Answered => *commands -= 1,
                Outcome::NotYet => return (used, self.paused(Pause::NotYet)),
                Outcome::Incomplete => {
                    used += consumed;
                    self.note_incomplete(used, input.len(), now);
                    return (used, Pause::Starved);
                }
            }
            used += consumed;
        }
    }

    /// Ends the input: runs the unfinished command in `rest`, which [`run`](Self::run) left, and
    /// lets the connection end.
    ///
    /// # Errors
    /// [`Pause::NotYet`]: call again with the same rest in the next turn. [`Pause::Stateless`]: the
    /// rest is used, and the connection can end when the peer has been told the state.
    pub fn finish(
        &mut self,
        rest: &[u8],
        handler: &mut impl Handler,
        now: Moment,
    ) -> Result<(), Pause> {
        if self.phase == Phase::Open {
            let decoded = self.codec.finish(rest);
            if let Outcome::NotYet = self.decide(decoded, handler, now) {
                return Err(Pause::NotYet);
            }
            if self.needs_state() {
                return Err(Pause::Stateless);
            }
        }
        self.end(true);
        Ok(())
    }

    /// Runs no further command: what waits is sent, then the connection closes. `drained` says
    /// that the peer has ended its input.
    pub fn end(&mut self, drained: bool) {
        match self.phase {
            Phase::Open | Phase::Ending { .. } => {
                self.phase = Phase::Ending { drained };
                self.feed = None;
            }
            Phase::Lingering { .. } if drained => self.phase = Phase::Done,
            Phase::Lingering { .. } | Phase::Done => {}
        }
    }

    /// Since when the connection has owed answers, if it does.
    #[must_use]
    pub fn owes_since(&self) -> Option<Moment> {
        self.owes().then_some(self.owes_since)
    }

    fn owes(&self) -> bool {
        !self.output.is_empty() || self.feed.as_ref().is_some_and(|feed| !feed.is_empty())
    }

    /// The answers that wait here and may wait elsewhere too.
    pub fn shared(&self) -> impl Iterator<Item = &Rc<Vec<u8>>> {
        self.output
            .shared()
            .chain(self.feed.iter().flat_map(|feed| feed.lines()))
    }

    /// What the service knows of the peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Lets the service know that nothing more comes of a connection that is no longer open. May be
    /// called again.
    pub fn leave(&mut self, handler: &mut impl Handler) {
        debug_assert!(self.phase != Phase::Open);
        handler.leave(&mut self.peer);
    }

    /// Gives the connection up, with all that waits in it.
    pub fn abandon(&mut self) {
        self.phase = Phase::Done;
        self.output = Output::default();
        self.feed = None;
    }

    /// Sends what waits with `write`, `len_max` bytes at most.
    ///
    /// # Errors
    /// What `write` returned, `WouldBlock` among it.
    pub fn send(
        &mut self,
        len_max: usize,
        now: Moment,
        write: impl FnMut(&[u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        let before = self.output.len();
        let result = self.output.write_to(len_max, write);
        if self.output.len() < before {
            self.progress_at = now;
        }
        result
    }

    /// Whether the write side is to be shut now: everything is sent, but the peer may still send.
    /// The connection lingers from then on; one that is drained is over.
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

    /// When the connection runs into its next time limit; `idle_ms_max` is the limit for completing
    /// a command, if there is one.
    ///
    /// What holds or watches is not timed out for being silent or slow: TCP finds out whether its
    /// peer is still there.
    #[must_use]
    pub fn deadline(&self, idle_ms_max: Option<u64>) -> Option<Moment> {
        let stalled =
            (!self.output.is_empty()).then(|| self.progress_at.plus_millis(OUTPUT_STALL_MS_MAX));
        match self.phase {
            Phase::Open if self.peer.stays() => self
                .command_since
                .map(|since| since.plus_millis(COMMAND_MS_MAX)),
            Phase::Open => {
                let idle = idle_ms_max.map(|ms| self.completed_at.plus_millis(ms));
                let command = self
                    .command_since
                    .map(|since| since.plus_millis(COMMAND_MS_MAX));
                [stalled, idle, command].into_iter().flatten().min()
            }
            Phase::Ending { .. } => stalled,
            Phase::Lingering { since } => Some(since.plus_millis(LINGER_MS_MAX)),
            Phase::Done => None,
        }
    }

    /// When a timer of the connection has something to do: its [deadline](Self::deadline), or a
    /// watcher's silence.
    #[must_use]
    pub fn alarm(&self, idle_ms_max: Option<u64>) -> Option<Moment> {
        self.deadline(idle_ms_max)
            .into_iter()
            .chain(self.silent_at())
            .min()
    }

    /// Bytes kept in memory for this connection between turns, shared answers left out.
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.rest.len() + self.output.own_capacity()
    }

    fn decide(&mut self, decoded: Decoded<'_>, handler: &mut impl Handler, now: Moment) -> Outcome {
        let reply = match decoded {
            Decoded::Incomplete => return Outcome::Incomplete,
            Decoded::Refused(refusal) => handler.refuse(refusal, &self.peer),
            Decoded::Command(command) => match apply(command, handler, &mut self.peer) {
                Some(reply) => reply,
                None => return Outcome::NotYet,
            },
        };
        self.completed_at = now;
        if let Reply::Watching = reply {
            self.feed = Some(Box::default());
        }
        self.answer(&reply, now);
        Outcome::Answered
    }

    fn answer(&mut self, reply: &Reply, now: Moment) {
        self.note_waiting(now);
        self.codec.encode(reply, &mut self.output);
        if self.codec.ends_with(reply) {
            self.end(false);
        }
    }

    /// Notes that something is about to wait.
    fn note_waiting(&mut self, now: Moment) {
        if self.output.is_empty() {
            self.progress_at = now;
        }
        if !self.owes() {
            self.owes_since = now;
        }
    }

    /// A command that waits for the service is not the peer's fault.
    fn paused(&mut self, pause: Pause) -> Pause {
        self.command_since = None;
        pause
    }

    fn note_incomplete(&mut self, used: usize, len: usize, now: Moment) {
        if used == len {
            self.command_since = None;
        } else if used > 0 || self.command_since.is_none() {
            self.command_since = Some(now);
        }
    }
}

/// Runs a command: a token beside the request is shown first, and one that fails is the answer.
fn apply(command: Command<'_>, handler: &mut impl Handler, peer: &mut Peer) -> Option<Reply> {
    let Command { token, request } = command;
    if let Some(token) = token {
        let shown = handler.apply(&Request::Auth { token }, peer)?;
        if let Reply::Refused(_) = shown {
            return Some(shown);
        }
    }
    handler.apply(&request, peer)
}

/// What became of one decoded command.
enum Outcome {
    Answered,
    NotYet,
    Incomplete,
}
