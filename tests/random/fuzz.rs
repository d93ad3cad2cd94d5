//! Fuzz targets that run on stable Rust: inputs and operations from a seeded generator, with a fixed
//! number of executions in `cargo test`, and any number by hand:
//!
//! ```sh
//! FUZZ_RUNS=10000000 cargo test --release --test random fuzz -- --nocapture
//! FUZZ_SEED=1234 FUZZ_RUNS=1 cargo test --test random fuzz      # replay the seed that a failure named
//! ```
//!
//! Inputs that once failed are regression tests in `wire.rs` and `registry.rs`.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::reference::{WORDS, decode, frame, naive};
use crate::rng::Rng;
use discovery_service::message::{Reason, ServiceAddress};
use discovery_service::registry::{RegisterError, Registration, Registry};
use discovery_service::time::Moment;
use uuid::Builder;

/// Executions of each target in a plain `cargo test`.
const RUNS: u64 = 20_000;

/// Runs a target once for each seed; a failure names its seed.
fn fuzz(target: &str, execute: impl Fn(&mut Rng)) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| {
            value
                .parse()
                .unwrap_or_else(|_| panic!("{name} is a number"))
        })
    };
    let first = number("FUZZ_SEED", 0);
    let runs = number("FUZZ_RUNS", RUNS);
    let begun = Instant::now();
    for seed in first..first + runs {
        let outcome = catch_unwind(AssertUnwindSafe(|| execute(&mut Rng::new(seed))));
        assert!(
            outcome.is_ok(),
            "{target}: replay with FUZZ_SEED={seed} FUZZ_RUNS=1 cargo test --test random fuzz {target}"
        );
    }
    println!(
        "{target}: {runs} executions in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

fn text(rng: &mut Rng) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..rng.below(16) {
        match rng.below(20) {
            0 => input.extend(std::iter::repeat_n(
                b'x',
                rng.between(1_000, 1_060) as usize,
            )),
            1 | 2 => input.extend((0..rng.below(6)).map(|_| rng.next() as u8)),
            _ => input.extend(WORDS[rng.index(WORDS.len())]),
        }
    }
    input
}

/// A frame, usually damaged.
fn framed(rng: &mut Rng) -> Vec<u8> {
    const CONTENTS: [&str; 10] = [
        r#"{"action": "deregister", "uuid": "3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#,
        r#"{"action": "list", "type": "a"}"#,
        r#"{"action": "register", "type": "a", "ip": "127.0.0.1", "port": 80, "token": "t"}"#,
        r#"{"action": "heartbeat", "uuid": "3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#,
        r#"{"action": "heartbeat", "service_uuid": "x", "more": [1.5, null, {"a": [true]}]}"#,
        r#"{"action": "query", "type": "\u0061\ud83d\ude00"}"#,
        r#"{"action": "query", "type": "a", "type": "b"}"#,
        r#"[[[[[[[["#,
        "{}",
        "",
    ];
    let mut bytes = frame(CONTENTS[rng.index(CONTENTS.len())].as_bytes());
    for _ in 0..rng.below(4) {
        let at = rng.index(bytes.len().max(1));
        match rng.below(4) {
            0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            1 => drop(bytes.drain(at..(at + rng.index(8)).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, WORDS[rng.index(WORDS.len())].iter().copied())),
            _ => bytes.truncate(at.max(1)),
        }
    }
    if rng.chance(30) {
        bytes.extend(text(rng));
    }
    bytes
}

#[test]
fn line_codec() {
    fuzz("line_codec", |rng| {
        // After a first line, no input is recognized as another protocol.
        let input = [b"query a\n", &text(rng)[..]].concat();
        assert_eq!(
            decode(&[&input]),
            naive(&input),
            "{:?}",
            String::from_utf8_lossy(&input)
        );
    });
}

#[test]
fn frame_codec() {
    fuzz("frame_codec", |rng| {
        let input = framed(rng);
        let seen = decode(&[&input]);
        let is_frame = input.first().is_some_and(|&first| first < 8);
        assert!(
            !is_frame || seen.len() == 1,
            "one frame, one answer: {seen:?}"
        );
        // What the decoder accepts as a request, another JSON parser must accept as an object.
        if is_frame && seen[0].starts_with("Command") {
            let header_len = usize::from(u16::from_be_bytes([input[0], input[1]]));
            let header: serde_json::Value =
                serde_json::from_slice(&input[2..2 + header_len]).expect("a header");
            let content_len = header["content-length"].as_u64().expect("a length") as usize;
            let content = &input[2 + header_len..2 + header_len + content_len];
            let content: serde_json::Value = serde_json::from_slice(content).expect("a content");
            assert!(content["action"].is_string());
        }
    });
}

