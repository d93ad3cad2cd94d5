//! One simulation of the service, with all kinds of clients, a faulty network and a faulty clock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use discovery_service::auth::Tokens;
use discovery_service::engine::{Engine, Reading, Settings};
use discovery_service::limits::{LINGERING_REFUSED_MAX, TURN_WORK_MAX};
use discovery_service::message::{
    Change, CloseReason, Frequent, Heartbeats, Outcome, Peer, Refusal, Reply, Request, Responder,
    ServiceType, Work,
};
use discovery_service::registry::{KeyedHash, Registry};
use discovery_service::service::{Deliver, Handler, Service, Turn};
use discovery_service::time::{Moment, WallTime};
use uuid::{Builder, Uuid};

use crate::client::{Circumstances, Client, Exchange, Speaker, TOKEN};
use crate::history::History;
use crate::kept::Kept;
use crate::model::{Model, written};
use crate::net::{FakeNetwork, Faults, Owners, Pipe, weight};
use crate::parking::Parking;
use crate::rig::sockets;
use crate::rng::Rng;
use crate::web::Web;

/// The exchanges of each client, by client number.
pub type Log = Rc<RefCell<BTreeMap<usize, Vec<Exchange>>>>;

/// A hasher whose hashes are the same in every run.
pub type SimulatedRegistry = Registry;
pub type SimulatedService = Service;

/// The real service; the model checks its answer to every request.
pub struct Shadowed {
    service: SimulatedService,
    pub model: Model,
    pub log: Log,
    pub owners: Owners,
    pub now: Moment,
    uptime: Moment,
    /// The last turn in which time limits did not stand still.
    timers_at: Moment,
    parking: Parking,
    /// Connections that the engine has closed because they had failed.
    failed: u64,
    /// The answers to datagrams of this turn.
    answers: Vec<(SocketAddr, String)>,
    /// Whether the last frequent request was answered at once.
    goes_at_once: bool,
}

impl Shadowed {
    pub fn new(service: SimulatedService, model: Model, parking: Parking) -> Self {
        Shadowed {
            service,
            model,
            log: Log::default(),
            owners: Owners::default(),
            now: Moment::START,
            uptime: Moment::START,
            timers_at: Moment::START,
            parking,
            failed: 0,
            answers: Vec::new(),
            goes_at_once: false,
        }
    }

    /// The registry of the real service.
    pub fn registry(&self) -> &SimulatedRegistry {
        self.service.registry()
    }

    /// Whether the next frequent request goes the way of all others: every second one does, so that both ways
    /// give the same answers.
    fn goes_as_any(&mut self) -> bool {
        self.goes_at_once = !self.goes_at_once;
        !self.goes_at_once
    }

    /// Checks an answer that was given at once.
    fn note_answer(&mut self, request: &Request<'_>, reply: &Reply, peer: &Peer) {
        let client = self.owners.borrow()[&peer.session];
        self.parking.nothing_is_run_for(peer.session);
        self.model.follow.end(client);
        self.model.check(client, peer, request, reply, self.now);
        self.model.end_message(client);
        let mut log = self.log.borrow_mut();
        let exchange = Exchange::new(request, reply);
        log.entry(client).or_default().push(exchange);
    }

    /// Applies the request of a datagram, and records the answer.
    fn apply_datagram(&mut self, request: &Request<'_>, peer: &Peer, outcome: Outcome) -> Outcome {
        assert_eq!(*peer, Peer::without_session(peer.address));
        if let Outcome::Done(reply) = &outcome {
            self.model
                .check(peer.session, peer, request, reply, self.now);
            self.answers.push((peer.address, written(reply)));
        }
        assert!(!matches!(outcome, Outcome::Parked { .. } | Outcome::Parts));
        outcome
    }
}

/// The frequent request as any request.
fn whole<'a>(frequent: &Frequent<'a>) -> Request<'a> {
    match frequent {
        Frequent::Query(name) => {
            let name = str::from_utf8(name).expect("it is printable ASCII");
            let service_type = ServiceType::new(name).expect("it was found");
            Request::Query {
                service_type,
                max_age: None,
                labels: None,
                limit: None,
            }
        }
        Frequent::Register(offer) => Request::Register {
            offer: offer.clone(),
            ttl: None,
            replace: false,
            labels: None,
        },
    }
}

