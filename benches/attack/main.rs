//! What other clients feel while the service is attacked: `cargo bench --bench attack`.
//!
//! Each scenario starts the release binary on the first core and attacks it from the second, where
//! `taskset` can arrange it. Meanwhile honest clients measure how soon they are answered, side by side
//! with the same measurement just before. The attackers have the lowest priority on their core, so
//! that who measures waits for the service and not for them. The longest turn of the service includes
//! what the system takes from it for others.
//!
//! `ATTACK_ONLY="row 8"` runs the scenarios with this in their name; `ATTACK_MS` (8000) is the time of
//! an attack.

mod answer;
mod attackers;
#[path = "../common/mod.rs"]
mod common;
mod honest;
mod report;
mod scenarios;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::choice::{number, wanted};
use common::client::Client;
use common::process::{Process, pin_to_second_core, raise_limit, status};
use honest::{Live, TOKEN};
use report::Figures;
use scenarios::{Filled, SCENARIOS, Scenario};

/// How long the idle service is measured.
const IDLE: Duration = Duration::from_secs(2);
/// From the beginning of an attack to its measurement.
const WARM_UP: Duration = Duration::from_millis(500);

fn main() {
    // `cargo test --benches` only needs to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let time = Duration::from_millis(number("ATTACK_MS", 8_000));
    pin_to_second_core();
    raise_limit();
    report::goals();
    for scenario in &SCENARIOS {
        if wanted("ATTACK_ONLY", scenario.name) {
            run(scenario, time).print(scenario);
        }
    }
}

fn run(scenario: &'static Scenario, time: Duration) -> Figures {
    // The service reads it at its start.
    let tokens = token_file(scenario.tokens);
    let mut arguments = vec!["--ttl", "86400"];
    if scenario.tokens > 0 {
        arguments.extend([
            "--token-file",
            tokens.path().to_str().expect("a path in UTF-8"),
        ]);
    }
    let server = Process::discovery(&arguments);
    let address = &*server.address;
    let mut client = honest::connect(address);
    fill(&mut client, &scenario.filled);
    let live = Live::register(&mut client, scenario.holders);
    let [over, released] = [const { AtomicBool::new(false) }; 2];
    thread::scope(|scope| {
        let _at_end = [AtEnd(&over), AtEnd(&released)];
        live.keep(scope, address, &released);
        let idle = live.measure(address, IDLE, || {});
        let resident = || status(server.id(), "VmHWM:");
        let (turn_before, resident_before) = (worst_turn_us(&mut client), resident());
        for attacker in scenario.attackers {
            attacker.start(scope, address, &over);
        }
        thread::sleep(WARM_UP);
        let attacked = live.measure(address, time, || over.store(true, Ordering::Relaxed));
        Figures {
            idle,
            attacked,
            worst_turn_us: [turn_before, worst_turn_us(&mut client)],
            lost: live.lost(&mut client),
            resident_kib: [resident_before, resident()],
        }
    })
}

/// Tells threads that it is over, even where a panic ends it.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file of so many tokens, the last of which is that of the honest.
fn token_file(tokens: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut text: String = (1..tokens).map(|n| format!("token-{n}\n")).collect();
    text += TOKEN;
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

/// Registers what the scenario begins with.
fn fill(client: &mut Client, filled: &Filled) {
    const BATCH: usize = 1_000;
    let lines = (0..filled.types * filled.of_each).map(|n| {
        let name = filled.name(n % filled.types);
        format!("register {name} 10.0.{}.2 {}\n", n % 250, n % 60_000 + 1)
    });
    let lines: Vec<String> = lines.collect();
    for batch in lines.chunks(BATCH) {
        client.send_many(&batch.concat(), batch.len());
    }
}

/// The longest turn of the service since its start.
fn worst_turn_us(client: &mut Client) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(client.ask("stats\n")).expect("JSON");
    stats["worst_turn_us"].as_u64().expect("a number")
}
