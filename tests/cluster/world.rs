//! Nodes, services and an etcd, and what goes wrong.

use std::collections::BTreeSet;

use discovery_service::cluster::Name;
use discovery_service::message::{Reason, ServiceAddress};

use crate::etcd::Etcd;
use crate::face::{Face, Heard, LEASE_S, layout, name};
use crate::rng::Rng;

const STEP_MS: u64 = 10;
pub const TTL_MS: u32 = 6_000;
/// Milliseconds after which a connection is closed whose service is held elsewhere.
const CLOSE_MS: u64 = 1_000;
/// Milliseconds after which all must be as it should, behind the last fault.
const CALM_MS: u64 = 40_000;

/// How much goes wrong at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// One fault after another, none longer than it may last unseen: nobody is told that a live service
    /// is down.
    Fair,
    /// Anything at once: in the end all is as it should.
    Foul,
    /// What the test does: who is told that what is gone is noted.
    Chosen,
}

pub struct World {
    rng: Rng,
    weather: Weather,
    pub now: u64,
    pub etcd: Etcd,
    backup: Etcd,
    pub faces: Vec<Option<Face>>,
    pub services: Vec<Service>,
    faces_made: u64,
    services_made: u128,
    /// What ends by itself, and when.
    ends: Vec<(u64, End)>,
    /// What went wrong, for a look at a seed that fails.
    log: Vec<(u64, String)>,
    /// What was told as gone: when, at which node, and what.
    pub downs: Vec<(u64, usize, Name)>,
}

pub struct Service {
    pub name: Name,
    pub address: ServiceAddress,
    pub home: usize,
    pub beat_at: u64,
    /// When it was registered.
    since: u64,
    /// When a node has heard of it last.
    heard: u64,
    pub state: State,
    /// Where a connection holds it, and since when that process runs, if it is held.
    held_at: Option<(usize, u64)>,
    is_held: bool,
    /// What it was called before, where it is held.
    before: Vec<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Live,
    /// It sends no heartbeats any more.
    Silent,
    Deregistered,
}

enum End {
    Cut(usize),
    Suspension(usize),
    Death(usize),
    Outage,
    Fullness,
    Lateness(usize),
    /// The connection that has held it there.
    Hold(usize, Name),
}

impl World {
    pub fn new(seed: u64, nodes: usize, weather: Weather) -> Self {
        let mut world = World {
            rng: Rng::new(seed),
            weather,
            now: 0,
            etcd: Etcd::new(),
            backup: Etcd::new(),
            faces: Vec::new(),
            services: Vec::new(),
            faces_made: 0,
            services_made: 0,
            ends: Vec::new(),
            log: Vec::new(),
            downs: Vec::new(),
        };
        for _ in 0..nodes {
            let face = world.face();
            world.faces.push(Some(face));
        }
        world
    }

    fn face(&mut self) -> Face {
        self.faces_made += 1;
        Face::new(self.faces_made, self.rng.next(), self.now)
    }

    /// Runs for so many milliseconds with faults, then without, and checks the end.
    pub fn run(mut self, ms: u64) {
        self.pass(3_000);
        for _ in 0..6 {
            self.begin_service();
        }
        let mut next_fault = self.now + 3_000;
        let end = self.now + ms;
        while self.now < end {
            if self.now >= next_fault {
                next_fault = self.now + self.begin_fault();
            }
            // A service that goes to a node that is cut is down elsewhere, for nobody could tell.
            let is_fault = |end: &(u64, End)| !matches!(end.1, End::Hold(..));
            let is_calm = !self.ends.iter().any(is_fault) && self.now + 3_000 < next_fault;
            self.live(is_calm || self.weather == Weather::Foul);
            self.pass(STEP_MS);
        }
        self.end_faults();
        self.pass(CALM_MS);
        self.check_end();
    }

    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms / STEP_MS {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += STEP_MS;
        let now = self.now;
        let (over, left) = std::mem::take(&mut self.ends)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.ends = left;
        let over: Vec<(u64, End)> = over;
        for (_, end) in over {
            self.end(end);
        }
        self.etcd.pass(now);
        for service in 0..self.services.len() {
            if self.services[service].state == State::Live && self.services[service].beat_at <= now
            {
                self.beat(service);
            }
        }
        for face in self.faces.iter_mut().flatten() {
            face.turn(&mut self.etcd, STEP_MS, now);
        }
        self.check_downs();
    }

