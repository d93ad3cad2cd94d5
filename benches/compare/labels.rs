//! Tags: what a million registrations with some take, and what a filter costs.

use std::time::{Duration, Instant};

use crate::common::client::{Client, latencies};
use crate::servers::{Kind, Server};

const MILLION: usize = 1_000_000;
/// Distinct sets of tags, and the tags in each.
const SETS: usize = 100;
const SET_LEN: usize = 5;
/// Registrations of the type that is asked for.
const TYPE_LEN: usize = 1_000;
const BATCH: usize = 1_000;

pub(crate) fn run() {
    println!("Tags\n");
    let none = bytes_each(|_| String::new());
    println!("a million registrations without tags: {none:.1} bytes each");
    let some = bytes_each(set);
    println!("with one of {SETS} sets of {SET_LEN} tags: {some:.1} bytes each");
    filter();
    println!();
}

/// The options for one of the sets: a tenth of the sets has each tag of `region-`, `zone-` and `rack-`.
fn set(number: usize) -> String {
    let (tens, ones) = (number % SETS / 10, number % 10);
    format!(
        " tag=region-{tens} tag=zone-{ones} tag=rack-{} tag=http tag=set-{}",
        (tens + ones) % 10,
        number % SETS
    )
}

/// Own memory of the service for each of a million registrations.
fn bytes_each(options: impl Fn(usize) -> String) -> f64 {
    let server = Server::start(Kind::Discovery, 0).expect("the service starts");
    let empty = server.memory().own;
    let mut client = Client::connect(&server.address);
    fill(
        &mut client,
        MILLION,
        |i| format!("hive-{}", i / 10),
        options,
    );
    (server.memory().own - empty) as f64 / MILLION as f64
}

fn fill(
    client: &mut Client,
    count: usize,
    service_type: impl Fn(usize) -> String,
    options: impl Fn(usize) -> String,
) {
    for start in (0..count).step_by(BATCH) {
        let register = |i| {
            let (service_type, port) = (service_type(i), i % 60_000 + 1);
            format!(
                "register {service_type} 10.0.{}.1 {port}{}\n",
                i % 250,
                options(i)
            )
        };
        let commands: String = (start..start + BATCH).map(register).collect();
        client.send_many(&commands, BATCH);
    }
}

/// Queries of a type of 1,000, all of which have tags.
fn filter() {
    let server = Server::start(Kind::Discovery, 0).expect("the service starts");
    let mut client = Client::connect(&server.address);
    fill(&mut client, TYPE_LEN, |_| "hive".to_owned(), set);
    for (command, found) in [
        ("query hive tag=nobody\n", 0),
        ("query hive tag=set-50\n", 10),
        ("query hive tag=region-5\n", 100),
        ("query hive tag=http\n", TYPE_LEN),
        ("query hive\n", TYPE_LEN),
        ("ping\n", 0),
    ] {
        let answer = client.ask(command);
        assert_eq!(answer.matches("\"port\"").count(), found, "{answer}");
        measure(&server, &mut client, command, found);
    }
}

/// Prints the processor time and the latency of a request.
fn measure(server: &Server, client: &mut Client, command: &str, found: usize) {
    const ROUNDS: u32 = 20_000;
    let mut latency = latencies();
    let (user, system) = server.processor_time();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        client.ask(command);
        latency.saturating_record(begun.elapsed().as_micros() as u64);
    }
    let (user_after, system_after) = server.processor_time();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(ROUNDS);
    println!(
        "`{}`, which finds {found} of {TYPE_LEN}: {:.1} + {:.1} µs (user + system), latency p50 {} µs, p99 {} µs",
        command.trim_end(),
        each(user_after - user),
        each(system_after - system),
        latency.value_at_quantile(0.5),
        latency.value_at_quantile(0.99)
    );
}
