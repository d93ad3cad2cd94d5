//! Several nodes in a simulated world: the rooms `cluster` and `etcd`'s vocabulary, without bytes, sockets
//! and clocks.
//!
//! Each seed determines the services, the delays and the faults. Replay one seed, or run many:
//!
//! ```sh
//! CLUSTER_SEED=1234 cargo test --test cluster
//! CLUSTER_SEEDS=100000 cargo test --release --test cluster
//! ```

mod etcd;
mod face;
mod failures;
mod link;
#[path = "../simulation/rng.rs"]
mod rng;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Weather, World};

/// Seeds in a plain `cargo test`.
const SEEDS: u64 = 100;
/// Milliseconds with faults in one world.
const FAULTS_MS: u64 = 120_000;

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("it is a number"))
}

fn for_each_seed(run: impl Fn(u64)) {
    let seeds = match from_env("CLUSTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("CLUSTER_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
        assert!(
            result.is_ok(),
            "seed {seed} failed; replay: CLUSTER_SEED={seed} cargo test --test cluster"
        );
    }
}

#[test]
fn no_live_service_is_told_to_be_down_through_one_fault_after_another() {
    for_each_seed(|seed| World::new(seed, 3, Weather::Fair).run(FAULTS_MS));
}

#[test]
fn after_any_faults_every_node_has_what_is_live_and_nothing_that_was_deregistered() {
    for_each_seed(|seed| World::new(seed, 3, Weather::Foul).run(FAULTS_MS));
}
