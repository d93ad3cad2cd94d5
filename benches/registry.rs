//! What the verbs of the registry cost, with few and with many registrations, and what one
//! registration costs in memory.

use std::hint::black_box;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use discovery_service::message::{Reason, ServiceAddress};
use discovery_service::registry::{KeyedHash, Registration, Registry};
use discovery_service::time::Moment;
use uuid::Uuid;

const SIZES: [usize; 2] = [1_000, 1_000_000];
/// Registrations of each type.
const TYPE_LEN: usize = 10;
const TTL_MS: u64 = 30_000;
const NOW: Moment = Moment::from_millis(1_000_000);

/// Names of types, made beforehand so that no measurement contains it.
struct Names(Vec<String>);

impl Names {
    fn new(len: usize) -> Self {
        Names(
            (0..len.div_ceil(TYPE_LEN))
                .map(|number| format!("type-{number}"))
                .collect(),
        )
    }

    fn of(&self, number: usize) -> &str {
        &self.0[number / TYPE_LEN % self.0.len()]
    }
}

/// Spreads numbers over all `u64`, each to another one (the finaliser of SplitMix64).
fn scatter(number: usize) -> u64 {
    let mut x = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn uuid(number: usize) -> Uuid {
    Uuid::from_u64_pair(scatter(number), scatter(number))
}

fn register(registry: &mut Registry, names: &Names, number: usize, ttl_ms: u64) {
    let port = NonZeroU16::MIN.saturating_add(number as u16);
    let address = ServiceAddress {
        ip: [10, 0, 0, number as u8].into(),
        port,
    };
    let (uuid, service_type) = (uuid(number), names.of(number));
    let new = Registration {
        uuid,
        service_type,
        address,
        ttl: Duration::from_millis(ttl_ms),
        labels: None,
    };
    registry.register(NOW, new).expect("there is room");
    registry.clear_changes();
}

fn filled(len: usize, names: &Names) -> Registry {
    let mut registry = Registry::new(2 * SIZES[1] as u32, KeyedHash::new(0x5eed));
    (0..len).for_each(|number| register(&mut registry, names, number, TTL_MS));
    // The wheel comes from the start of time; take it to the present.
    assert!(registry.sweep(NOW, usize::MAX).caught_up);
    registry
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .map_or(0, |pages: usize| pages * 4096)
}

/// Prints what criterion does not measure: memory, and the longest that one call took.
///
/// A pause that the registry makes comes at the same registration in every round, and one that
/// the machine makes does not; so what counts is the shortest time over all rounds.
fn memory_and_worst_case() {
    const ROUNDS: usize = 5;
    let names = Names::new(SIZES[1]);
    let mut latencies = vec![Duration::MAX; SIZES[1]];
    for _ in 0..ROUNDS {
        let before = resident();
        let mut registry = Registry::new(SIZES[1] as u32, KeyedHash::new(0x5eed));
        let empty = resident().saturating_sub(before);
        let start = Instant::now();
        for (number, latency) in latencies.iter_mut().enumerate() {
            let start = Instant::now();
            register(&mut registry, &names, number, TTL_MS);
            *latency = start.elapsed().min(*latency);
        }
        let filled = start.elapsed();
        let each = (resident().saturating_sub(before)) / SIZES[1];
        let start = Instant::now();
        while !registry.sweep(NOW.plus_millis(TTL_MS), 4096).caught_up {
            registry.clear_changes();
        }
        println!(
            "{} registered in {filled:?} and expired in {:?}; {empty} bytes when empty, {each} each, {} left in the end",
            SIZES[1],
            start.elapsed(),
            resident().saturating_sub(before)
        );
    }
    latencies.sort_unstable();
    let per_mille = |share: usize| latencies[(SIZES[1] - 1) / 1000 * share];
    println!(
        "register p50 {:?} p99 {:?} p99.9 {:?}",
        per_mille(500),
        per_mille(990),
        per_mille(999)
    );
    println!("register worst {:?}", &latencies[SIZES[1] - 5..]);
}

/// Verbs on registrations that are there already.
fn steady(c: &mut Criterion, len: usize) {
    let names = Names::new(len);
    let mut registry = filled(len, &names);
    let mut turn = 0;
    let mut any = move || {
        turn += 1;
        scatter(turn) as usize % len
    };
    c.bench_function(&format!("heartbeat/{len}"), |b| {
        b.iter(|| assert!(registry.heartbeat(NOW, &uuid(any())).is_known()));
    });
    c.bench_function(&format!("list of {TYPE_LEN}/{len}"), |b| {
        b.iter(|| {
            let view = registry
                .service_type(names.of(any()))
                .expect("every type is there");
            assert_eq!(view.addresses().map(black_box).count(), TYPE_LEN);
        });
    });
    c.bench_function(&format!("deregister and register/{len}"), |b| {
        b.iter(|| {
            let number = any();
            assert!(registry.deregister(NOW, &uuid(number), Reason::Deregistered));
            register(&mut registry, &names, number, TTL_MS);
        });
    });
}

/// Registrations that come and expire beside `len` others that stay.
fn coming_and_going(c: &mut Criterion, len: usize) {
    const BATCH: usize = 1000;
    let names = Names::new(len + BATCH);
    let mut registry = filled(len, &names);
    let mut turns = |iterations: u64| {
        let [mut coming, mut going] = [Duration::ZERO; 2];
        for _ in 0..iterations {
            let start = Instant::now();
            (len..len + BATCH).for_each(|number| register(&mut registry, &names, number, 0));
            coming += start.elapsed();
            let start = Instant::now();
            assert_eq!(registry.sweep(NOW, BATCH).expired, BATCH);
            registry.clear_changes();
            going += start.elapsed();
        }
        (coming, going)
    };
    c.bench_function(&format!("register {BATCH}/{len}"), |b| {
        b.iter_custom(|iterations| turns(iterations).0)
    });
    c.bench_function(&format!("sweep of {BATCH} expired/{len}"), |b| {
        b.iter_custom(|iterations| turns(iterations).1)
    });
}

fn verbs(c: &mut Criterion) {
    memory_and_worst_case();
    for len in SIZES {
        steady(c, len);
        coming_and_going(c, len);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500));
    targets = verbs
}
criterion_main!(benches);
