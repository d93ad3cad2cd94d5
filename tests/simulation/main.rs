//! The whole service in a simulated world: everything but the real sockets and the real clock.
//!
//! Each seed determines the clients, the network, the clock and the probabilities of the faults. A
//! model that scans a `Vec` from front to back checks every answer. Replay one seed, or run many:
//!
//! ```sh
//! SIMULATION_SEED=1234 cargo test --test simulation
//! SIMULATION_SEEDS=100000 cargo test --release --test simulation -- --nocapture
//! ```

mod budgets;
mod catalogs;
mod client;
mod crowds;
mod datagrams;
mod deadlines;
mod dns;
mod fairness;
mod faults;
mod follow;
mod history;
mod http;
mod journal;
mod kept;
mod labels;
mod links;
mod long_answers;
mod memory;
mod model;
mod net;
mod parking;
mod pauses;
mod returning;
mod rig;
mod rng;
mod saving;
mod silence;
mod stats;
mod stopping;
mod strangers;
mod stream;
mod sweeping;
mod watching;
mod web;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use world::World;

/// Steps of one simulation.
const STEPS: u64 = 1_500;
/// Seeds in a plain `cargo test`.
const SEEDS: u64 = 800;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

#[test]
fn row_50_every_promise_holds_for_every_seed() {
    let seeds = match from_env("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    let count = seeds.end - seeds.start;
    let begun = Instant::now();
    let (mut events, mut watchers) = (0, 0);
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run(STEPS))) {
            Ok((of_seed, compared)) => {
                events += of_seed;
                watchers += compared;
            }
            Err(_) => panic!(
                "seed {seed} failed; replay: SIMULATION_SEED={seed} cargo test --test simulation"
            ),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {events} events, {watchers} pictures of watchers, {:.0} events a second",
        events as f64 / seconds
    );
    if count >= SEEDS {
        assert!(
            events >= 1_000_000,
            "a full run must have a million events or more, but had {events}"
        );
        assert!(
            watchers >= count / 4,
            "only {watchers} watchers were compared"
        );
    }
}
