//! A service whose network and clock a test controls exactly.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use discovery_service::engine::{Engine, Event, Reading, Settings, Sockets};
use discovery_service::registry::{KeyedHash, Registry};
use discovery_service::service::Service;
use discovery_service::wire::Protocol;
use uuid::{Builder, Uuid};

use crate::journal::FakeFile;
use crate::net::{FakeNetwork, Faults, Owners};
use crate::rng::Rng;

pub const TTL_MS: u64 = 30_000;
pub const TICK_MS: u64 = 1_000;

thread_local! {
    /// Services of a test that go on after an earlier one: none gives a UUID that another has given.
    static RESTORED: Cell<u64> = const { Cell::new(0) };
}

/// A service on a controlled network and clock.
pub struct Rig {
    pub net: FakeNetwork,
    pub engine: Engine<FakeNetwork, Service>,
    pub now_ms: u64,
    /// What else the loop tells the engine in each turn.
    pub reading: Reading,
    pub wait: Option<Duration>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(settings())
    }

    /// A service with what an earlier process has left in a file.
    pub fn restored(file: &FakeFile) -> Self {
        RESTORED.set(RESTORED.get() + 1);
        let mut rig = Self::counting_from(settings(), sockets(), 1_000_000 * RESTORED.get());
        let service = rig.engine.handler_mut();
        let found = file.replay(&mut |record| service.restore(record).expect("there is room"));
        service.go_on_from(found.index);
        rig
    }

    pub fn with(settings: Settings) -> Self {
        Self::of(settings, sockets())
    }

    pub fn of(settings: Settings, sockets: Sockets<FakeNetwork>) -> Self {
        Self::counting_from(settings, sockets, 0)
    }

    /// A service whose UUIDs follow the one with this number.
    fn counting_from(settings: Settings, sockets: Sockets<FakeNetwork>, mut last: u64) -> Self {
        let uuids = Box::new(move || {
            last += 1;
            uuid(last)
        });
        let service = Service::new(
            Registry::new(200_000, KeyedHash::new(0x5eed)),
            uuids,
            Duration::from_millis(TTL_MS),
        );
        let net = FakeNetwork::new(Rng::new(1), Faults::default(), Owners::default());
        let engine = Engine::new(settings, service, sockets, Duration::ZERO);
        let mut rig = Rig {
            net,
            engine,
            now_ms: 0,
            reading: Reading::default(),
            wait: None,
        };
        rig.turn();
        rig
    }

    /// One turn at the present time, with the events that the network has.
    pub fn turn(&mut self) {
        self.net.advance(Duration::from_millis(self.now_ms));
        let events = self.net.events();
        self.turn_with(events);
    }

    /// A turn after which the invariants, which cost as much as there are sessions, are not checked.
    pub fn turn_lightly(&mut self) {
        let events = self.net.events();
        self.run(events);
    }

    pub fn turn_with(&mut self, events: Vec<Event>) {
        self.run(events);
        self.engine.check_invariants();
    }

    fn run(&mut self, events: Vec<Event>) {
        let reading = Reading {
            monotonic: Duration::from_millis(self.now_ms),
            ..self.reading
        };
        let turned = self.engine.turn(&mut self.net, events, false, reading);
        self.wait = turned.wait;
    }

    /// Takes turns until there is no work left at the present time.
    pub fn settle(&mut self) {
        loop {
            self.turn();
            if self.wait != Some(Duration::ZERO) && self.net.is_quiet() {
                return;
            }
            for client in 0..self.net.pipes.len() {
                self.net.take(client, usize::MAX);
            }
        }
    }

    /// Lets time pass as the loop would: a turn follows whenever the engine's wait is over.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while !self.engine.is_stopped() {
            let due = self.wait.map(|wait| self.now_ms + wait.as_millis() as u64);
            // TCP has timers of its own.
            let ended = self.net.next_end().map(|at| at.as_millis() as u64);
            let Some(next) = due.into_iter().chain(ended).min().filter(|&at| at <= end) else {
                break;
            };
            self.now_ms = next.max(self.now_ms);
            self.turn();
        }
        self.now_ms = end;
        self.turn();
    }

    pub fn connect(&mut self) -> usize {
        let client = self.net.connect();
        self.settle();
        client
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.net.send(client, bytes);
        self.net.deliver(client, usize::MAX);
    }

    /// Sends a line, and returns all that the client has received since the last call.
    pub fn ask(&mut self, client: usize, line: &str) -> String {
        self.send(client, format!("{line}\n").as_bytes());
        self.settle();
        self.received(client)
    }

    /// As [`ask`](Self::ask), of a service that is busy: takes turns until there is an answer.
    pub fn ask_once(&mut self, client: usize, line: &str) -> String {
        self.send(client, format!("{line}\n").as_bytes());
        for _ in 0..3 {
            self.turn();
        }
        self.received(client)
    }

    pub fn received(&mut self, client: usize) -> String {
        self.net.take(client, usize::MAX);
        String::from_utf8(std::mem::take(&mut self.net.pipes[client].received)).expect("text")
    }

    pub fn is_closed(&self, client: usize) -> bool {
        self.net.pipes[client].closed
    }
}

/// What most tests begin with.
pub fn settings() -> Settings {
    Settings {
        connections_max: 100,
        idle_ms_max: Some(300_000),
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    }
}

/// A socket of each kind.
pub fn sockets() -> Sockets<FakeNetwork> {
    Sockets {
        listeners: vec![((), Protocol::RegistryAndHttp(Rc::default()))],
        datagrams: vec![((), Protocol::Registry)],
    }
}

pub fn uuid(n: u64) -> Uuid {
    // The version and the variant stand in the first ten bytes.
    Builder::from_random_bytes(u128::from(n).to_be_bytes()).into_uuid()
}