    /// What services do by themselves.
    fn live(&mut self, may_move: bool) {
        if self.rng.below(3_000) < STEP_MS && self.services.len() < 40 {
            self.begin_service();
        }
        if self.services.is_empty() || self.rng.below(1_000) >= STEP_MS {
            return;
        }
        let service = self.rng.index(self.services.len());
        if self.services[service].state != State::Live {
            return;
        }
        match self.rng.below(8) {
            0 => self.silence(service),
            1 => self.deregister(service),
            _ if may_move => self.move_service(service),
            _ => {}
        }
    }

    fn silence(&mut self, at: usize) {
        self.services[at].state = State::Silent;
        self.end_hold(at, 0);
    }

    /// The connection that holds it ends after so many milliseconds, if there is one.
    fn end_hold(&mut self, at: usize, after_ms: u64) {
        let service = &self.services[at];
        if let Some((node, _)) = service.held_at {
            let end = End::Hold(node, service.name.clone());
            self.ends.push((self.now + after_ms, end));
        }
    }

    fn begin_service(&mut self) {
        let home = self.rng.index(self.faces.len());
        let is_held = self.rng.chance(25);
        self.begin_at(home, is_held);
    }

    /// A new service that a connection to this node holds.
    pub fn begin_held_at(&mut self, home: usize) {
        self.begin_at(home, true);
    }

    /// A new service that begins at this node.
    pub fn begin_service_at(&mut self, home: usize) {
        self.begin_at(home, false);
    }

    fn begin_at(&mut self, home: usize, is_held: bool) {
        self.services_made += 1;
        let number = self.services_made;
        let service_type = ["hive", "a/b"][self.rng.index(2)];
        let port = 1_000 + number as u64;
        self.services.push(Service {
            name: name(service_type, number),
            address: ServiceAddress::new("10.0.0.7", port).expect("an address"),
            home,
            beat_at: self.now + self.rng.below(u64::from(TTL_MS) / 3),
            since: 0,
            heard: 0,
            state: State::Live,
            held_at: None,
            is_held,
            before: Vec::new(),
        });
    }

    fn is_up(&self, node: usize) -> bool {
        self.faces[node]
            .as_ref()
            .is_some_and(|face| !face.suspended)
    }

    /// A heartbeat, or a registration, or the way to another node.
    fn beat(&mut self, at: usize) {
        let now = self.now;
        let service = &self.services[at];
        if !self.is_up(service.home) {
            self.services[at].beat_at = now + 500;
            self.move_service(at);
            return;
        }
        if self.services[at].is_held {
            return self.hold_on(at);
        }
        let service = &mut self.services[at];
        let Some(face) = &mut self.faces[service.home] else {
            return;
        };
        service.beat_at = now + u64::from(TTL_MS) / 3;
        let is_new = service.heard == 0;
        let heard = if is_new {
            Heard::Unknown
        } else {
            face.hear(&service.name, now)
        };
        match heard {
            Heard::Ok => service.heard = now,
            Heard::NotReady => service.beat_at = now + 200,
            Heard::Unknown => {
                // A node that dies at once may take it with it.
                let is_young = now - service.since <= TTL_MS.into();
                // What is in no lease any more, a new process cannot know.
                let is_unseen = face.born > service.heard;
                let is_over = now - service.heard >= TTL_MS.into();
                assert!(
                    is_new || is_young || is_over || is_unseen || self.weather != Weather::Fair,
                    "at {now}: node {} says that it does not know {:?}",
                    service.home,
                    service.name
                );
                if face.register(&service.name, (service.address, TTL_MS), now) {
                    (service.since, service.heard) = (now, now);
                }
            }
        }
    }

    /// A connection is there as long as its node; then another one holds the service, under another name.
    fn hold_on(&mut self, at: usize) {
        let now = self.now;
        let service = &mut self.services[at];
        let Some(face) = &mut self.faces[service.home] else {
            return;
        };
        service.beat_at = now + 200;
        let is_same = service.held_at == Some((service.home, face.born));
        if is_same && face.registry.own.contains_key(&service.name) {
            service.heard = now;
            return;
        }
        assert!(
            !is_same || self.weather == Weather::Foul,
            "at {now}: node {} has dropped {:?}",
            service.home,
            service.name
        );
        let before = service.held_at.replace((service.home, face.born));
        if before.is_some() || service.heard > 0 {
            self.services_made += 1;
            let new = name(&service.name.service_type, self.services_made);
            service
                .before
                .push(std::mem::replace(&mut service.name, new));
        }
        face.hold(&service.name, service.address, TTL_MS, now);
        (service.since, service.heard) = (now, now);
        if let (Some((node, _)), Some(name)) = (before, service.before.last()) {
            self.ends
                .push((now + CLOSE_MS, End::Hold(node, name.clone())));
        }
    }

