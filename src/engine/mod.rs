//! One turn of the loop, without a socket and without a clock.
//!
//! Owns the connections, their timers and the service. What it needs of the network it takes from
//! a [`Network`]; the time is handed in once a turn. So a test can drive the whole service through
//! a network and a clock of its own.

mod clock;
mod connection;
mod listener;
mod network;
mod publish;
mod waiting;

use std::collections::VecDeque;
use std::time::Duration;

use log::warn;
use slab::Slab;

use crate::limits::{
    OUTPUT_WAITING_LEN_MAX, READ_LEN_MAX, SHUTDOWN_MS_MAX, TURN_TIMERS_MAX, TURN_VISITS_MAX,
    WAITING_LEN_MAX,
};
use crate::message::Change;
use crate::service::{Handler, Meter, Turn};
use crate::time::wheel::Wheel;
use crate::time::{Moment, WallTime};

use clock::Clock;
use connection::Connection;
use listener::Listener;
pub use network::{Event, Network};
use waiting::Waiting;

/// The bounds of an engine that a user sets.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Connections held at once.
    pub connections_max: usize,
    /// Milliseconds in which a connection must complete a command, if there is a limit.
    pub idle_ms_max: Option<u64>,
    /// How often stale registrations are swept.
    pub tick: Duration,
    /// Within what time the death of a host is noticed whose connection holds registrations.
    pub ttl: Duration,
}

/// What the clocks show at the start of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The monotonic clock.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: WallTime,
    /// The longest turn so far.
    pub worst_turn: Duration,
}

/// What a turn has left for its caller.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a> {
    /// How long to wait for events before the next turn; `None` means for as long as it takes.
    pub wait: Option<Duration>,
    /// What has changed in the registry, in its order.
    pub changes: &'a [Change],
}

/// The service with all its connections.
pub struct Engine<N: Network, H> {
    settings: Settings,
    handler: H,
    clock: Clock,
    listeners: Vec<Option<Listener<N::Listener>>>,
    connections: Slab<Connection<N::Stream>>,
    timers: Wheel,
    /// Keys of connections that have something to do, in the order in which it came up.
    ready: VecDeque<usize>,
    /// Keys of connections that are over; their slots are freed at the end of the turn, so that no
    /// event of this turn meets a connection that it does not mean.
    over: Vec<usize>,
    /// Keys of watchers that are to be told the whole state, in the order in which they asked.
    wanting: VecDeque<usize>,
    /// Keys of watchers that nothing was told for long, until the end of the turn.
    silent: Vec<usize>,
    /// Refused connections that linger.
    refused_lingering: usize,
    /// Connections that were refused since the start.
    refused: u64,
    /// The monotonic clock at the start.
    start: Duration,
    buffers: Buffers,
    waiting: Waiting,
    next_tick: Moment,
    /// How long the loop was told to wait before the next turn, at most.
    waited: Duration,
    stopping: Option<Moment>,
    /// The stalls since the last line about them in the log, and when that was.
    stall_to_log: Duration,
    stall_logged: Option<Moment>,
}

/// Memory that the connections share: each uses it while it is served.
struct Buffers {
    input: Box<[u8]>,
    output: Vec<u8>,
    /// Bytes read and written since the start.
    bytes_in: u64,
    bytes_out: u64,
}

impl<N: Network, H: Handler> Engine<N, H> {
    /// An engine without connections. `monotonic` is the reading of the clock that the turns go on
    /// from.
    pub fn new(
        settings: Settings,
        handler: H,
        listeners: Vec<N::Listener>,
        monotonic: Duration,
    ) -> Self {
        Engine {
            settings,
            handler,
            clock: Clock::new(monotonic, settings.tick),
            listeners: listeners
                .into_iter()
                .map(|socket| Some(Listener::new(socket)))
                .collect(),
            connections: Slab::new(),
            timers: Wheel::new(),
            ready: VecDeque::new(),
            over: Vec::new(),
            wanting: VecDeque::new(),
            silent: Vec::new(),
            refused_lingering: 0,
            refused: 0,
            start: monotonic,
            buffers: Buffers {
                input: vec![0; READ_LEN_MAX].into(),
                output: Vec::with_capacity(OUTPUT_WAITING_LEN_MAX),
                bytes_in: 0,
                bytes_out: 0,
            },
            waiting: Waiting::default(),
            next_tick: Moment::START,
            waited: Duration::ZERO,
            stopping: None,
            stall_to_log: Duration::ZERO,
            stall_logged: None,
        }
    }

