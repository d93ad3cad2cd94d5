//! HTTP beside nginx, and what waits over HTTP, in one interleaved run: `cargo bench --bench http`.
//!
//! Each server runs on the first core and the load on the second, where `taskset` can arrange it. nginx
//! has one process and serves a static file of the same bytes as the answer of ours. Without `nginx` or
//! `wrk` in the path, the output says that their rows are left out. `HTTP_ROUNDS` (5) and `HTTP_MS` (1000,
//! of each measurement) change the length; `HTTP_ONLY=waiting` runs only the parts with this in their name.

#[path = "../common/mod.rs"]
mod common;
mod load;
mod servers;
mod waiting;

use std::process::Command;
use std::time::Duration;

use common::choice::{number, wanted};
use common::process;
use load::{Load, Sample};
use servers::{Nginx, Server};

/// Connections of the load.
const CONNECTIONS: usize = 50;
const REQUEST: &[u8] = b"GET /api/query?type=hive HTTP/1.1\r\nHost: localhost\r\n\r\n";
const FILE_REQUEST: &[u8] = b"GET /hive.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LINE: &[u8] = b"query hive\n";

fn main() {
    // `cargo test --benches` only needs to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let rounds = number("HTTP_ROUNDS", 5);
    let time = Duration::from_millis(number("HTTP_MS", 1000));
    process::pin_to_second_core();
    process::raise_limit();
    if wanted("HTTP_ONLY", "requests") {
        requests(rounds, time);
    }
    if wanted("HTTP_ONLY", "waiting") {
        waiting::blocked_queries();
        waiting::streams();
    }
}

/// One server with one kind of request.
struct Row<'a> {
    name: &'static str,
    server: &'a Server,
    request: &'static [u8],
}

/// The same answer as a line, over HTTP, and as a file of nginx.
fn requests(rounds: u64, time: Duration) {
    let ours = Server::discovery();
    ours.register(10);
    let body = ours.line("query hive\n");
    let nginx = Nginx::start(&body);
    if nginx.is_none() {
        println!("nginx is not installed: its rows are left out.\n");
    }
    let mut rows = vec![
        Row {
            name: "text `query`",
            server: &ours,
            request: LINE,
        },
        Row {
            name: "`GET /api/query`",
            server: &ours,
            request: REQUEST,
        },
    ];
    rows.extend(nginx.as_ref().map(|nginx| Row {
        name: "nginx, a file",
        server: &nginx.server,
        request: FILE_REQUEST,
    }));
    println!(
        "Answers of {} bytes to {CONNECTIONS} connections\n",
        body.len()
    );
    println!(
        "| in flight | request | a second: median (lowest to highest) | CPU µs: user + system |"
    );
    println!("|---|---|---|---|");
    for in_flight in [1, 16] {
        let mut samples: Vec<Vec<Sample>> = rows.iter().map(|_| Vec::new()).collect();
        let mut loads: Vec<Load> = rows
            .iter()
            .map(|row| Load::connect(row.server, CONNECTIONS, row.request, in_flight))
            .collect();
        for _ in 0..rounds {
            for ((row, load), samples) in rows.iter().zip(&mut loads).zip(&mut samples) {
                samples.push(load.run(row.server, time));
            }
        }
        for (row, samples) in rows.iter().zip(&samples) {
            println!("| {in_flight} | {} | {} |", row.name, summary(samples));
        }
    }
    wrk(rounds, time, &rows);
    println!();
}

/// The rows over HTTP by `wrk`, one request in flight on each connection.
fn wrk(rounds: u64, time: Duration, rows: &[Row<'_>]) {
    let version = Command::new("wrk").arg("-v").output();
    if version.is_err() {
        println!("\nwrk is not installed: its rows are left out.");
        return;
    }
    for row in rows.iter().filter(|row| row.request != LINE) {
        let path = std::str::from_utf8(row.request).expect("text");
        let path = path.split(' ').nth(1).expect("a request line");
        let mut samples = Vec::new();
        for _ in 0..rounds {
            let before = row.server.processor_time();
            let mut command = process::pinned_to("1", "wrk");
            let output = command
                .args(["-t1", &format!("-c{CONNECTIONS}")])
                .arg(format!("-d{}", time.as_secs().max(1)))
                .arg(format!("http://{}{path}", row.server.address()))
                .output()
                .expect("wrk runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!text.contains("Non-2xx"), "{text}");
            let of = |name: &str| -> f64 {
                let line = text.lines().find(|line| line.contains(name));
                let words = line.map(str::split_ascii_whitespace);
                words
                    .and_then(|mut words| words.find_map(|word| word.parse().ok()))
                    .unwrap_or_else(|| panic!("{name} in {text}"))
            };
            let after = row.server.processor_time();
            samples.push(Sample {
                per_second: of("Requests/sec:"),
                requests: of("requests in") as u64,
                user: after.0 - before.0,
                system: after.1 - before.1,
            });
        }
        println!("| 1, by wrk | {} | {} |", row.name, summary(&samples));
    }
}

/// The median rate with its spread, and the median processor time of a request.
fn summary(samples: &[Sample]) -> String {
    let rates = sorted(samples.iter().map(|sample| sample.per_second));
    let each = |time: fn(&Sample) -> Duration| {
        let each = samples
            .iter()
            .map(|sample| time(sample).as_secs_f64() * 1e6 / sample.requests as f64);
        let each = sorted(each);
        each[each.len() / 2]
    };
    format!(
        "{:.0} ({:.0} to {:.0}) | {:.2} + {:.2}",
        rates[rates.len() / 2],
        rates[0],
        rates[rates.len() - 1],
        each(|sample| sample.user),
        each(|sample| sample.system)
    )
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
