//! Worlds in which every budget binds: more than a hundred thousand services, and a thousand
//! connections that pipeline.
//!
//! The registry is filled through its own interface, and the model is told. As in the small worlds, the
//! model checks every answer; what is O(n) is checked once in so many turns. After each turn the work
//! that it spent has its bound, and every client that waits has waited for a bounded number of turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use discovery_service::engine::{Engine, Reading, Settings};
use discovery_service::limits::{
    ANSWER_RECORDS_MAX, BYTES_A_UNIT, FIRST_SHARE_WORK_MAX, RECORDS_A_UNIT, SHARE_WORK_MAX,
    TURN_PARTS_WORK_MAX, TURN_READ_LEN_MAX, TURN_SWEEP_MAX, TURN_WORK_MAX, TURN_WRITE_LEN_MAX,
    VISIT_WORK,
};
use discovery_service::message::ServiceAddress;
use discovery_service::registry::{KeyedHash, Registration};
use discovery_service::time::Moment;
use serde_json::Value;

use crate::client::Exchange;
use crate::model::Model;
use crate::net::{FakeNetwork, Faults};
use crate::parking::Parking;
use crate::rig::{TICK_MS, TTL_MS, sockets, uuid};
use crate::rng::Rng;
use crate::stream::Stream;
use crate::world::{Shadowed, SimulatedRegistry, SimulatedService};
use crate::{SEEDS, from_env};

/// Small worlds for each crowd.
const WORLDS_A_CROWD: u64 = 400;
/// Turns in which everybody talks. The short-lived expire in the middle.
const TURNS: usize = 260;
/// Turns from one check of what is O(n) to the next.
const TURNS_A_CHECK: usize = 32;
/// Registrations that expire together.
const MAYFLIES: usize = 100_000;
/// Registrations of the type that all know.
const SMALL: usize = 10;
const LONG_TTL: Duration = Duration::from_secs(86_400);
/// Requests that a flood has under way.
const PIPELINED: usize = 1_500;
/// Bytes that the kernel takes for a client. Less than one turn writes: who reads a long answer waits for
/// room then, and not behind those that always have something to do.
const ROOM: usize = TURN_WRITE_LEN_MAX / 2;

/// What floods send. The model need not look at everything to check the answers.
const FLOODS: [&str; 5] = ["stats\n", "ping\n", "heartbeat x\n", "help\n", "why x\n"];
/// One flood in so many registers what lives for a second. The model looks at everything for each.
const BREEDERS_ONE_IN: usize = 480;
const BREED: &str = "register brief 10.0.0.1 80 ttl=1\n";

/// Units of the longest visit to a session that had nothing to do before: its share, its system calls,
/// and the last request, which may pass the share.
const WOKEN_VISIT: usize = FIRST_SHARE_WORK_MAX + VISIT_WORK + 64;
/// Units of the longest visit to a session that always has something to do.
const HEAVY_VISIT: usize = SHARE_WORK_MAX
    + VISIT_WORK
    + 64
    + (TURN_READ_LEN_MAX + TURN_WRITE_LEN_MAX) / BYTES_A_UNIT as usize;
/// Visits that a turn makes to those that had nothing to do before, if as many wait: the sweep takes half
/// of its work at most, and those that were put off a quarter.
const WOKEN_A_TURN: usize = TURN_WORK_MAX as usize / 4 / WOKEN_VISIT;
/// Visits that a turn makes at least to those that always have something to do: a quarter of its work.
const HEAVY_A_TURN: usize = TURN_WORK_MAX as usize / 4 / HEAVY_VISIT;
/// Turns in which the longest answer goes through the network.
const SNAPSHOT_TURNS: usize = 32;
/// Turns in which the sweep may be behind: it looks at each twice, for the wheel tells of a later deadline
/// coarsely first.
const SWEEP_TURNS: usize = 2 * MAYFLIES / TURN_SWEEP_MAX + 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Sends the same line again and again, without waiting for answers.
    Flood(&'static str),
    /// Asks for little, now and then.
    Polite,
    /// Registers and removes services of the large type.
    Changer,
    /// Asks for all of the large type, always together with the others who do.
    Curious,
    /// Watches the large type.
    Watcher,
}

