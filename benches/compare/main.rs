//! Compares the service with a bare mio loop (the floor) and with Redis, in one interleaved run:
//! `cargo bench --bench compare`.
//!
//! Each server runs on the first core and the load on the second, where `taskset` can arrange it.
//! Every round measures every server once, so that a noisy moment hits all of them; the table shows
//! medians over the rounds with the lowest and highest. Processor time is the whole server's, from
//! `/proc`. Without `redis-server` in the path, the output says that its rows are left out.
//! `COMPARE_ROUNDS` (5) and `COMPARE_MS` (400, of each measurement) change the length;
//! `COMPARE_ONLY=heartbeat` runs only rows with this in their name; the other parts are
//! `start and idle`, `a connection for each request`, `holding and watching`, `a million` and
//! `tags`.

#[path = "../common/mod.rs"]
mod common;
mod floor;
mod labels;
mod live;
mod load;
mod million;
mod servers;
mod table;

use std::process::Command;
use std::time::{Duration, Instant};

use common::choice::{number, wanted};
use load::{Load, Sample};
use servers::{Kind, Memory, Server};
use table::Table;

/// Connections of the load.
const CONNECTIONS: usize = 50;
/// How often a start is measured.
const STARTS: usize = 20;
const MIB: f64 = 1024.0 * 1024.0;
/// Registrations, keys or strings that the load touches.
const KEYS: usize = 10_000;

/// One row of the table: the same work for each server that can do it.
struct Workload {
    name: &'static str,
    in_flight: usize,
    verb: servers::Verb,
}

fn main() {
    // `cargo test --benches` only needs to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    // This program is also the echo server, in a process of its own.
    if let Some(kind) = std::env::var_os("COMPARE_FLOOR") {
        floor::run(kind.to_str().expect("a name"));
    }
    // And the holder that is killed.
    if let Some(address) = std::env::var_os("COMPARE_HOLDER") {
        live::hold(address.to_str().expect("an address"));
    }
    let rounds = number("COMPARE_ROUNDS", 5);
    let time = Duration::from_millis(number("COMPARE_MS", 400));
    common::process::pin_to_second_core();

    if wanted("COMPARE_ONLY", "start and idle") {
        start_and_idle();
    }
    persistent_connections(rounds, time);
    if wanted("COMPARE_ONLY", "a connection for each request") {
        connection_per_request(rounds, time);
    }
    if wanted("COMPARE_ONLY", "holding and watching") {
        live::run(rounds, time);
    }
    if wanted("COMPARE_ONLY", "a million") {
        million::run(rounds, time);
    }
    if wanted("COMPARE_ONLY", "tags") {
        labels::run();
    }
}

/// Time to start, and memory and wake-ups of the idle service.
fn start_and_idle() {
    let program = std::fs::metadata(env!("CARGO_BIN_EXE_discovery")).expect("the binary is built");
    let (mut starts, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begun = Instant::now();
        let server = Server::announced(Kind::Discovery).expect("the service starts");
        starts.push(begun.elapsed().as_secs_f64() * 1e3);
        idle.push(server.memory());
    }
    let server = Server::announced(Kind::Discovery).expect("the service starts");
    // After it has said that it listens, it still has its first turn.
    std::thread::sleep(Duration::from_millis(100));
    let before = server.wake_ups();
    std::thread::sleep(Duration::from_secs(3));
    println!("Start and idle\n");
    println!("binary: {:.0} KiB", program.len() as f64 / 1024.0);
    println!("start to listening: {}", of_starts(starts, "ms"));
    print_memory("the idle service", &idle);
    println!("wake-ups in 3 s idle: {}", server.wake_ups() - before);
    print_memory(
        "`discovery run` while it holds",
        &memory_of_run(&server.address),
    );
    println!();
}

/// Own and resident memory of a process that was started several times.
fn print_memory(process: &str, starts: &[Memory]) {
    let mib = |bytes: fn(&Memory) -> u64| {
        let figures = starts.iter().map(bytes);
        of_starts(figures.map(|bytes| bytes as f64 / MIB).collect(), "MiB")
    };
    let (own, resident) = (mib(|memory| memory.own), mib(|memory| memory.resident));
    println!("own memory (RssAnon) of {process}: {own}; resident (VmRSS): {resident}");
}