    fn move_service(&mut self, at: usize) {
        let to = self.rng.index(self.faces.len());
        let has = |face: &Face| face.has(&self.services[at].name);
        let knows = self.faces[to].as_ref().is_some_and(has);
        if self.is_up(to) && (knows || self.weather == Weather::Foul) {
            self.services[at].home = to;
        }
    }

    fn deregister(&mut self, at: usize) {
        let to = self.rng.index(self.faces.len());
        if self.is_up(to) {
            self.deregister_at(at, to);
        }
    }

    pub fn deregister_at(&mut self, at: usize, to: usize) {
        let (name, now) = (self.services[at].name.clone(), self.now);
        if let Some(face) = &mut self.faces[to]
            && face.deregister(&name, now)
        {
            self.services[at].state = State::Deregistered;
            // A node that dies at once takes the removal with it, as it does with a heartbeat.
            self.end_hold(at, TTL_MS.into());
        }
    }

    /// Lets something go wrong, and says in how many milliseconds the next may.
    fn begin_fault(&mut self) -> u64 {
        if self.weather == Weather::Foul {
            self.fault(20_000);
            return self.rng.below(4_000);
        }
        // A node may be cut for as long as its lease lasts, and the grace; then all is put again.
        let ms = self.fault(1_000 * LEASE_S);
        ms + 12_000
    }

    /// Lets something go wrong for so many milliseconds at most. Returns for how many.
    fn fault(&mut self, ms_max: u64) -> u64 {
        let ms = self.rng.between(100, ms_max);
        let node = self.rng.index(self.faces.len());
        let until = self.now + ms;
        let kind = self.rng.below(13);
        self.log
            .push((self.now, format!("fault {kind} of {ms} ms, node {node}")));
        match kind {
            0 | 1 => self.cut(node, until),
            2 => self.suspend(node, until),
            3 => self.kill(node, until),
            4 => self.stop_etcd(until),
            5 => self.etcd.revoke_all(),
            6 => self.etcd.delete_all(),
            7 => self.etcd.compact(),
            8 => self.etcd.wipe(),
            9 => self.restore(),
            10 => self.back_up(),
            11 => {
                self.etcd.is_full = true;
                self.ends.push((until, End::Fullness));
            }
            _ => {
                if let Some(face) = &mut self.faces[node] {
                    face.link.late_percent = 30;
                }
                self.ends.push((until, End::Lateness(node)));
            }
        }
        ms
    }

    pub fn suspend(&mut self, node: usize, until: u64) {
        if let Some(face) = &mut self.faces[node] {
            face.suspended = true;
        }
        self.ends.push((until, End::Suspension(node)));
    }

    /// Another etcd answers in the place of this one, or this one again.
    pub fn exchange_etcd(&mut self, other: &mut Etcd) {
        std::mem::swap(&mut self.etcd, other);
    }

    pub fn stop_etcd(&mut self, until: u64) {
        self.etcd.is_up = false;
        self.ends.push((until, End::Outage));
    }

    pub fn back_up(&mut self) {
        self.backup = self.etcd.clone();
    }

    pub fn restore(&mut self) {
        self.etcd.restore(&self.backup, self.now);
    }

    pub fn cut(&mut self, node: usize, until: u64) {
        let now = self.now;
        if let Some(face) = &mut self.faces[node] {
            face.link.cut(now);
        }
        self.ends.push((until, End::Cut(node)));
    }

    /// The next change is not told to this node.
    pub fn lose_change(&mut self, node: usize) {
        if let Some(face) = &mut self.faces[node] {
            face.link.loses_change = true;
        }
    }