impl Responder for Shadowed {
    fn apply(&mut self, request: &Request<'_>, peer: &mut Peer) -> Outcome {
        let outcome = self.service.apply(request, peer);
        let Some(&client) = self.owners.borrow().get(&peer.session) else {
            return self.apply_datagram(request, peer, outcome);
        };
        self.parking.nothing_is_run_for(peer.session);
        let is_auth = matches!(request, Request::Auth { .. });
        let earlier = (!is_auth).then(|| self.model.follow.end(client)).flatten();
        let exchange = match &outcome {
            Outcome::Retry => {
                self.model.end_message(client);
                return outcome;
            }
            Outcome::Done(reply) => {
                self.model.check(client, peer, request, reply, self.now);
                Exchange::new(request, reply)
            }
            Outcome::Parked { .. } => panic!("{request:?} is parked"),
            &Outcome::Blocked { until } => {
                let moments = (earlier, until, self.uptime);
                self.model.check_wait(client, request, moments, self.now);
                self.model.end_message(client);
                return outcome;
            }
            Outcome::Parts => {
                if let Request::Watch { .. } = request {
                    self.model.check_watch(client, peer, request);
                }
                // The parts of a long answer are checked by who receives them.
                Exchange::stream(request)
            }
        };
        if !is_auth {
            self.model.end_message(client);
        }
        let mut log = self.log.borrow_mut();
        log.entry(client).or_default().push(exchange);
        self.parking
            .park_some(peer.session, request, outcome, self.uptime)
    }

    fn hear(&mut self, heartbeats: &Heartbeats, peer: &Peer) -> usize {
        if self.goes_as_any() {
            return 0;
        }
        let heard = self.service.hear(heartbeats, peer);
        for &uuid in &heartbeats.uuids()[..heard] {
            let request = Request::Heartbeat { uuid: Some(uuid) };
            self.note_answer(&request, &Reply::Ok, peer);
        }
        heard
    }

    fn answer_at_once(&mut self, frequent: &Frequent<'_>, peer: &Peer) -> Option<Reply> {
        if self.goes_as_any() {
            return None;
        }
        let reply = self.service.answer_at_once(frequent, peer)?;
        self.note_answer(&whole(frequent), &reply, peer);
        Some(reply)
    }

    fn refuse(&mut self, refusal: Refusal, peer: &Peer) -> Reply {
        let reply = self.service.refuse(refusal, peer);
        if let Some(&client) = self.owners.borrow().get(&peer.session) {
            self.model.end_message(client);
        }
        if *peer == Peer::without_session(peer.address) {
            self.answers.push((peer.address, written(&reply)));
        }
        reply
    }
}

impl Handler for Shadowed {
    fn work(&mut self) -> &mut Work {
        self.service.work()
    }

    fn requires_token(&self) -> bool {
        self.service.requires_token()
    }

    fn begin_turn(&mut self, turn: Turn) {
        assert!(turn.now >= self.now, "registry time went back");
        self.parking.none_is_overdue(self.timers_at);
        self.now = turn.now;
        self.model.heard = turn.heard;
        self.uptime = turn.uptime;
        self.failed = turn.meter.connections_closed.get(CloseReason::Failed);
        self.service.begin_turn(turn);
    }

    fn expire(&mut self, peer: &mut Peer) -> Reply {
        self.parking.expire(peer.session, self.uptime)
    }

    fn end_wait(&mut self, peer: &Peer) {
        self.service.end_wait(peer);
    }

    fn stop(&mut self) {
        self.model.follow.stop();
        self.service.stop();
    }

    fn wants_part(&mut self, session: usize) {
        self.service.wants_part(session);
    }

    fn wants_keepalive(&mut self, session: usize) {
        self.service.wants_keepalive(session);
    }

    fn leave(&mut self, peer: &mut Peer) {
        if peer.stays() {
            self.model.leave(peer.session, self.now);
        }
        if let Some(client) = self.owners.borrow().get(&peer.session) {
            self.model.follow.end(*client);
        }
        self.parking.leave(peer.session);
        self.service.leave(peer);
    }

    fn end_turn(&mut self, room: usize, deliver: &mut Deliver<'_>) {
        self.parking.deliver_some(deliver);
        self.service.end_turn(room, deliver);
    }

    fn changes(&self) -> &[Change] {
        self.service.changes()
    }

    fn has_backlog(&self) -> bool {
        self.service.has_backlog()
    }

    fn needs_ticks(&self) -> bool {
        self.service.needs_ticks()
    }
}

