//! Nodes and etcd that are killed and suspended, and ways from one to the other that are cut, at random,
//! while services move and watchers watch.
//!
//! `CLUSTER_SECONDS=300 CLUSTER_SEED=7 cargo test --test it -- cluster::faults` is the long form.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use discovery_service::message::Id;
use serde_json::Value;

use super::{ETCD, node_with};
use crate::common::{Service, free_port, signal, wait_until};
use crate::etcd::{Etcd, Proxy};

const SERVICES: usize = 100;
const NODES: usize = 3;
/// Seconds of the TTL of each service: as long as a node and etcd may be away together.
const TTL_S: u64 = 9;
const BEAT: Duration = Duration::from_millis(1_500);
/// How long a node may take for an answer.
const ANSWER: Duration = Duration::from_millis(500);

/// xorshift64*: numbers that a seed repeats.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// A connection that gives up soon.
struct Line(BufReader<TcpStream>);

impl Line {
    fn open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
        stream.set_read_timeout(Some(ANSWER)).expect("an option");
        Some(Line(BufReader::new(stream)))
    }

    fn ask(&mut self, command: &str) -> Option<String> {
        self.0
            .get_mut()
            .write_all(format!("{command}\n").as_bytes())
            .ok()?;
        let mut line = String::new();
        let n = self.0.read_line(&mut line).ok()?;
        (n > 0).then(|| line.trim_end().to_owned())
    }
}

/// The services: each knows all nodes, and sends its heartbeats to the next one when one fails.
struct Services {
    addresses: Vec<SocketAddr>,
    lines: Vec<Option<Line>>,
    all: Vec<(String, usize)>,
}

impl Services {
    fn register(addresses: &[SocketAddr]) -> Self {
        let mut services = Services {
            addresses: addresses.to_vec(),
            lines: addresses
                .iter()
                .map(|&address| Line::open(address))
                .collect(),
            all: Vec::new(),
        };
        for number in 0..SERVICES {
            let at = number % NODES;
            let register = format!("register web 10.0.0.{} 80 ttl={TTL_S}", number + 1);
            let uuid = services.ask(at, &register).expect("it answers");
            services.all.push((uuid, at));
        }
        services
    }

    fn ask(&mut self, at: usize, command: &str) -> Option<String> {
        if self.lines[at].is_none() {
            self.lines[at] = Line::open(self.addresses[at]);
        }
        let answer = self.lines[at].as_mut()?.ask(command);
        if answer.is_none() {
            self.lines[at] = None;
        }
        answer
    }

    fn ids(&self) -> BTreeSet<String> {
        let id = |(uuid, _): &(String, usize)| Id::of(&uuid.parse().expect("a UUID")).to_string();
        self.all.iter().map(id).collect()
    }

    /// Each sends one heartbeat, where it is or at the next node.
    fn beat(&mut self) {
        let mut is_away = [false; NODES];
        for number in 0..self.all.len() {
            let (uuid, begin) = self.all[number].clone();
            for at in (begin..begin + NODES).map(|at| at % NODES) {
                if is_away[at] {
                    continue;
                }
                match self.ask(at, &format!("heartbeat {uuid}")) {
                    Some(answer) if answer == "OK" => {
                        self.all[number].1 = at;
                        break;
                    }
                    Some(answer) => panic!("{answer}: a live service is not known at node {at}"),
                    None => is_away[at] = true,
                }
            }
        }
    }
}

