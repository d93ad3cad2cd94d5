//! Three nodes and one etcd on this machine: `cargo bench --bench cluster`.
//!
//! etcd is that of `TEST_TOOLS` (`.ci/tools`), or the one that is installed. `CLUSTER_CHANGES` (500),
//! `CLUSTER_ROUNDS` (3), `CLUSTER_MS` (500, of each measurement), `CLUSTER_SERVICES` (100000) and
//! `CLUSTER_AWAY_S` (60) change the length; `CLUSTER_ONLY` runs the parts with such a name.

#[path = "common/mod.rs"]
mod common;

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::choice::{number, wanted};
use common::client::{Client, latencies};
use common::process::{Process, pin_to_second_core, pinned_to, status};
use tempfile::TempDir;

const IN_FLIGHT: usize = 16;
const MOVING: usize = 300;

fn main() {
    // `cargo test --benches` only needs to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    pin_to_second_core();
    let parts: [(&str, fn()); 5] = [
        ("delay", delay),
        ("throughput", throughput),
        ("moving", moving),
        ("away", away),
        ("start", start),
    ];
    for (_, part) in parts.iter().filter(|part| wanted("CLUSTER_ONLY", part.0)) {
        part();
    }
}

/// A member of etcd on the second core, as the load.
struct Etcd {
    port: u16,
    peers: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Etcd {
    fn start() -> Self {
        let mut etcd = Etcd {
            port: free_port(),
            peers: free_port(),
            folder: TempDir::new().expect("a folder"),
            child: None,
        };
        etcd.run();
        etcd
    }

    fn run(&mut self) {
        let tools = std::env::var_os("TEST_TOOLS").map(|of| PathBuf::from(of).join("bin/etcd-3.5"));
        let program = tools.unwrap_or_else(|| "etcd".into());
        let (clients, peers) = (self.url(), format!("http://127.0.0.1:{}", self.peers));
        let mut command = pinned_to("1", program.to_str().expect("a path in UTF-8"));
        command
            .args(["--log-level", "error", "--data-dir"])
            .arg(self.folder.path())
            .args(["--listen-client-urls", &clients])
            .args(["--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers])
            .args(["--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("etcd runs: see .ci/tools"));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn node(etcd: &Etcd) -> Process {
    let url = etcd.url();
    Process::discovery(&["--ttl", "3600", "--cluster", &url, "--cluster-wait", "60"])
}

/// A number in the answer to `stats`.
fn stat(node: &Process, name: &str) -> u64 {
    let mut client = Client::connect(&node.address);
    let stats = client.ask("stats\n");
    let (_, rest) = stats
        .split_once(&format!("\"{name}\":"))
        .expect("it is there");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("a number")
}

fn wait_until(mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "it does not come"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    begun.elapsed()
}

/// From a change at one node to the line at a watcher of another one.
fn delay() {
    let etcd = Etcd::start();
    let nodes = [node(&etcd), node(&etcd), node(&etcd)];
    let mut watcher = Client::connect(&nodes[1].address);
    watcher.ask("watch hive\n");
    let mut client = Client::connect(&nodes[0].address);
    let mut times = latencies();
    for number in 0..number("CLUSTER_CHANGES", 500) {
        let sent = Instant::now();
        client.ask(&format!(
            "register hive 10.0.{}.{} 80\n",
            number / 250,
            1 + number % 250
        ));
        watcher.next_line().expect("it is told");
        times.saturating_record(sent.elapsed().as_micros() as u64);
        // The next one comes alone, and not in the shadow of this one.
        std::thread::sleep(Duration::from_millis(25));
    }
    let [p50, p99] = [0.5, 0.99].map(|quantile| times.value_at_quantile(quantile) as f64 / 1e3);
    println!("change at one node to the line at another: p50 {p50:.1} ms, p99 {p99:.1} ms");
}

/// Registrations at one node, beside the same service without a cluster.
fn throughput() {
    let etcd = Etcd::start();
    let servers = [Process::discovery(&["--ttl", "3600"]), node(&etcd)];
    let other = node(&etcd);
    let time = Duration::from_millis(number("CLUSTER_MS", 500));
    let mut rates = [Vec::new(), Vec::new()];
    let mut made = 0;
    for _ in 0..number("CLUSTER_ROUNDS", 3) {
        for (server, rates) in servers.iter().zip(&mut rates) {
            let mut client = Client::connect(&server.address);
            let (begun, mut count) = (Instant::now(), 0);
            while begun.elapsed() < time {
                client.send_many(&"register hive 10.0.0.1 80\n".repeat(IN_FLIGHT), IN_FLIGHT);
                count += IN_FLIGHT;
            }
            rates.push((count as f64 / begun.elapsed().as_secs_f64()) as u64);
            made = count;
        }
    }
    let total = stat(&servers[1], "own");
    let before = stat(&other, "remote");
    let took = wait_until(|| stat(&other, "remote") == total);
    let caught_up = (total - before) as f64 / took.as_secs_f64();
    let [without, with] = rates.map(|mut rates| {
        rates.sort_unstable();
        rates[rates.len() / 2]
    });
    println!(
        "registrations, {IN_FLIGHT} in flight: {without} a second without a cluster, {with} with: {:.2}; \
         the last {made} of {total}, and what waited, reached the other node at {caught_up:.0} a second",
        with as f64 / without as f64
    );
}

/// A node is killed whose services know another one.
fn moving() {
    let etcd = Etcd::start();
    let (from, to, seen_at) = (node(&etcd), node(&etcd), node(&etcd));
    let mut client = Client::connect(&from.address);
    let uuids: Vec<String> = (0..MOVING)
        .map(|number| {
            let register = format!(
                "register hive 10.1.{}.{} 80 ttl=30\n",
                number / 250,
                1 + number % 250
            );
            client.ask(&register).to_owned()
        })
        .collect();
    let all = |node| stat(node, "remote") == MOVING as u64;
    wait_until(|| all(&to) && all(&seen_at));
    let mut watcher = Client::connect(&seen_at.address);
    watcher.ask("watch hive\n");
    drop(from);
    let begun = Instant::now();
    let mut client = Client::connect(&to.address);
    let lines: String = uuids
        .iter()
        .map(|uuid| format!("heartbeat {uuid}\n"))
        .collect();
    client.send_many(&lines, MOVING);
    wait_until(|| stat(&to, "own") == MOVING as u64 && stat(&to, "dirty") == 0);
    let moved = begun.elapsed();
    // Longer than the lease of the dead node and the grace.
    let limit = Some(Duration::from_secs(20));
    watcher.stream.set_read_timeout(limit).expect("an option");
    let told = watcher.next_line().map(str::to_owned);
    let downs = told.map_or(0, |line| line.matches("\"reason\"").count());
    println!(
        "kill -9 of a node with {MOVING} services: {downs} told down, all moved {:.0} ms after their heartbeats",
        moved.as_secs_f64() * 1e3
    );
}

/// etcd is away under load.
fn away() {
    let mut etcd = Etcd::start();
    let (here, there) = (node(&etcd), node(&etcd));
    let mut client = Client::connect(&here.address);
    client.send_many(&"register hive 10.0.0.1 80\n".repeat(1_000), 1_000);
    wait_until(|| stat(&there, "remote") == 1_000);
    let mut watcher = Client::connect(&there.address);
    watcher.ask("watch hive\n");
    etcd.kill();
    let time = Duration::from_secs(number("CLUSTER_AWAY_S", 60));
    let (begun, mut count) = (Instant::now(), 1_000);
    while begun.elapsed() < time {
        client.send_many(&"register hive 10.0.0.1 80\n".repeat(10), 10);
        count += 10;
        std::thread::sleep(Duration::from_millis(10));
    }
    etcd.run();
    wait_until(|| TcpStream::connect(("127.0.0.1", etcd.port)).is_ok());
    let whole = wait_until(|| stat(&there, "remote") == count);
    println!(
        "etcd away for {} s: {count} registrations, all at the other node {:.1} s after it listens again",
        time.as_secs(),
        whole.as_secs_f64()
    );
}

/// A node starts against many registrations of another one.
fn start() {
    let count = number("CLUSTER_SERVICES", 100_000);
    let etcd = Etcd::start();
    let first = node(&etcd);
    let mut client = Client::connect(&first.address);
    register(&mut client, count);
    wait_until(|| stat(&first, "dirty") == 0);
    let begun = Instant::now();
    let second = node(&etcd);
    let took = begun.elapsed();
    assert_eq!(stat(&second, "remote"), count);
    let worst = stat(&second, "worst_turn_us");
    let alone = Process::discovery(&["--ttl", "3600"]);
    let mut client = Client::connect(&alone.address);
    register(&mut client, count);
    let [of_node, of_registry] = [&second, &alone].map(|of| status(of.id(), "RssAnon:") / 1024);
    println!(
        "start against {count} registrations: listens after {:.1} s, longest turn {:.1} ms; {of_node} MiB of its \
         own, where the same registrations without a cluster take {of_registry} MiB",
        took.as_secs_f64(),
        worst as f64 / 1e3
    );
}

/// Registers so many services, a thousand of a type.
fn register(client: &mut Client, count: u64) {
    for group in 0..count / 1_000 {
        let line = |number| {
            format!(
                "register type-{group} 10.0.{}.{} 80\n",
                number / 250,
                1 + number % 250
            )
        };
        client.send_many(&(0..1_000).map(line).collect::<String>(), 1_000);
    }
}