/// UUIDs from the seed. A few come twice, which the service must notice.
fn uuids(mut rng: Rng) -> Box<dyn FnMut() -> Uuid> {
    let mut given: Vec<Uuid> = Vec::new();
    Box::new(move || {
        if !given.is_empty() && rng.chance(5) {
            return given[rng.index(given.len())];
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&rng.next().to_be_bytes());
        bytes[8..].copy_from_slice(&rng.next().to_be_bytes());
        let uuid = Builder::from_random_bytes(bytes).into_uuid();
        given.push(uuid);
        uuid
    })
}

/// The longest step of a clock that does not stall.
const TURNS_APART_MAX: Duration = Duration::from_secs(2);

pub struct World {
    rng: Rng,
    net: FakeNetwork,
    engine: Engine<FakeNetwork, Shadowed>,
    settings: Settings,
    token: Option<&'static str>,
    clients: Vec<Box<dyn Speaker>>,
    log: Log,
    clock: Duration,
    wait: Option<Duration>,
    /// Percentages of the steps in which time stalls, connections break, and so on.
    stall: u64,
    hostile: u64,
    lazy: u64,
    /// Percentage of the clients that speak HTTP.
    web: u64,
    /// How long the clock has stalled, in all.
    stalled: Duration,
    /// Clients whose host has lost its power, and how long the clock had stalled by then.
    dark: Vec<(usize, Duration)>,
    /// The state that follows from the changes of all turns.
    history: History,
    /// The state file, in some worlds.
    kept: Option<Kept>,
    /// Watchers whose pictures were compared.
    watchers: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let streams = Faults::of_streams(&mut rng);
        let faults = Faults {
            accept_error: weight(&mut rng, 80),
            datagram_lost: weight(&mut rng, 30),
            datagram_doubled: weight(&mut rng, 30),
            datagram_late: weight(&mut rng, 30),
            datagram_full: weight(&mut rng, 30),
            ..streams
        };
        let (stall, hostile, lazy) = (
            weight(&mut rng, 3),
            weight(&mut rng, 10),
            weight(&mut rng, 90),
        );
        let web = weight(&mut rng, 60);
        let parked = weight(&mut rng, 30);
        let parking = Parking::new(Rng::new(rng.next()), parked);
        let ttl = Duration::from_secs(rng.between(1, 8));
        let settings = Settings {
            connections_max: rng.between(1, 12) as usize,
            idle_ms_max: rng.chance(50).then(|| rng.between(1, 20) * 1000),
            tick: Duration::from_millis(rng.between(10, 3000)),
            ttl,
        };
        let services_max = rng.between(1, 40) as u32;
        let clock = Duration::from_millis(rng.below(1_000_000));
        let registry = Registry::new(services_max, KeyedHash::new(0x5eed));
        let mut service = Service::new(registry, uuids(Rng::new(rng.next())), ttl);
        let token = rng.chance(25).then_some(TOKEN);
        if let Some(token) = token {
            service.set_tokens(Tokens::parse(token).expect("it is a token"));
        }
        let model = Model::new(services_max as usize, ttl, token);
        let shadowed = Shadowed::new(service, model, parking);
        let (log, owners) = (Rc::clone(&shadowed.log), Rc::clone(&shadowed.owners));
        let mut net = FakeNetwork::new(Rng::new(rng.next()), faults, owners);
        net.advance(clock);
        let mut engine = Engine::new(settings, shadowed, sockets(), clock);
        let kept = seed.is_multiple_of(3).then(|| Kept::new(seed));
        if let Some(kept) = &kept {
            engine.save_to(kept.file.reopened(0));
        }
        let wait = Some(Duration::ZERO);
        World {
            rng,
            net,
            engine,
            settings,
            token,
            clients: Vec::new(),
            log,
            clock,
            wait,
            stall,
            hostile,
            lazy,
            web,
            stalled: Duration::ZERO,
            dark: Vec::new(),
            history: History::default(),
            kept,
            watchers: 0,
        }
    }

    /// Runs the simulation; panics when a promise is broken. Returns the number of events, and of
    /// watchers whose picture was compared.
    pub fn run(mut self, steps: u64) -> (u64, u64) {
        for _ in 0..steps {
            self.step();
        }
        self.calm_down();
        self.every_client_has_its_answers();
        self.every_watcher_knows_the_truth();
        self.the_changes_add_up_to_what_is_live();
        if self.rng.chance(30) {
            self.stop_with_replies_in_flight();
        } else {
            self.everybody_leaves();
            self.a_new_client_is_served();
            self.everything_expires();
        }
        (self.net.events, self.watchers)
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..3 => self.connect(),
            3..30 => self.talk(),
            30..50 => self.deliver_some(),
            50..60 => self.take_some(),
            60..62 if self.rng.chance(self.hostile) => self.break_one(),
            62 if self.rng.chance(self.hostile) => self.lose_power(),
            65..70 => self.send_datagram(),
            63..65 if self.rng.chance(self.hostile) => {
                self.net.descriptors_out = self.rng.below(50)
            }
            _ => {
                let passed = self.pass_time();
                self.turn(passed);
            }
        }
    }

    fn connect(&mut self) {
        if self.clients.len() < 60 {
            let number = self.net.connect();
            let (seed, token) = (self.rng.next(), self.token);
            self.clients.push(if self.rng.chance(self.web) {
                let model = &mut self.engine.handler_mut().model;
                model.shows_each_time(number);
                Box::new(Web::new(number, seed, token, self.clock))
            } else {
                Box::new(Client::new(number, seed, token, self.clock))
            });
        }
    }

    fn any_client(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.rng.index(self.clients.len()))
    }

    fn talk(&mut self) {
        let Some(i) = self.any_client() else { return };
        let uuids = self.uuids();
        let client = &mut self.clients[i];
        let pipe = &mut self.net.pipes[client.number()];
        if pipe.client_ended || pipe.reset {
            return;
        }
        let bytes = client.next_bytes(&uuids);
        self.net.send(client.number(), &bytes);
        let tired = if client.is_watching() { 2 } else { 20 };
        if client.is_finished() && self.rng.chance(tired) {
            self.net.pipes[client.number()].client_ended = true;
        }
    }

    fn deliver_some(&mut self) {
        let Some(i) = self.any_client() else { return };
        let n = if self.rng.chance(50) {
            self.rng.between(1, 8)
        } else {
            20_000
        };
        self.net.deliver(self.clients[i].number(), n as usize);
    }

    fn take_some(&mut self) {
        let Some(i) = self.any_client() else { return };
        let n = if self.rng.chance(self.lazy) {
            self.rng.between(1, 8)
        } else {
            20_000
        };
        self.net.take(self.clients[i].number(), n as usize);
    }

    /// Sends one request as a datagram; none that needs a session.
    fn send_datagram(&mut self) {
        let from = (Ipv4Addr::LOCALHOST, 1 + self.rng.below(9) as u16).into();
        let mut client = Client::new(usize::MAX, self.rng.next(), None, self.clock);
        let uuids = self.uuids();
        let line = client.datagram(&uuids);
        self.net.send_datagram(from, &line);
        self.net.deliver_datagrams();
    }

    /// Checks that each answered datagram got its own answer, in order, unless there was no room.
    fn check_datagrams(&mut self) {
        let expected = std::mem::take(&mut self.engine.handler_mut().answers);
        let answers = std::mem::take(&mut self.net.datagrams.answers);
        assert_eq!(answers.len(), expected.len());
        for ((to, sent), (from, reply)) in answers.into_iter().zip(expected) {
            assert_eq!(to, from);
            if let Some(sent) = sent {
                assert_eq!(String::from_utf8_lossy(&sent), format!("{reply}\n"));
            }
        }
    }

    fn uuids(&self) -> Vec<String> {
        let log = self.log.borrow();
        log.values().flatten().filter_map(Exchange::uuid).collect()
    }

    fn break_one(&mut self) {
        if let Some(i) = self.any_client() {
            self.net.reset(self.clients[i].number());
        }
    }

    /// A host loses its power.
    fn lose_power(&mut self) {
        if let Some(i) = self.any_client() {
            let number = self.clients[i].number();
            if !self.net.pipes[number].is_going_dark() {
                self.net.go_dark(number);
                self.dark.push((number, self.stalled));
            }
        }
    }

    /// Checks that no dark host is taken for a live one longer than promised, and no live host for a
    /// dead one.
    fn the_dead_are_noticed(&mut self) {
        for &(client, stalled_before) in &self.dark {
            let pipe = &self.net.pipes[client];
            let Some((time, since)) = pipe.guarded.zip(pipe.dark_since) else {
                continue;
            };
            // What a dead host has sent before may be run later, and ask for less time.
            let since = since.max(pipe.guarded_since);
            // Three looks decide, each at the end of a step; and TCP counts in whole seconds, which
            // matters where the time is short.
            let time = time + 4 * TURNS_APART_MAX + (self.stalled - stalled_before);
            assert!(
                pipe.closed || self.clock - since <= time,
                "client {client} is dark since {since:?}, and is still there at {:?}: {pipe:?}",
                self.clock
            );
        }
        let failed = |pipe: &&Pipe| pipe.has_failed || (pipe.is_going_dark() && pipe.closed);
        let count = self.net.pipes.iter().filter(failed).count() as u64;
        let told = self.engine.handler().failed;
        assert!(told <= count, "{told} have failed, but only {count} did");
    }

    /// The time until the next turn: mostly short, sometimes at the deadline or just past it, rarely
    /// far beyond it.
    fn pass_time(&mut self) -> Duration {
        if self.rng.chance(self.stall) {
            return Duration::from_millis(self.rng.between(1, 60_000));
        }
        match self.rng.below(10) {
            0..6 => Duration::from_micros(self.rng.below(3_000)),
            6..8 => Duration::from_millis(self.rng.below(400)),
            _ => self
                .wait
                .unwrap_or(Duration::from_secs(1))
                .min(TURNS_APART_MAX),
        }
    }

    fn turn(&mut self, passed: Duration) {
        self.clock += passed;
        let slept = self.wait.unwrap_or(passed);
        self.stalled += passed.saturating_sub(TURNS_APART_MAX);
        self.net.advance(self.clock);
        if let Some(kept) = &mut self.kept {
            kept.pass(passed);
        }
        let before = self.engine.handler().now;
        let events = self.net.events();
        let wall = WallTime::from_unix_millis(1_800_000_000_000 + self.clock.as_millis() as i64);
        let reading = Reading {
            monotonic: self.clock,
            wall,
            ..Reading::default()
        };
        let turned = self.engine.turn(&mut self.net, events, false, reading);
        self.wait = turned.wait;
        self.history.apply(turned.changes);
        let pipes = self
            .clients
            .iter()
            .map(|client| (client.number(), &self.net.pipes[client.number()]));
        if let Some(kept) = self.kept.as_mut().filter(|_| !self.engine.is_stopping()) {
            kept.check(&self.history, pipes);
        }
        if !self.engine.is_held() {
            let shadowed = self.engine.handler_mut();
            shadowed.timers_at = shadowed.uptime;
        }
        let shadowed = self.engine.handler_mut();
        shadowed
            .model
            .nobody_is_forgotten(shadowed.timers_at, shadowed.now);
        self.the_dead_are_noticed();
        self.check_datagrams();
        // Of a pause, registry time counts no more than of a turn that is a little late.
        let tick = self.settings.tick;
        let allowed = (2 * tick).max(passed.min(slept + tick));
        let advanced = self.engine.handler().now.since(before);
        assert!(
            advanced <= allowed + Duration::from_millis(1),
            "registry time advanced by {advanced:?} at once"
        );
        self.engine.check_invariants();
        let spent = self.engine.work_spent();
        assert!(spent <= TURN_WORK_MAX + 2_000, "a turn of {spent} units");
        assert!(self.engine.connections() <= self.settings.connections_max + LINGERING_REFUSED_MAX);
        for client in &mut self.clients {
            client.check_prefix(
                &self.net.pipes[client.number()],
                self.log.borrow().get(&client.number()),
            );
        }
    }

    /// The faults stop, everything under way arrives, and every client reads: the service must become
    /// idle by itself.
    fn calm_down(&mut self) {
        self.net.faults = Faults::default();
        self.engine.handler_mut().parking.answer_all();
        self.net.descriptors_out = 0;
        if let Some(kept) = &mut self.kept {
            kept.calm_down();
        }
        for _ in 0..10_000 {
            self.net.deliver_datagrams();
            for client in &self.clients {
                self.net.deliver(client.number(), usize::MAX);
                self.net.take(client.number(), usize::MAX);
            }
            let passed = match self.wait {
                Some(Duration::ZERO) => Duration::ZERO,
                // A timer retries a listener that has backed off.
                _ if self.net.has_backlog() => Duration::from_millis(50),
                _ => Duration::from_micros(100),
            };
            self.turn(passed);
            let is_saved = self.kept.as_ref().is_none_or(|kept| kept.file.is_quiet());
            if self.net.is_quiet() && is_saved && self.wait != Some(Duration::ZERO) {
                return;
            }
        }
        panic!("the service does not become idle");
    }

    fn every_client_has_its_answers(&mut self) {
        for client in &mut self.clients {
            let log = self.log.borrow();
            let pipe = &self.net.pipes[client.number()];
            // What it has taken since the last turn.
            client.check_prefix(pipe, log.get(&client.number()));
            let circumstances = Circumstances {
                now: self.clock,
                idle_ms_max: self.settings.idle_ms_max,
                stopped: self.engine.is_stopped(),
                is_waiting: self
                    .engine
                    .handler()
                    .model
                    .follow
                    .is_waiting(client.number()),
            };
            client.check_complete(pipe, log.get(&client.number()), circumstances);
        }
    }

    fn every_watcher_knows_the_truth(&mut self) {
        let shadowed = self.engine.handler_mut();
        for client in &self.clients {
            let (log, pipe) = (shadowed.log.borrow(), &self.net.pipes[client.number()]);
            if let Some((watched, picture)) = client.picture(pipe, log.get(&client.number())) {
                assert_eq!(
                    picture,
                    &shadowed.model.picture(watched, shadowed.now),
                    "watcher {}",
                    client.number()
                );
                self.watchers += 1;
            }
        }
    }

    fn the_changes_add_up_to_what_is_live(&mut self) {
        let shadowed = self.engine.handler_mut();
        let live = shadowed.model.registrations(shadowed.now);
        assert_eq!(self.history.live(), &live);
    }

    fn everybody_leaves(&mut self) {
        for client in &mut self.clients {
            let pipe = &self.net.pipes[client.number()];
            if !pipe.is_going_dark() && !self.net.pipes[client.number()].client_ended {
                let bytes = client.rest();
                self.net.send(client.number(), &bytes);
                self.net.pipes[client.number()].client_ended = true;
            }
        }
        self.calm_down();
        self.every_client_has_its_answers();
        self.clients.clear();
        for _ in 0..10_000 {
            if self.engine.connections() == 0 {
                return;
            }
            // Refused connections linger, and dark hosts are noticed without help.
            let end = self.net.next_end().map(|at| at - self.clock);
            let passed = self.wait.into_iter().chain(end).min();
            self.turn(passed.unwrap_or_default());
        }
        panic!("{} connections were not closed", self.engine.connections());
    }

    fn a_new_client_is_served(&mut self) {
        let number = self.net.connect();
        let mut client = Client::polite(number, self.token, self.clock);
        let bytes = client.rest();
        self.net.send(number, &bytes);
        self.net.pipes[number].client_ended = true;
        self.clients.push(Box::new(client));
        self.calm_down();
        assert!(self.net.pipes[number].closed, "served and closed");
        assert!(!self.net.pipes[number].received.is_empty());
        self.every_client_has_its_answers();
    }

    /// Driven only by its own deadlines, the service expires every registration and then sleeps.
    fn everything_expires(&mut self) {
        for _ in 0..2_000 {
            let Some(wait) = self.wait else {
                assert!(
                    self.engine.handler().service.registry().is_empty(),
                    "it sleeps although there are registrations"
                );
                assert_eq!(
                    self.history.live().len(),
                    0,
                    "every removal is in the changes"
                );
                return;
            };
            assert!(
                wait <= self.settings.tick,
                "with registrations it wakes once a tick"
            );
            self.turn(wait);
        }
        panic!("not all registrations expire");
    }

    fn stop_with_replies_in_flight(&mut self) {
        for client in &mut self.clients {
            let pipe = &self.net.pipes[client.number()];
            if !pipe.client_ended && !pipe.reset && !pipe.closed {
                let bytes = client.whole_commands();
                self.net.send(client.number(), &bytes);
                self.net.deliver(client.number(), usize::MAX);
            }
        }
        // Where answers wait for the state file, it takes two turns more until a watcher is told anything.
        for _ in 0..if self.kept.is_some() { 3 } else { 1 } {
            self.turn(Duration::ZERO);
        }
        self.engine.stop(&mut self.net);
        assert!(!self.net.listening);
        let begun = self.clock;
        while !self.engine.is_stopped() {
            for client in &self.clients {
                self.net.take(client.number(), usize::MAX);
                if self.net.pipes[client.number()].shut {
                    self.net.pipes[client.number()].client_ended = true;
                    self.net.deliver(client.number(), usize::MAX);
                }
            }
            let wait = self
                .wait
                .unwrap_or(Duration::from_millis(1))
                .min(Duration::from_millis(1));
            self.turn(wait);
            assert!(
                self.clock - begun <= Duration::from_millis(2_001),
                "it does not stop"
            );
        }
        self.net.reset_backlog();
        for client in &self.clients {
            self.net.take(client.number(), usize::MAX);
        }
        self.every_client_has_its_answers();
    }
}
