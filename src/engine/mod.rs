//! One turn of the loop, without a socket and without a clock.
//!
//! Owns the sessions, their timers and the service. It reaches the network through a [`Network`], and
//! its caller passes in the time once a turn, so a test can drive the whole service with a network
//! and a clock of its own.

mod alike;
mod clock;
mod datagrams;
mod dismissal;
mod exchange;
mod interface;
mod links;
mod listener;
mod meter;
mod network;
mod ready;
mod saving;
mod sessions;
mod silence;
mod stopping;
mod transport;
mod waiting;

use std::ops::Range;
use std::time::Duration;

use log::{debug, warn};

use crate::limits::{LOG_QUIET_MS, REFUSAL_WORK, SHUTDOWN_MS_MAX};
use crate::message::{Delivery, Update};
use crate::service::{Handler, Turn};
use crate::session::{Phase, Scratch, Timeout};
use crate::time::Moment;
use crate::time::rate_limit::RateLimit;

use clock::{Clock, Input};
pub use datagrams::DatagramCounts;
use datagrams::DatagramSocket;
use exchange::{Budget, Visit};
pub use interface::{Reading, Settings, Sockets, Turned};
use links::Links;
use listener::Listener;
use meter::Counters;
pub use network::{Event, Network, Readiness, Unacknowledged};
use ready::Reason;
use saving::Saving;
pub use saving::{Batch, Journal};
use sessions::Sessions;

/// The service with all its sessions.
pub struct Engine<N: Network, H> {
    settings: Settings,
    handler: H,
    clock: Clock,
    listeners: Vec<Option<Listener<N::Listener>>>,
    datagrams: Vec<Option<DatagramSocket<N::Datagram>>>,
    links: Links<N::Stream>,
    sessions: Sessions<N::Stream>,
    scratch: Scratch,
    saving: Saving,
    /// Sessions whose timers need the service in this turn.
    due: Vec<(usize, Timeout)>,
    counters: Counters,
    /// The keys of the sessions whose token must be looked at, because the tokens have changed.
    unchecked: Range<usize>,
    next_tick: Moment,
    /// The longest time for which the loop was told to wait before the next turn.
    waited: Duration,
    stopping: bool,
    /// When a stopping engine ends at the latest, from its first turn on.
    stop_by: Option<Moment>,
    /// The time cut off from registry time since the last log line about it.
    stall_to_log: Duration,
    stall_warnings: RateLimit,
}

impl<N: Network, H: Handler> Engine<N, H> {
    /// An engine without sessions. `monotonic` is the present reading of the monotonic clock.
    pub fn new(settings: Settings, handler: H, sockets: Sockets<N>, monotonic: Duration) -> Self {
        let mut engine = Engine {
            settings,
            handler,
            clock: Clock::new(monotonic, settings.tick),
            listeners: Vec::new(),
            datagrams: Vec::new(),
            links: Links::default(),
            sessions: Sessions::new(settings.idle_ms_max),
            scratch: Scratch::default(),
            saving: Saving::default(),
            due: Vec::new(),
            counters: Counters {
                start: monotonic,
                ..Counters::default()
            },
            unchecked: 0..0,
            next_tick: Moment::START,
            waited: Duration::ZERO,
            stopping: false,
            stop_by: None,
            stall_to_log: Duration::ZERO,
            stall_warnings: RateLimit::new(LOG_QUIET_MS),
        };
        engine.listen(sockets);
        engine
    }

