//! A million registrations: memory, growth, expiry, and the latency that other clients see.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::common::client::{Client, latencies};
use crate::load::{Load, Sample};
use crate::servers::{Kind, Server, Verb};
use crate::table;

const MILLION: usize = 1_000_000;

pub(crate) fn run(rounds: u64, time: Duration) {
    println!("One million registrations\n");
    for kind in [Kind::Discovery, Kind::Redis] {
        memory_and_heartbeats(kind, rounds, time);
    }
    cost_growth(rounds, time);
    growth();
    expiry();
    large_type();
}

/// Resident memory of each, and heartbeats among them.
fn memory_and_heartbeats(kind: Kind, rounds: u64, time: Duration) {
    let Some(empty) = Server::start(kind, 0) else {
        return;
    };
    let idle = empty.resident();
    drop(empty);
    let Some(server) = Server::start(kind, MILLION) else {
        return;
    };
    let each = (server.resident() - idle) as f64 / MILLION as f64;
    let mut load = Load::connect(&server, 50, 16, server.requests(Verb::Heartbeat));
    let samples: Vec<Sample> = (0..rounds).map(|_| load.run(&server, time)).collect();
    println!(
        "{}: {:.1} MiB when idle, {each:.0} bytes each; heartbeats at 16 in flight: {} a second",
        kind.name(Verb::Heartbeat),
        idle as f64 / (1024.0 * 1024.0),
        table::summary(&samples)
    );
}

/// User time of a heartbeat among 10,000 and among a million, interleaved.
fn cost_growth(rounds: u64, time: Duration) {
    let servers = [10_000, MILLION]
        .map(|count| Server::start(Kind::Discovery, count).expect("the service starts"));
    let mut loads = servers
        .each_ref()
        .map(|server| Load::connect(server, 50, 128, server.requests(Verb::Heartbeat)));
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for i in 0..2 {
            samples[i].push(loads[i].run(&servers[i], time));
        }
    }
    let [few, many] = samples.map(|samples| table::per_request(&samples, |sample| sample.user));
    println!(
        "user time of a heartbeat: {few:.3} µs among 10,000, {many:.3} µs among 1,000,000: {:.2} times",
        many / few
    );
}

fn print_latencies(what: &str, latency: &Histogram<u64>) {
    let quantile = |q: f64| latency.value_at_quantile(q);
    println!(
        "{what}: p50 {} µs, p99.9 {} µs, p99.999 {} µs, worst {} µs of {} requests",
        quantile(0.5),
        quantile(0.999),
        quantile(0.99999),
        latency.max(),
        latency.len()
    );
}

/// Every registration from none to a million, and as many heartbeats for the noise of the machine.
fn growth() {
    let server = Server::start(Kind::Discovery, 0).expect("the service starts");
    let mut client = Client::connect(&server.address);
    let mut latency = latencies();
    let mut uuid = String::new();
    for i in 0..MILLION {
        let command = format!("register hive-{} 10.0.0.1 {}\n", i % 1_000, i % 60_000 + 1);
        let begun = Instant::now();
        uuid = client.ask(&command).to_owned();
        latency.saturating_record(begun.elapsed().as_micros() as u64);
        assert_eq!(uuid.len(), 36, "{uuid}");
    }
    print_latencies("registrations, none to a million", &latency);
    let mut latency = latencies();
    let command = format!("heartbeat {uuid}\n");
    for _ in 0..MILLION {
        let begun = Instant::now();
        client.ask(&command);
        latency.saturating_record(begun.elapsed().as_micros() as u64);
    }
    print_latencies("as many heartbeats, for comparison", &latency);
}

/// The latency of another client while a million registrations expire together.
fn expiry() {
    let server = Server::with_arguments(&["--ttl", "8"]);
    let mut client = Client::connect(&server.address);
    let begun = Instant::now();
    let batch = "register hive 10.0.0.1 80\n".repeat(1_000);
    for _ in 0..MILLION / 1_000 {
        client.send_many(&batch, 1_000);
    }
    let filled = begun.elapsed();
    let mut other = Client::connect(&server.address);
    let uuid = other.ask("register other 10.0.0.2 81\n").to_owned();
    let heartbeat = format!("heartbeat {uuid}\n");
    while begun.elapsed() < Duration::from_millis(7_500) {
        assert_eq!(other.ask(&heartbeat), "OK");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut latency = latencies();
    while begun.elapsed() < filled + Duration::from_millis(9_500) {
        let sent = Instant::now();
        assert_eq!(other.ask(&heartbeat), "OK");
        latency.saturating_record(sent.elapsed().as_micros() as u64);
    }
    assert_eq!(client.ask("query hive\n"), "[]");
    print_latencies("heartbeats while a million expire", &latency);
    println!(
        "resident after it, free for new registrations: {:.1} MiB",
        server.resident() as f64 / 1048576.0
    );
}

/// Queries of a type with 100,000 entries, unchanged and after each change.
fn large_type() {
    let server = Server::with_arguments(&["--ttl", "86400"]);
    let mut client = Client::connect(&server.address);
    let batch = "register hive 10.0.0.1 80\n".repeat(1_000);
    for _ in 0..100 {
        client.send_many(&batch, 1_000);
    }
    let len = client.ask("query hive\n").len();
    let rounds = 200;
    let mut cost = |change: bool| {
        let (user, system) = server.processor_time();
        for _ in 0..rounds {
            if change {
                client.ask("register hive 10.0.0.1 80\n");
            }
            client.ask("query hive\n");
        }
        let (user_after, system_after) = server.processor_time();
        let ms = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(rounds);
        (ms(user_after - user), ms(system_after - system))
    };
    let (again, changed) = (cost(false), cost(true));
    println!(
        "query of 100,000 ({:.1} MB): repeated {:.3} + {:.3} ms (user + system), after a change {:.3} + {:.3} ms\n",
        len as f64 / 1e6,
        again.0,
        again.1,
        changed.0,
        changed.1
    );
}