    /// Runs one turn: handles `events` and whatever earlier turns left, in bounded time.
    ///
    /// `more_events` says that the network may have had more events than it told.
    pub fn turn(
        &mut self,
        network: &mut N,
        events: impl IntoIterator<Item = Event>,
        more_events: bool,
        reading: Reading,
    ) -> Turned<'_> {
        let backlog = more_events || self.has_backlog();
        let cut = self.clock.advance(reading.monotonic, self.waited, backlog);
        let now = self.clock.now();
        self.log_stall(cut, now);
        self.handler.begin_turn(Turn {
            now,
            wall: reading.wall,
            meter: self.meter(&reading),
        });
        for event in events {
            self.note(event);
        }
        self.accept_ready(network, now);
        for _ in 0..self.ready.len().min(TURN_VISITS_MAX) {
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            self.serve(network, key, now);
        }
        while let Some(key) = self.waiting.excess() {
            self.give_up(key);
        }
        self.fire_timers(now);
        self.reap(network);
        self.publish(now);
        self.break_silence(now);
        let wait = self.wait(now);
        self.waited = wait.unwrap_or(Duration::MAX / 2);
        Turned {
            wait,
            changes: self.handler.changes(),
        }
    }

    /// Stops: accepts no more, finishes the replies in flight and closes the connections.
    pub fn stop(&mut self, network: &mut N) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(self.clock.now().plus_millis(SHUTDOWN_MS_MAX));
        for listener in self.listeners.iter_mut().filter_map(Option::take) {
            network.close_listener(listener.into_socket());
        }
        for (key, connection) in &mut self.connections {
            connection.stopping = true;
            connection.readable = true;
            if connection.enqueue() {
                self.ready.push_back(key);
            }
        }
    }

    /// Whether [`stop`](Self::stop) has been called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether a stopped engine has nothing left to do.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopping
            .is_some_and(|deadline| self.connections.is_empty() || self.clock.now() >= deadline)
    }

    fn meter(&self, reading: &Reading) -> Meter {
        Meter {
            uptime: reading.monotonic.saturating_sub(self.start),
            connections: self.connections.len(),
            refused_connections: self.refused,
            bytes_in: self.buffers.bytes_in,
            bytes_out: self.buffers.bytes_out,
            stalled: self.clock.stalled(),
            worst_turn: reading.worst_turn,
        }
    }

    /// Connections held, refused ones that linger included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes of answers that wait in all connections together.
    #[must_use]
    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// The service behind the connections.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The service behind the connections, to change its settings.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// Time by which pauses of this process were longer than two ticks.
    #[must_use]
    pub fn stalled(&self) -> Duration {
        self.clock.stalled()
    }

    /// Panics with what is wrong when the state between two turns is not as it must be. O(n).
    pub fn check_invariants(&self) {
        assert!(
            self.over.is_empty(),
            "a connection that is over keeps its slot"
        );
        let mut waiting = Waiting::default();
        let mut refused = 0;
        for (key, connection) in &self.connections {
            connection.check_invariants(key, self.settings.idle_ms_max);
            waiting.add(key, &connection.session);
            refused += usize::from(connection.refused);
        }
        assert_eq!(refused, self.refused_lingering);
        assert_eq!(
            waiting, self.waiting,
            "the ledger of waiting answers is wrong"
        );
        assert!(self.waiting.len() <= WAITING_LEN_MAX);
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Accept(number) => {
                if let Some(Some(listener)) = self.listeners.get_mut(number) {
                    listener.pending = true;
                }
            }
            Event::Connection {
                key,
                readable,
                writable,
                ended,
            } => {
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.readable |= readable || ended;
                    connection.writable |= writable;
                    connection.ended |= ended;
                    if connection.enqueue() {
                        self.ready.push_back(key);
                    }
                }
            }
        }
    }

    fn fire_timers(&mut self, now: Moment) {
        for _ in 0..TURN_TIMERS_MAX {
            let Some(key) = self.timers.poll(&mut self.connections, now) else {
                break;
            };
            let Some(connection) = self.connections.get_mut(key as usize) else {
                continue;
            };
            connection.alarm = None;
            match connection.session.deadline(self.settings.idle_ms_max) {
                Some(deadline) if deadline <= now => self.give_up(key as usize),
                _ if connection.session.is_silent(now) => self.silent.push(key as usize),
                _ => self.arm(key as usize),
            }
        }
    }

    /// Closes a connection that has run out of its time or of everybody's memory.
    fn give_up(&mut self, key: usize) {
        let session = &mut self.connections[key].session;
        self.waiting.remove(key, session);
        session.abandon();
        self.over.push(key);
    }

    /// Makes sure that the connection's timer goes off when it is due. A timer that goes off
    /// early is set again then; so a deadline that only moves on costs nothing.
    fn arm(&mut self, key: usize) {
        let connection = &self.connections[key];
        let Some(due) = connection.session.alarm(self.settings.idle_ms_max) else {
            return;
        };
        if connection.alarm.is_some_and(|alarm| alarm <= due) {
            return;
        }
        let slot = connection::timer_key(key);
        self.timers.remove(&mut self.connections, slot);
        self.timers.insert(&mut self.connections, slot, due);
        self.connections[key].alarm = Some(due);
    }

    /// The one place where slots are freed.
    fn reap(&mut self, network: &mut N) {
        while let Some(key) = self.over.pop() {
            self.timers
                .remove(&mut self.connections, connection::timer_key(key));
            let mut connection = self.connections.remove(key);
            connection.session.leave(&mut self.handler);
            self.refused_lingering -= usize::from(connection.refused);
            connection.log_end();
            network.close(connection.stream);
            for listener in self.listeners.iter_mut().flatten() {
                listener.retry_at = None;
            }
        }
    }

    /// Whether there is work that needs no event.
    fn has_backlog(&self) -> bool {
        !self.ready.is_empty()
            || !self.wanting.is_empty()
            || self.listeners.iter().flatten().any(Listener::can_accept)
    }

    fn wait(&mut self, now: Moment) -> Option<Duration> {
        if self.has_backlog() || self.handler.has_backlog() {
            return Some(Duration::ZERO);
        }
        if now >= self.next_tick {
            self.next_tick = now.plus_millis(self.settings.tick.as_millis() as u64);
        }
        let tick = self.handler.needs_ticks().then_some(self.next_tick);
        let retry = self
            .listeners
            .iter()
            .flatten()
            .filter_map(|listener| listener.retry_at)
            .min();
        let next = [tick, retry, self.timers.next_due(), self.stopping]
            .into_iter()
            .flatten()
            .min()?;
        Some(next.since(now))
    }

    fn log_stall(&mut self, cut: Duration, now: Moment) {
        const QUIET_MS: u64 = 1_000;
        self.stall_to_log += cut;
        let quiet = self
            .stall_logged
            .is_none_or(|at| now.millis_since(at) >= QUIET_MS);
        if !self.stall_to_log.is_zero() && quiet {
            warn!(
                "stalled for {} ms in all, by which no registration has aged",
                self.stall_to_log.as_millis()
            );
            self.stall_to_log = Duration::ZERO;
            self.stall_logged = Some(now);
        }
    }
}