    /// Runs one turn: handles `events` and the backlog of earlier turns, in bounded time.
    ///
    /// `more_events` says that the network may have more events than these.
    pub fn turn(
        &mut self,
        network: &mut N,
        events: impl IntoIterator<Item = Event>,
        more_events: bool,
        reading: Reading,
    ) -> Turned<'_> {
        let mut events = events.into_iter().peekable();
        let input = if more_events || self.has_backlog() {
            Input::Backlog
        } else if events.peek().is_some() {
            Input::New
        } else {
            Input::Nothing
        };
        let cut = self.clock.advance(reading.monotonic, self.waited, input);
        // All time limits of connections are measured on this clock, which no load slows down.
        let now = self.clock.uptime();
        if self.stopping {
            let deadline = now.plus_millis(SHUTDOWN_MS_MAX);
            self.stop_by.get_or_insert(deadline);
        }
        self.log_stall(cut, now);
        let sessions = &mut self.sessions;
        self.saving.advance(now, |key| sessions.open_gate(key));
        let meter = self.meter(&reading, now);
        self.handler.begin_turn(Turn {
            now: self.clock.now(),
            heard: self.clock.present(),
            uptime: now,
            wall: reading.wall,
            meter,
        });
        for event in events {
            self.on_event(event);
        }
        self.accept_ready(network, now);
        self.serve_ready(network, now);
        for socket in self.datagrams.iter_mut().flatten() {
            socket.serve(network, &mut self.handler, &mut self.scratch, now);
        }
        self.links
            .serve(network, &mut self.handler, &mut self.scratch, now);
        self.sessions.close_excess(now);
        // After a pause, no connection is closed for input that has arrived meanwhile.
        if !self.is_held() {
            self.fire_timers(network, now);
        }
        self.check_tokens();
        self.reap(network);
        self.end_turn(now);
        self.saving.take(self.handler.changes(), self.stopping, now);
        self.links.run_commands(network, &mut self.handler, now);
        let wait = self.wait(now);
        self.waited = wait.unwrap_or(Duration::MAX / 2);
        Turned {
            wait,
            changes: self.handler.changes(),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Accept(number) => {
                if let Some(Some(listener)) = self.listeners.get_mut(number) {
                    listener.pending = true;
                }
            }
            Event::Datagram(number) => {
                if let Some(Some(socket)) = self.datagrams.get_mut(number) {
                    socket.on_event();
                }
            }
            Event::Link(number, readiness) => self.links.on_event(number, readiness),
            Event::Session(key, readiness) => self.sessions.on_event(key, readiness),
        }
    }

    /// Serves the sessions that have work to do, until this turn's work is done.
    fn serve_ready(&mut self, network: &mut N, now: Moment) {
        let mut round = self.sessions.ready().round();
        while !self.handler.work().is_over()
            && let Some((key, reason)) = round.next(self.sessions.ready())
        {
            let before = self.handler.work().spent();
            self.serve(network, key, reason, now);
            round.spent(reason, self.handler.work().spent() - before);
        }
    }

    /// Serves the session `key`, which was taken from the ready list.
    fn serve(&mut self, network: &mut N, key: usize, reason: Reason, now: Moment) {
        let bounds = self.sessions.bounds();
        let Some(connection) = self.sessions.take(key) else {
            return;
        };
        let mut budget = Budget::new(reason, bounds);
        let (scratch, handler) = (&mut self.scratch, &mut self.handler);
        let gates = self.saving.gates(now);
        let before = connection.gate;
        let visit = connection.serve(network, scratch, handler, now, &mut budget, gates);
        if let Some(batch) = connection.gate.filter(|_| connection.gate != before) {
            self.saving.gate(key, batch, now);
        }
        handler.work().spend(budget.visit_work());
        // One that only waits for its peer to read is as heavy as it was.
        let waits = connection.session.pending_since().is_some();
        connection.is_heavy = budget.was_heavy() || (connection.is_heavy && waits);
        self.counters.bytes_in += budget.bytes_in;
        self.counters.bytes_out += budget.bytes_out;
        let session = &mut connection.session;
        if session.phase() != Phase::Open {
            // An ending session holds and watches nothing, even while its last replies are sent.
            handler.leave(session.peer_mut());
        } else if session.peer().stays() {
            let wrote = budget.bytes_out > 0;
            connection.guard(network, self.settings.ttl, wrote, now);
        }
        if self.sessions.asks_for_part(key) {
            self.handler.wants_part(key);
        }
        match visit {
            Visit::Again => self.sessions.enqueue(key, Reason::Unfinished),
            Visit::PutOff => self.sessions.enqueue(key, Reason::PutOff),
            Visit::Blocked | Visit::Failed => {}
        }
        self.sessions.served(key);
    }

    /// Fires the sessions' timers. A parked request whose time limit has passed is answered at once.
    fn fire_timers(&mut self, network: &mut N, now: Moment) {
        self.sessions.fire_timers(network, now, &mut self.due);
        for (key, timeout) in self.due.drain(..) {
            let Some(connection) = self.sessions.get_mut(key) else {
                continue;
            };
            match timeout {
                Timeout::Answer => {
                    let reply = self.handler.expire(connection.session.peer_mut());
                    self.sessions.deliver(key, &Delivery::Reply(reply), now);
                }
                Timeout::Wake => {
                    self.handler.end_wait(connection.session.peer());
                    self.sessions.wake(key);
                }
                Timeout::Overdue => {
                    let session = &mut connection.session;
                    let refusal = self.handler.refuse(session.overdue(), session.peer());
                    // The session ends now, and an ending one holds and watches nothing.
                    self.handler.leave(session.peer_mut());
                    self.handler.work().spend(REFUSAL_WORK);
                    self.sessions.refuse_incomplete(key, &refusal, now);
                }
                Timeout::Keepalive => self.handler.wants_keepalive(key),
                Timeout::Close(_) => {}
            }
        }
    }

    fn reap(&mut self, network: &mut N) {
        while let Some(mut connection) = self.sessions.reap() {
            let session = &mut connection.session;
            self.handler.leave(session.peer_mut());
            let (address, reason) = (session.peer().address, session.close_reason());
            debug!("{address}: connection closed: {reason}");
            self.counters.closed.add(reason);
            if session.is_cut_off() {
                network.reset(connection.transport.into_stream());
            } else {
                connection.release(network);
                network.close(connection.transport.into_stream());
            }
            // A descriptor is free again.
            for listener in self.listeners.iter_mut().flatten() {
                listener.retry_at = None;
            }
        }
    }

    /// Hands the service's deliveries to the sessions, which send them in the next turn. That turn
    /// follows at once.
    fn end_turn(&mut self, now: Moment) {
        let stopping = self.stopping;
        let sessions = &mut self.sessions;
        let room = sessions.room();
        self.handler.end_turn(room, &mut |key, delivery| {
            // While stopping, send watchers no changes: services do not go down because the
            // registry restarts.
            let is_news = matches!(
                delivery,
                Delivery::Update(Update::Snapshot(_) | Update::Deltas(_))
            );
            if stopping && is_news {
                return false;
            }
            sessions.deliver(key, delivery, now)
        });
    }

    /// Whether there is work without an event.
    #[inline]
    fn has_backlog(&self) -> bool {
        let accepts = self.listeners.iter().flatten().any(Listener::can_accept);
        let mut datagrams = self.datagrams.iter().flatten();
        accepts
            || !self.unchecked.is_empty()
            || self.sessions.has_ready()
            || datagrams.any(DatagramSocket::has_backlog)
            || self.links.has_backlog()
            || self.saving.has_backlog()
    }

    fn wait(&mut self, now: Moment) -> Option<Duration> {
        let behind = self.clock.is_behind();
        if behind || self.has_backlog() || self.handler.has_backlog() {
            return Some(Duration::ZERO);
        }
        if now >= self.next_tick {
            self.next_tick = now.plus_millis(self.settings.tick.as_millis() as u64);
        }
        let tick = self.handler.needs_ticks().then_some(self.next_tick);
        let listeners = self.listeners.iter().flatten();
        let retry = listeners.filter_map(|listener| listener.retry_at).min();
        let deadlines = [
            tick,
            retry,
            self.sessions.next_due(),
            self.sessions.makes_room_at(),
            self.links.next_due(),
            self.saving.next_due(),
            self.handler.next_due(),
            self.stop_by,
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.since(now))
    }

    fn log_stall(&mut self, cut: Duration, now: Moment) {
        self.stall_to_log += cut;
        if !self.stall_to_log.is_zero() && self.stall_warnings.pass(now).is_some() {
            let ms = std::mem::take(&mut self.stall_to_log).as_millis();
            warn!("stalled for {ms} ms in all; registrations have not aged meanwhile");
        }
    }
}