/// Watches at a node, and at it again whenever the connection ends; returns what it saw go, and what was
/// missing from a snapshot.
fn watch(address: SocketAddr, ids: BTreeSet<String>, ends: Arc<AtomicBool>) -> Vec<String> {
    let mut wrong = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        let Some(mut line) = Line::open(address) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        if line.0.get_mut().write_all(b"watch web\n").is_err() {
            continue;
        }
        let mut missing = ids.clone();
        let mut text = String::new();
        while !ends.load(Ordering::Relaxed) {
            match line.0.read_line(&mut text) {
                Ok(0) => break,
                Ok(_) => {
                    wrong.extend(gone(&std::mem::take(&mut text), &ids, &mut missing));
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
        }
    }
    wrong
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

/// What a line tells as gone of what lives.
fn gone(line: &str, ids: &BTreeSet<String>, missing: &mut BTreeSet<String>) -> Vec<String> {
    if line.starts_with("ERROR not ready") {
        return Vec::new();
    }
    let update: Value = serde_json::from_str(line).expect(line);
    let told = |key: &str| {
        let services = update[key].as_array().cloned().unwrap_or_default();
        let id = |service: &Value| service["id"].as_str().expect("an id").to_owned();
        services.iter().map(id).collect::<BTreeSet<_>>()
    };
    if update["services"].is_array() {
        for id in told("services") {
            missing.remove(&id);
        }
        if update["more"] != true && !missing.is_empty() {
            return vec![format!("{} are not in a snapshot", missing.len())];
        }
    }
    let down = told("down");
    down.intersection(ids)
        .map(|id| format!("{id} is down: {line}"))
        .collect()
}

/// The nodes and their etcd.
struct Cluster {
    etcd: Etcd,
    /// The way of each node to etcd.
    ways: Vec<Proxy>,
    addresses: Vec<SocketAddr>,
    nodes: Vec<Option<Service>>,
}

impl Cluster {
    fn start(etcd: Etcd) -> Self {
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut cluster = Cluster {
            ways: (0..NODES).map(|_| Proxy::start(etcd.address)).collect(),
            etcd,
            addresses: (0..NODES).map(|_| address()).collect(),
            nodes: (0..NODES).map(|_| None).collect(),
        };
        (0..NODES).for_each(|number| cluster.run(number));
        cluster
    }

    fn run(&mut self, number: usize) {
        let listen = self.addresses[number].to_string();
        let arguments = ["--listen", listen.as_str(), "--cluster-wait", "60"];
        let node = node_with(self.ways[number].address, &number.to_string(), &arguments);
        self.nodes[number] = Some(node);
    }

    /// Does harm for a while, with the heartbeats going on, and mends it.
    fn harm(&mut self, rng: &mut Rng, services: &mut Services) {
        let number = rng.below(NODES as u64) as usize;
        let time = Duration::from_millis(500 + rng.below(2_500));
        match rng.below(6) {
            0 => {
                self.nodes[number] = None;
                pass(services, time);
                self.run(number);
            }
            1 => {
                let node = self.nodes[number].as_ref().expect("it runs").pid();
                signal(node, "STOP");
                pass(services, time);
                signal(node, "CONT");
            }
            2 => {
                self.etcd.kill();
                pass(services, time);
                self.etcd.run();
            }
            3 => {
                let etcd = self.etcd.process();
                signal(etcd, "STOP");
                pass(services, time);
                signal(etcd, "CONT");
            }
            4 => {
                self.ways[number].cut();
                pass(services, time);
                self.ways[number].heal();
            }
            _ => {
                self.ways[number].refuse();
                pass(services, time);
                self.ways[number].heal();
            }
        }
        // So long nothing else happens: what moved is written, and the next fault meets a whole cluster.
        pass(services, Duration::from_millis(1_500 + rng.below(2_000)));
    }
}

/// Lets the services send their heartbeats for a while.
fn pass(services: &mut Services, time: Duration) {
    let end = Instant::now() + time;
    loop {
        let next = Instant::now() + BEAT;
        services.beat();
        if Instant::now() >= end {
            return;
        }
        std::thread::sleep(next.min(end).saturating_duration_since(Instant::now()));
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn row_61_no_watcher_sees_a_live_service_go_while_nodes_and_etcd_are_killed_suspended_and_cut() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (seconds, seed) = (number("CLUSTER_SECONDS", 20), number("CLUSTER_SEED", 1));
    let mut cluster = Cluster::start(etcd);
    let mut services = Services::register(&cluster.addresses);
    let ids = services.ids();
    for at in 0..NODES {
        wait_until("every node knows all", || {
            let answer = services.ask(at, "types")?;
            answer
                .contains(&format!(r#""count":{SERVICES}"#))
                .then_some(())
        });
    }
    let ends = Arc::new(AtomicBool::new(false));
    let watch_at = |&address: &SocketAddr| {
        let (ids, ends) = (ids.clone(), Arc::clone(&ends));
        std::thread::spawn(move || watch(address, ids, ends))
    };
    let watchers: Vec<JoinHandle<_>> = cluster.addresses.iter().map(watch_at).collect();
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        cluster.harm(&mut rng, &mut services);
    }
    ends.store(true, Ordering::Relaxed);
    let seen = watchers
        .into_iter()
        .flat_map(|watcher| watcher.join().expect("it ends"));
    let seen: Vec<String> = seen.collect();
    assert!(seen.is_empty(), "seed {seed}: {seen:#?}");
}