/// How many clients of each role a crowd has.
const ROLES: [(Role, usize); 4] = [
    (Role::Polite, 20),
    (Role::Changer, 4),
    (Role::Curious, CURIOUS),
    (Role::Watcher, WATCHERS),
];
const CURIOUS: usize = 8;
const WATCHERS: usize = 4;
const FLOODING: usize = 964;

struct Member {
    /// Its number in the network.
    number: usize,
    role: Role,
    /// Requests without an answer of the service.
    unanswered: usize,
    /// The turn of the last answer, or of the request if it waits for the first.
    since: usize,
    /// Bytes that the service has answered and the client has not received.
    due: Vec<u8>,
    /// What has arrived of an answer about the large type.
    long_answer: Vec<u8>,
    stream: Stream,
}

struct Crowd {
    rng: Rng,
    net: FakeNetwork,
    engine: Engine<FakeNetwork, Shadowed>,
    members: Vec<Member>,
    clock: Duration,
    turns: usize,
    wait: Option<Duration>,
    /// Registrations of the large type at the beginning.
    hive: usize,
}

fn address(rng: &mut Rng) -> ServiceAddress {
    let ip = format!("10.0.{}.{}", rng.below(4), rng.between(1, 250));
    ServiceAddress::new(&ip, rng.between(1, 65_535)).expect("an address")
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let hive = if seed.is_multiple_of(2) {
            50_000
        } else {
            2_000
        };
        let ttl = Duration::from_millis(TTL_MS);
        let services_max = 200_000;
        let mut registry = SimulatedRegistry::new(services_max as u32, KeyedHash::new(0x5eed));
        let mut model = Model::new(services_max, ttl, None);
        for n in 0..SMALL + hive + MAYFLIES {
            let (service_type, ttl) = match n {
                _ if n < SMALL => ("small".to_owned(), LONG_TTL),
                _ if n < SMALL + hive => ("hive".to_owned(), LONG_TTL),
                _ => (format!("mayfly-{}", rng.below(100)), Duration::from_secs(1)),
            };
            let registration = Registration {
                uuid: uuid(n as u64),
                service_type: &service_type,
                address: address(&mut rng),
                ttl,
                labels: None,
            };
            model.begin_with(&registration);
            registry
                .register(Moment::START, registration)
                .expect("there is room");
        }
        registry.clear_changes();
        let mut last = 1_000_000;
        let uuids = Box::new(move || {
            last += 1;
            uuid(last)
        });
        let service = SimulatedService::new(registry, uuids, ttl);
        let shadowed = Shadowed::new(service, model, Parking::new(Rng::new(rng.next()), 0));
        let net = FakeNetwork::new(
            Rng::new(rng.next()),
            Faults::of_streams(&mut rng),
            shadowed.owners.clone(),
        );
        let settings = Settings {
            connections_max: 2_000,
            idle_ms_max: None,
            tick: Duration::from_millis(TICK_MS),
            ttl,
        };
        let mut crowd = Crowd {
            rng,
            net,
            engine: Engine::new(settings, shadowed, sockets(), Duration::ZERO),
            members: Vec::new(),
            clock: Duration::ZERO,
            turns: 0,
            wait: None,
            hive,
        };
        crowd.gather();
        crowd
    }

    /// Connects all members, in any order.
    fn gather(&mut self) {
        let mut roles: Vec<Role> = ROLES
            .iter()
            .flat_map(|&(role, count)| std::iter::repeat_n(role, count))
            .collect();
        for n in 0..FLOODING {
            let line = if n % BREEDERS_ONE_IN == 0 {
                BREED
            } else {
                FLOODS[self.rng.index(FLOODS.len())]
            };
            roles.push(Role::Flood(line));
        }
        while !roles.is_empty() {
            let role = roles.swap_remove(self.rng.index(roles.len()));
            let number = self.net.connect();
            self.net.pipes[number].room = ROOM;
            self.members.push(Member {
                number,
                role,
                unanswered: 0,
                since: 0,
                due: Vec::new(),
                long_answer: Vec::new(),
                stream: Stream::default(),
            });
        }
        while self.engine.connections() < self.members.len() {
            self.turn();
        }
    }

    /// Runs the crowd; panics when a promise is broken.
    fn run(mut self) {
        let begun = self.turns;
        while self.turns < begun + TURNS {
            self.talk(begun);
            self.turn();
        }
        let mayflies = self.engine.handler().registry().types();
        let mayflies = mayflies.filter(|view| view.name().starts_with("mayfly"));
        assert_eq!(mayflies.count(), 0, "they have expired");
        self.the_floods_break_off();
        self.every_watcher_knows_the_truth();
        let shadowed = self.engine.handler_mut();
        let live = shadowed.model.live(shadowed.now);
        assert_eq!(shadowed.registry().len(), live);
    }

    /// Everybody sends what its role says.
    fn talk(&mut self, begun: usize) {
        let turn = self.turns - begun;
        for member in &mut self.members {
            let rng = &mut self.rng;
            let waits = member.unanswered > 0;
            let (lines, count) = match member.role {
                Role::Flood(line) if member.unanswered < PIPELINED / 2 => {
                    let more = PIPELINED - member.unanswered;
                    (line.repeat(more), more)
                }
                Role::Polite if !waits && rng.chance(25) => {
                    let line = match rng.below(3) {
                        0 => "ping\n".to_owned(),
                        1 => "query small\n".to_owned(),
                        _ => format!("heartbeat {}\n", uuid(rng.below(SMALL as u64))),
                    };
                    (line, 1)
                }
                Role::Changer if !waits && rng.chance(50) => {
                    let address = address(rng);
                    let of_hive = (SMALL as u64) + rng.below(self.hive as u64);
                    let lines = format!(
                        "register hive {} {} ttl=3600\nderegister {}\n",
                        address.ip,
                        address.port,
                        uuid(of_hive)
                    );
                    (lines, 2)
                }
                Role::Curious if !waits && turn.is_multiple_of(48) => {
                    let line = match rng.below(4) {
                        0 => "query hive max-age=60\n",
                        1 => "list hive\n",
                        _ => "query hive\n",
                    };
                    (line.to_owned(), 1)
                }
                Role::Watcher if turn == 0 => ("watch hive\n".to_owned(), 1),
                _ => continue,
            };
            if !waits {
                member.since = self.turns;
            }
            member.unanswered += count;
            self.net.send(member.number, lines.as_bytes());
        }
    }

    fn turn(&mut self) {
        self.turns += 1;
        // Less than what counts as a pause.
        self.clock += Duration::from_millis(self.rng.between(4, 9));
        for member in &self.members {
            self.net.deliver(member.number, usize::MAX);
        }
        let events = self.net.events();
        let reading = Reading {
            monotonic: self.clock,
            ..Reading::default()
        };
        self.wait = self.engine.turn(&mut self.net, events, false, reading).wait;
        self.the_turn_was_short();
        self.hear();
        if self.turns.is_multiple_of(TURNS_A_CHECK) {
            self.engine.check_invariants();
            self.engine.handler().registry().check_invariants();
        }
    }

    /// The work of a turn is bounded, whatever a thousand connections ask for. The last visit may pass
    /// it, and the last answer that is made at once.
    fn the_turn_was_short(&mut self) {
        const LAST: usize = 2_000 + ANSWER_RECORDS_MAX / RECORDS_A_UNIT;
        let spent = self.engine.work_spent() as usize;
        assert!(
            spent <= TURN_WORK_MAX as usize + LAST,
            "a turn of {spent} units"
        );
    }

    /// Everybody receives what has arrived: its own answers, whole and in order, and none too late.
    fn hear(&mut self) {
        let log = self.engine.handler().log.clone();
        for member in &mut self.members {
            let exchanges = log.borrow_mut().remove(&member.number).unwrap_or_default();
            for answer in exchanges.iter().filter_map(Exchange::answer) {
                member.due.extend(answer.bytes());
                member.due.push(b'\n');
            }
            self.net.take(member.number, usize::MAX);
            let mut heard = !exchanges.is_empty();
            let received = &mut self.net.pipes[member.number].received;
            if member.role == Role::Watcher {
                member.stream.read(received);
                member.unanswered *= usize::from(member.stream.index.is_none());
            } else if member.role == Role::Curious {
                heard |= !received.is_empty();
                member.long_answer.append(received);
                let ends = member.long_answer.ends_with(b"\n");
                let answer = ends.then(|| std::mem::take(&mut member.long_answer));
                if let Some(answer) = answer {
                    let rows: Vec<Value> = serde_json::from_slice(&answer).expect("a JSON array");
                    let changed = 2 * TURNS;
                    assert!((self.hive - changed..=self.hive + changed).contains(&rows.len()));
                    member.unanswered -= 1;
                }
                member.due.clear();
            } else {
                assert!(member.due.starts_with(received), "not the answers");
                member.due.drain(..received.len());
                received.clear();
                member.unanswered -= exchanges.len();
            }
            if heard {
                member.since = self.turns;
            }
            let waited = self.turns - member.since;
            assert!(
                member.unanswered == 0 || waited <= patience(member.role, member.since, self.hive),
                "{:?} has waited for {waited} turns in turn {}",
                member.role,
                self.turns
            );
        }
    }

    /// The floods end, and everything else that is under way arrives.
    fn the_floods_break_off(&mut self) {
        for member in &self.members {
            if let Role::Flood(_) = member.role {
                self.net.reset(member.number);
            }
        }
        self.members
            .retain(|member| !matches!(member.role, Role::Flood(_)));
        for _ in 0..1_000 {
            self.turn();
            let mut members = self.members.iter();
            let all_heard = members.all(|member| member.unanswered == 0 && member.due.is_empty());
            if all_heard && self.wait != Some(Duration::ZERO) && self.net.is_quiet() {
                return;
            }
        }
        panic!("the service does not become idle");
    }

    fn every_watcher_knows_the_truth(&mut self) {
        let shadowed = self.engine.handler_mut();
        let truth = shadowed.model.picture(Some("hive"), shadowed.now);
        for member in &self.members {
            if member.role == Role::Watcher {
                assert!(member.stream.picture == truth, "a watcher knows otherwise");
            }
        }
    }
}

