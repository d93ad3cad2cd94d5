//! DNS beside Knot, and answers about a type that changes all the time: `cargo bench --bench dns`.
//!
//! Each server runs on the first core and the load on the second, where `taskset` can arrange it. Knot
//! has one worker and serves a zone file of the same records. Without `knotd` in the path, the output says
//! that its rows are left out. `DNS_ROUNDS` (5) and `DNS_MS` (2000, of each measurement) change the length;
//! `DNS_ONLY=changes` runs only the parts with this in their name.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod load;
mod queries;
mod servers;

use std::time::Duration;

use common::choice::{number, wanted};
use common::process;
use load::{Load, Sample};
use servers::Server;

/// Queries a second.
const RATE: u64 = 50_000;
/// Services of the type `hive`, each on a host of its own.
const SERVICES: usize = 10;

fn main() {
    // `cargo test --benches` only needs to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let rounds = number("DNS_ROUNDS", 5);
    let time = Duration::from_millis(number("DNS_MS", 2000));
    process::pin_to_second_core();
    if wanted("DNS_ONLY", "processor") {
        processor_time(rounds, time);
    }
    if wanted("DNS_ONLY", "changes") {
        changes::longest_answer(rounds, time);
    }
}

/// One server with one kind of query, and what was measured of them.
struct Row<'a> {
    question: &'static str,
    server: &'a Server,
    load: Load,
    samples: Vec<Sample>,
}

/// Processor time of a query, evenly paced and sixteen at once.
fn processor_time(rounds: u64, time: Duration) {
    let ours = Server::discovery();
    ours.register("hive", SERVICES);
    ours.register("solo", 1);
    let knot = Server::knot(SERVICES);
    if knot.is_none() {
        println!("knotd is not installed: its rows are left out.\n");
    }
    let questions = [
        ("A", queries::addresses("solo.service.internal")),
        (
            "SRV of 10",
            queries::services("_hive._tcp.service.internal"),
        ),
    ];
    println!("{RATE} queries a second\n");
    println!("| at once | question | server | answer bytes | answered | CPU µs: user + system |");
    println!("|---|---|---|---|---|---|");
    for at_once in [1, 16] {
        let mut rows = Vec::new();
        for (question, query) in &questions {
            for server in [Some(&ours), knot.as_ref()].into_iter().flatten() {
                rows.push(Row {
                    question,
                    server,
                    load: Load::connect(server.address, query, at_once),
                    samples: Vec::new(),
                });
            }
        }
        for _ in 0..rounds {
            for row in &mut rows {
                let before = row.server.processor_time();
                let mut sample = row.load.run(RATE, time, || {});
                let after = row.server.processor_time();
                sample.user = after.0 - before.0;
                sample.system = after.1 - before.1;
                row.samples.push(sample);
            }
        }
        for row in &rows {
            println!("| {at_once} | {} |", summary(row));
        }
    }
    println!();
}

fn summary(row: &Row<'_>) -> String {
    let sum = |of: fn(&Sample) -> u64| -> u64 { row.samples.iter().map(of).sum() };
    let (asked, answered) = (sum(|of| of.asked), sum(|of| of.answered));
    let each = |of: fn(&Sample) -> Duration| {
        let all: Duration = row.samples.iter().map(of).sum();
        all.as_secs_f64() * 1e6 / answered as f64
    };
    format!(
        "{} | {} | {} | {:.2} % | {:.2} + {:.2}",
        row.question,
        row.server.name,
        row.load.answer_len,
        100.0 * answered as f64 / asked as f64,
        each(|of| of.user),
        each(|of| of.system)
    )
}
