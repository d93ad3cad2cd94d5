//! What the state file costs, beside the same service without one: `cargo bench --bench state`.
//!
//! `STATE_ROUNDS` (5) and `STATE_MS` (1000, of each measurement) change the length. The file lies in the
//! folder for temporary files; `TMPDIR` names another one.

#[path = "common/mod.rs"]
mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::choice::number;
use common::client::Client;
use common::process::{Process, pin_to_second_core, status};
use tempfile::TempDir;

const CONNECTIONS: usize = 50;
const IN_FLIGHT: usize = 16;
const MILLION: usize = 1_000_000;

fn main() {
    // `cargo test --benches` only needs to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let rounds = number("STATE_ROUNDS", 5);
    let time = Duration::from_millis(number("STATE_MS", 1000));
    pin_to_second_core();
    alone(rounds, time);
    together(rounds, time);
    million();
}

/// The service without a state file, and with one.
fn both(folder: &TempDir) -> [Process; 2] {
    let state = folder.path().join("state");
    let state = state.to_str().expect("a path in UTF-8");
    [
        Process::discovery(&[]),
        Process::discovery(&["--state", state]),
    ]
}

/// One registration in flight: the time to its answer.
fn alone(rounds: u64, time: Duration) {
    let folder = TempDir::new().expect("a folder");
    let servers = both(&folder);
    let mut medians = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (server, medians) in servers.iter().zip(&mut medians) {
            let mut client = Client::connect(&server.address);
            let mut times = Vec::new();
            let begun = Instant::now();
            while begun.elapsed() < time {
                let sent = Instant::now();
                let uuid = client.ask("register hive 10.0.0.1 80\n").to_owned();
                times.push(sent.elapsed());
                client.ask(&format!("deregister {uuid}\n"));
            }
            medians.push(median(times));
        }
    }
    let [without, with] = medians.map(|medians| median(medians).as_secs_f64() * 1e6);
    println!(
        "1 registration in flight: {without:.0} us without, {with:.0} us with: {:.2}",
        with / without
    );
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Many connections with many registrations and removals in flight: how many a second.
fn together(rounds: u64, time: Duration) {
    let folder = TempDir::new().expect("a folder");
    let servers = both(&folder);
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (server, rates) in servers.iter().zip(&mut rates) {
            let begun = Instant::now();
            let count: usize = std::thread::scope(|scope| {
                let client = |_| scope.spawn(|| churn(server, begun, time));
                let clients: Vec<_> = (0..CONNECTIONS).map(client).collect();
                clients
                    .into_iter()
                    .map(|client| client.join().expect("it ends"))
                    .sum()
            });
            rates.push((count as f64 / begun.elapsed().as_secs_f64()) as u64);
        }
    }
    let [without, with] = rates.map(median);
    println!(
        "{CONNECTIONS} connections at {IN_FLIGHT} in flight: {without} changes a second without, {with} with: {:.2}",
        with as f64 / without as f64
    );
}

fn churn(server: &Process, begun: Instant, time: Duration) -> usize {
    let mut client = Client::connect(&server.address);
    let mut count = 0;
    while begun.elapsed() < time {
        let ups = "register hive 10.0.0.1 80\n".repeat(IN_FLIGHT);
        client.stream.write_all(ups.as_bytes()).expect("it reads");
        let mut downs = String::new();
        for _ in 0..IN_FLIGHT {
            let uuid = client.next_line().expect("it answers");
            downs += &format!("deregister {uuid}\n");
        }
        client.send_many(&downs, IN_FLIGHT);
        count += 2 * IN_FLIGHT;
    }
    count
}

/// Nanoseconds for which a process has run (proc_pid_schedstat(5)).
fn processor_ns(pid: u32) -> u64 {
    let tasks = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let first = tasks.split(' ').next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A million registrations: how long a restart takes, and what memory.
fn million() {
    const AT_ONCE: usize = 10_000;
    let folder = TempDir::new().expect("a folder");
    let state = folder.path().join("state");
    let path = state.to_str().expect("a path in UTF-8");
    let server = Process::discovery(&["--state", path, "--ttl", "86400"]);
    let mut client = Client::connect(&server.address);
    for group in 0..MILLION / AT_ONCE {
        let line = |number| {
            format!(
                "register type-{} 10.0.0.1 80\n",
                (group * AT_ONCE + number) / 10
            )
        };
        client.send_many(&(0..AT_ONCE).map(line).collect::<String>(), AT_ONCE);
    }
    let before = status(server.id(), "RssAnon:");
    drop(server);
    let len = std::fs::metadata(&state).expect("it is there").len();
    let begun = Instant::now();
    let server = Process::discovery(&["--state", path, "--ttl", "86400"]);
    let took = begun.elapsed();
    let processor_ms = processor_ns(server.id()) / 1_000_000;
    let (peak, own) = (
        status(server.id(), "VmHWM:"),
        status(server.id(), "RssAnon:"),
    );
    let stats = Client::connect(&server.address).ask("stats\n").to_owned();
    let worst = stats
        .split("\"worst_turn_us\":")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    println!(
        "a million: a file of {} MiB; listening after {} ms and {processor_ms} ms of processor time; own memory {} MiB before, {} MiB after, resident at most {} MiB; worst turn {} us",
        len >> 20,
        took.as_millis(),
        before >> 10,
        own >> 10,
        peak >> 10,
        worst.unwrap_or("?")
    );
}