#[test]
fn split_equivalence() {
    fuzz("split_equivalence", |rng| {
        let input = if rng.chance(50) {
            text(rng)
        } else {
            framed(rng)
        };
        let whole = decode(&[&input]);
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        let longest = [1, 4, 40, 2_000][rng.index(4)];
        while !rest.is_empty() {
            let n = (1 + rng.index(longest)).min(rest.len());
            let (piece, behind) = rest.split_at(n);
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(
            decode(&pieces),
            whole,
            "{:?}",
            String::from_utf8_lossy(&input)
        );
    });
}

/// One entry of the model.
struct Entry {
    uuid: u8,
    service_type: u64,
    port: u64,
    ip: &'static str,
    heartbeat: Moment,
    ttl: Duration,
}

#[test]
fn operation_sequences() {
    fuzz("operation_sequences", |rng| {
        let services_max = rng.between(1, 12) as u32;
        let mut registry =
            Registry::new(services_max, BuildHasherDefault::<DefaultHasher>::default());
        let mut model: Vec<Entry> = Vec::new();
        let mut now = Moment::from_millis(rng.below(1 << 40));
        let uuid_of = |n: u8| Builder::from_random_bytes([n; 16]).into_uuid();
        let names = ["a", "b", "hive"];
        for _ in 0..rng.between(1, 40) {
            let n = rng.below(16) as u8;
            model.retain(|entry| now.since(entry.heartbeat) < entry.ttl);
            match rng.below(9) {
                8 => {
                    let (service_type, port) = (rng.below(3), rng.between(1, 9));
                    let ip = if rng.chance(50) {
                        "10.0.0.1"
                    } else {
                        "2001:db8::1"
                    };
                    let address = ServiceAddress::new(ip, port).expect("an address");
                    let name = names[service_type as usize];
                    while !registry.replace(now, name, address, &mut rng.index(3)) {}
                    let replaced = |entry: &Entry| {
                        (entry.service_type, entry.port, entry.ip) == (service_type, port, ip)
                    };
                    model.retain(|entry| !replaced(entry));
                }
                0..3 => {
                    let (service_type, port) = (rng.below(3), rng.between(1, 9));
                    let ttl = Duration::from_secs(rng.between(1, 3));
                    let ip = if rng.chance(50) {
                        "10.0.0.1"
                    } else {
                        "2001:db8::1"
                    };
                    let address = ServiceAddress::new(ip, port).expect("an address");
                    let name = names[service_type as usize];
                    registry.sweep(now, usize::MAX);
                    let new = Registration {
                        uuid: uuid_of(n),
                        service_type: name,
                        address,
                        ttl,
                    };
                    let expected = if model.iter().any(|entry| entry.uuid == n) {
                        Err(RegisterError::UuidTaken)
                    } else if model.len() == services_max as usize {
                        Err(RegisterError::Full)
                    } else {
                        model.push(Entry {
                            uuid: n,
                            service_type,
                            port,
                            ip,
                            heartbeat: now,
                            ttl,
                        });
                        Ok(())
                    };
                    assert_eq!(registry.register(now, new), expected);
                }
                3 => {
                    let entry = model.iter_mut().find(|entry| entry.uuid == n);
                    assert_eq!(
                        registry.heartbeat(now, &uuid_of(n)).is_known(),
                        entry.is_some()
                    );
                    if let Some(entry) = entry {
                        entry.heartbeat = now;
                    }
                }
                4 => {
                    let before = model.len();
                    model.retain(|entry| entry.uuid != n);
                    assert_eq!(
                        registry.deregister(now, &uuid_of(n), Reason::Deregistered),
                        model.len() < before
                    );
                }
                5 => drop(registry.sweep(now, rng.index(4))),
                6 => now = now.plus_millis([1, 500, 999, 1_000, 1_001, 100_000][rng.index(6)]),
                _ => {
                    assert!(registry.sweep(now, usize::MAX).caught_up);
                    assert_eq!(registry.len(), model.len());
                    for (service_type, name) in names.iter().enumerate() {
                        let expected: Vec<u64> = model
                            .iter()
                            .filter(|entry| entry.service_type == service_type as u64)
                            .map(|entry| entry.port)
                            .collect();
                        let found: Vec<u64> =
                            registry.service_type(name).map_or(Vec::new(), |view| {
                                view.addresses()
                                    .map(|address| u64::from(address.port.get()))
                                    .collect()
                            });
                        assert_eq!(found, expected, "{name}");
                    }
                }
            }
        }
        registry.check_invariants();
    });
}