/// The turns for which a client of this role waits at most for its next answer.
///
/// Who asks now and then is behind those alone who had nothing to do before either. At first nobody
/// knows who asks much, so these are all. Each curious one may take the work of a whole turn for its
/// answer. Long answers are made in parts, which all that want one share; one takes its way through the
/// network, too. A flood has its turn when all others have had theirs.
fn patience(role: Role, since: usize, hive: usize) -> usize {
    let others: usize = ROLES.iter().map(|(_, count)| count).sum();
    let first_round = (FLOODING + others).div_ceil(WOKEN_A_TURN);
    let woken = if since <= first_round {
        first_round
    } else {
        others.div_ceil(WOKEN_A_TURN)
    };
    let little = 1 + woken + CURIOUS;
    match role {
        Role::Polite | Role::Changer => little,
        Role::Curious | Role::Watcher => {
            let parts = (CURIOUS + WATCHERS) * (hive + 2 * TURNS) / (TURN_PARTS_WORK_MAX / 2);
            little + CURIOUS + SWEEP_TURNS + SNAPSHOT_TURNS + parts
        }
        Role::Flood(_) => little + SWEEP_TURNS + FLOODING.div_ceil(HEAVY_A_TURN),
    }
}

#[test]
fn row_50_every_promise_holds_among_a_hundred_thousand_services_and_a_thousand_connections() {
    let seeds = match from_env("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("SIMULATION_SEEDS").unwrap_or(SEEDS) / WORLDS_A_CROWD,
    };
    for seed in seeds {
        if catch_unwind(AssertUnwindSafe(|| Crowd::new(seed).run())).is_err() {
            panic!(
                "seed {seed} failed; replay: SIMULATION_SEED={seed} cargo test --test simulation crowds"
            );
        }
    }
}