/// Memory of `discovery run` while it holds.
fn memory_of_run(address: &str) -> Vec<Memory> {
    let mut watcher = live::watch(address, "watch idle\n");
    let mut memory = Vec::new();
    for _ in 0..STARTS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_discovery"));
        let words = "run idle 80 --no-wait-port --server";
        command.args(words.split(' '));
        command.args([address, "--", "sleep", "60"]);
        let mut run = command.spawn().expect("it starts");
        assert!(
            live::line(&mut watcher).contains("\"up\":[{"),
            "it is registered"
        );
        memory.push(Memory::of(run.id()));
        // The system ends the command with it.
        run.kill().and_then(|()| run.wait()).expect("it runs");
        assert!(
            live::line(&mut watcher).contains("\"down\":[{"),
            "it is gone"
        );
    }
    memory
}

/// Median and worst of several starts. They differ because the system places a program elsewhere each
/// time and maps its pages sixteen at a time.
fn of_starts(mut figures: Vec<f64>, unit: &str) -> String {
    figures.sort_by(f64::total_cmp);
    let (median, worst) = (figures[figures.len() / 2], figures[figures.len() - 1]);
    format!(
        "median {median:.2} {unit}, worst of {} {worst:.2} {unit}",
        figures.len()
    )
}

/// Requests on persistent connections.
fn persistent_connections(rounds: u64, time: Duration) {
    use servers::Verb::{Heartbeat, Query, Register};
    let row = |name, in_flight, verb| Workload {
        name,
        in_flight,
        verb,
    };
    let workloads = [
        row("heartbeat, 1 in flight", 1, Heartbeat),
        row("heartbeat, 16 in flight", 16, Heartbeat),
        row("heartbeat, 128 in flight", 128, Heartbeat),
        row("query of 10, 1 in flight", 1, Query),
        row("query of 10, 16 in flight", 16, Query),
        row("query of 10, 128 in flight", 128, Query),
        row("register, 16 in flight", 16, Register),
    ];
    let mut table =
        Table::new("Requests a second and whole-server CPU (user + system) per request");
    for workload in workloads
        .into_iter()
        .filter(|workload| wanted("COMPARE_ONLY", workload.name))
    {
        // A new server for each row, so that one row's registrations do not slow the next.
        let servers: Vec<Server> = Kind::ALL
            .into_iter()
            .filter_map(|kind| Server::start(kind, KEYS))
            .collect();
        let mut loads: Vec<Load> = servers
            .iter()
            .map(|server| {
                Load::connect(
                    server,
                    CONNECTIONS,
                    workload.in_flight,
                    server.requests(workload.verb),
                )
            })
            .collect();
        let mut samples: Vec<Vec<Sample>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (i, server) in servers.iter().enumerate() {
                samples[i].push(loads[i].run(server, time));
            }
        }
        for (server, samples) in servers.iter().zip(&samples) {
            table.row(workload.name, server.kind.name(workload.verb), samples);
        }
    }
    table.print();
    if servers::redis_path().is_none() {
        println!("redis-server is not installed: its rows are left out.\n");
    }
}

/// A connection for each request, as the frame clients do.
fn connection_per_request(rounds: u64, time: Duration) {
    let mut table = Table::new("A connection for each request");
    let service = Server::start(Kind::Discovery, 10).expect("the service starts");
    let floors = [
        ("answer", "floor: accept, read, write, close"),
        ("stages", "floor: the same, with a close in stages"),
    ];
    let servers = floors.map(|(kind, name)| {
        let server = Server::start(Kind::Floor(kind), 0).expect("the floor starts");
        (server, name)
    });
    let servers: Vec<_> = [(service, "discovery")]
        .into_iter()
        .chain(servers)
        .collect();
    let request = load::frame(r#"{"action": "query", "type": "hive-0"}"#);
    let mut samples: Vec<Vec<_>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((server, _), samples) in servers.iter().zip(&mut samples) {
            samples.push(load::connection_per_request(server, &request, time));
        }
    }
    for ((_, name), samples) in servers.iter().zip(&samples) {
        table.row("frame query of 10", name, samples);
    }
    table.print();
}