    pub fn kill(&mut self, node: usize, until: u64) {
        if self.faces.iter().flatten().count() > 1 {
            if let Some(face) = self.faces[node].take() {
                self.log.extend(said(node, face.log));
            }
            self.ends.push((until, End::Death(node)));
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Outage => self.etcd.start(self.now),
            End::Fullness => self.etcd.is_full = false,
            End::Death(node) => {
                let face = self.face();
                self.faces[node].get_or_insert(face);
            }
            End::Hold(node, name) => match &mut self.faces[node] {
                Some(face) if face.suspended => {
                    let later = (self.now + CLOSE_MS, End::Hold(node, name));
                    self.ends.push(later);
                }
                Some(face) => face.close(&name, self.now),
                None => {}
            },
            End::Cut(node) | End::Suspension(node) | End::Lateness(node) => {
                let Some(face) = &mut self.faces[node] else {
                    return;
                };
                match end {
                    End::Cut(_) => face.link.is_cut = false,
                    End::Suspension(_) => face.suspended = false,
                    _ => face.link.late_percent = 0,
                }
            }
        }
    }

    fn end_faults(&mut self) {
        for (_, end) in std::mem::take(&mut self.ends) {
            self.end(end);
        }
        self.etcd.start(self.now);
    }

    /// Nobody may be told that a service is gone of which a node has heard within its TTL.
    fn check_downs(&mut self) {
        let now = self.now;
        for (node, face) in self.faces.iter_mut().enumerate() {
            let Some(face) = face else { continue };
            for (name, reason) in face.downs.drain(..) {
                if self.weather == Weather::Chosen {
                    self.downs.push((now, node, name));
                    continue;
                }
                let is =
                    |service: &&Service| service.name == name || service.before.contains(&name);
                let of = self.services.iter().find(is);
                let is_live = of.is_some_and(|service| {
                    service.state == State::Live && now - service.heard < TTL_MS.into()
                });
                // A node that wakes may see the end of a connection before it is told who holds it now.
                let is_closed = reason == Reason::ConnectionClosed;
                assert!(
                    self.weather == Weather::Foul || !is_live || is_closed,
                    "at {now}: node {node} says that {name:?} is gone: {reason}",
                    reason = Reason::as_str(reason)
                );
            }
        }
    }

    /// Every node has what lives, one owns it, and etcd tells so.
    pub fn check_end(&self) {
        let live = self.services.iter();
        let live: BTreeSet<&Name> = live
            .filter(|service| service.state == State::Live)
            .map(|service| &service.name)
            .collect();
        let mut owners = Vec::new();
        for (at, face) in self.faces.iter().enumerate() {
            let face = face.as_ref().expect("all live again");
            let (own, replicas) = (&face.registry.own, &face.registry.replicas);
            let all: BTreeSet<&Name> = own.keys().chain(replicas.keys()).collect();
            let wrong: Vec<&&Name> = all.symmetric_difference(&live).collect();
            assert!(wrong.is_empty(), "node {at} is wrong about {wrong:?}");
            assert!(face.node.is_settled(), "node {at} has nothing to write");
            assert_eq!(face.node.orphans_len(), 0, "node {at}");
            assert_eq!(face.node.nodes().count(), self.faces.len(), "node {at}");
            owners.extend(own.keys());
            let owner = |name: &Name| face.node.owner(name);
            for other in self.faces.iter().flatten() {
                for name in other.registry.own.keys() {
                    assert_eq!(owner(name), other.node.owner(name), "node {at} on {name:?}");
                }
            }
        }
        owners.sort();
        let live: Vec<&Name> = live.into_iter().collect();
        assert_eq!(owners, live, "each is owned by one node");
        let from = [layout().from(), b"reg/".to_vec()].concat();
        let in_etcd = self.etcd.keys.keys().filter(|key| key.starts_with(&from));
        assert_eq!(in_etcd.count(), live.len(), "etcd has what is live");
    }
}

fn said(node: usize, log: Vec<(u64, String)>) -> impl Iterator<Item = (u64, String)> {
    let line = move |(at, line): (u64, String)| (at, format!("node {node}: {line}"));
    log.into_iter().map(line)
}

impl Drop for World {
    /// Where it fails, and `CLUSTER_LOG` is set, it says what has happened; of what concerns one
    /// registration, only where its name has what `CLUSTER_LOG` says.
    fn drop(&mut self) {
        let Ok(wanted) = std::env::var("CLUSTER_LOG") else {
            return;
        };
        if !std::thread::panicking() {
            return;
        }
        for (node, face) in self.faces.iter_mut().enumerate() {
            let log = face.as_mut().map(|face| std::mem::take(&mut face.log));
            self.log.extend(said(node, log.unwrap_or_default()));
        }
        self.log.sort_by_key(|line| line.0);
        for (at, line) in &self.log {
            if line.contains(&wanted) || !line.contains('/') && !line.contains("id:") {
                println!("{at} {line}");
            }
        }
    }
}
