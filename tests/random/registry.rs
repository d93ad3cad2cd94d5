//! The registry against a plain list that is scanned from front to back.

use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::elsewhere::Elsewhere;
use crate::model::{
    IPS, LABELS, Step, TTLS_MS, TYPES, UUIDS, address, at, labels, query, run, sweep_all, uuid,
};
use discovery_service::limits::ADDRESS_INDEX_UNUSED_MS;
use discovery_service::message::Reason;
use discovery_service::registry::{
    Heartbeat, KeyedHash, RegisterError, Registration, Registry, Sweep,
};
use discovery_service::time::Moment;
use proptest::prelude::*;
use uuid::Uuid;

fn registration(uuid: Uuid, service_type: &str, ttl_ms: u64) -> Registration<'_> {
    Registration {
        uuid,
        service_type,
        address: address(IPS[0], 80),
        ttl: Duration::from_millis(ttl_ms),
        labels: None,
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let uuids = 0..UUIDS;
    let edges = TTLS_MS
        .into_iter()
        .flat_map(|ttl| [ttl - 1, ttl, ttl + 1])
        .collect::<Vec<_>>();
    let ms = prop_oneof![4 => prop::sample::select(edges), 2 => 0..200u64, 1 => 0..100_000_000u64];
    let register = (
        uuids.clone(),
        0..TYPES.len(),
        0..IPS.len(),
        1..4u16,
        prop::sample::select(&TTLS_MS[..]),
    );
    let register = register.prop_map(|(uuid, service_type, ip, port, ttl_ms)| Step::Register {
        uuid,
        service_type,
        ip,
        port,
        ttl_ms,
    });
    let place = (0..TYPES.len(), 0..IPS.len(), 1..4u16);
    let hold =
        (uuids.clone(), place.clone()).prop_map(|(uuid, (service_type, ip, port))| Step::Hold {
            uuid,
            service_type,
            ip,
            port,
        });
    let replace = (place, 0..4usize).prop_map(|((service_type, ip, port), budget)| Step::Replace {
        service_type,
        ip,
        port,
        budget,
    });
    let step = prop_oneof![
        6 => register,
        2 => hold,
        2 => replace,
        4 => uuids.clone().prop_map(|uuid| Step::Heartbeat { uuid }),
        2 => uuids.prop_map(|uuid| Step::Deregister { uuid }),
        2 => (0..5usize).prop_map(|budget| Step::Sweep { budget }),
        1 => (0..TYPES.len()).prop_map(|service_type| Step::SweepType { service_type }),
        2 => (0..UUIDS, 0..LABELS).prop_map(|(uuid, labels)| Step::Update { uuid, labels }),
        3 => (0..UUIDS, elsewhere()).prop_map(|(uuid, step)| Step::Elsewhere { uuid, step }),
        1 => Just(Step::Query),
        3 => ms.prop_map(|ms| Step::Advance { ms }),
    ];
    prop::collection::vec(step, 1..150)
}

fn elsewhere() -> impl Strategy<Value = Elsewhere> {
    let place = (0..TYPES.len(), 0..IPS.len(), 1..4u16);
    let put = (0..3u32, place, any::<bool>());
    let put = put.prop_map(|(node, (service_type, ip, port), held)| Elsewhere::Put {
        node,
        service_type,
        ip,
        port,
        held,
    });
    prop_oneof![3 => put, 2 => Just(Elsewhere::TakeOver), 1 => Just(Elsewhere::Remove)]
}

/// Puts every key into one bucket.
#[derive(Default)]
struct Colliding;

impl Hasher for Colliding {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        7
    }
}

/// The answer to one step of a service that keeps the registry as it is meant to be kept: it
/// sweeps before a query, and before it refuses a registration.
fn answer(registry: &mut Registry, now: u64, step: &Step) -> String {
    let now = at(now);
    match *step {
        Step::Register {
            uuid: number,
            service_type,
            ip,
            port,
            ttl_ms,
        } => {
            let (service_type, address) = (TYPES[service_type], address(IPS[ip], port));
            let new = Registration {
                uuid: uuid(number),
                service_type,
                address,
                ttl: Duration::from_millis(ttl_ms),
                labels: None,
            };
            if registry.len() == registry.services_max() as usize {
                sweep_all(registry, now);
            }
            format!("{:?}", registry.register(now, new))
        }
        Step::Heartbeat { uuid: number } => registry
            .heartbeat(now, &uuid(number))
            .is_known()
            .to_string(),
        Step::Deregister { uuid: number } => registry
            .deregister(now, &uuid(number), Reason::Deregistered)
            .to_string(),
        Step::SweepType { service_type } => {
            registry.sweep_type(now, TYPES[service_type]);
            format!("{:?}", query(registry, TYPES[service_type]))
        }
        Step::Update {
            uuid: number,
            labels: wanted,
        } => {
            let told = registry.update(now, &uuid(number), labels(wanted).as_ref());
            format!("{told:?}")
        }
        Step::Query => {
            sweep_all(registry, now);
            format!(
                "{:?}",
                TYPES.map(|service_type| query(registry, service_type))
            )
        }
        Step::Hold {
            uuid: number,
            service_type,
            ip,
            port,
        } => {
            let (service_type, address) = (TYPES[service_type], address(IPS[ip], port));
            if registry.len() == registry.services_max() as usize {
                sweep_all(registry, now);
            }
            let new = Registration {
                uuid: uuid(number),
                service_type,
                address,
                ttl: Duration::from_secs(30),
                labels: None,
            };
            format!("{:?}", registry.hold(now, new))
        }
        Step::Replace {
            service_type,
            ip,
            port,
            ..
        } => {
            while !registry.replace(
                now,
                TYPES[service_type],
                address(IPS[ip], port),
                None,
                &mut 3,
            ) {}
            String::new()
        }
        // The sweep does nothing to what other nodes own.
        Step::Elsewhere { .. } | Step::Sweep { .. } | Step::Advance { .. } => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_answer_is_that_of_a_plain_list(steps in steps(), services_max in 1..12u32) {
        run(services_max, KeyedHash::new(0x5eed), steps);
    }

    #[test]
    fn row_42_a_hasher_under_which_all_keys_collide_changes_no_answer(steps in steps(), services_max in 1..12u32) {
        run(services_max, BuildHasherDefault::<Colliding>::default(), steps);
    }

    #[test]
    fn row_31_sweeps_added_or_dropped_change_no_answer(steps in steps(), services_max in 1..12u32) {
        let mut swept = Registry::new(services_max, KeyedHash::new(0x5eed));
        let mut unswept = Registry::new(services_max, KeyedHash::new(0x5eed));
        let mut now = 0;
        for step in steps {
            match step {
                Step::Advance { ms } => now += ms,
                Step::Sweep { budget } => drop(swept.sweep(at(now), budget)),
                _ => prop_assert_eq!(answer(&mut swept, now, &step), answer(&mut unswept, now, &step)),
            }
        }
        prop_assert_eq!(answer(&mut swept, now, &Step::Query), answer(&mut unswept, now, &Step::Query));
    }
}

#[test]
fn row_33_a_registration_lives_while_its_last_heartbeat_is_less_than_the_ttl_old() {
    const TTL_MS: u64 = 30_000;
    for (age, live) in [
        (0, true),
        (TTL_MS - 1, true),
        (TTL_MS, false),
        (TTL_MS + 1, false),
    ] {
        for swept in [false, true] {
            for heartbeat in [0, 12_345] {
                let mut registry = Registry::new(10, KeyedHash::new(0x5eed));
                registry
                    .register(at(0), registration(uuid(1), "hive", TTL_MS))
                    .unwrap();
                assert!(registry.heartbeat(at(heartbeat), &uuid(1)).is_known());
                let now = at(heartbeat + age);
                if swept {
                    sweep_all(&mut registry, now);
                    assert_eq!(query(&registry, "hive").len(), usize::from(live));
                }
                assert_eq!(
                    registry.heartbeat(now, &uuid(1)).is_known(),
                    live,
                    "age {age}, swept {swept}"
                );
                sweep_all(&mut registry, now);
                assert_eq!(
                    query(&registry, "hive").len(),
                    usize::from(live),
                    "age {age}, swept {swept}"
                );
            }
        }
    }
}

#[test]
fn a_heartbeat_that_comes_too_late_does_not_bring_a_registration_back() {
    let mut registry = Registry::new(10, KeyedHash::new(0x5eed));
    registry
        .register(at(0), registration(uuid(1), "hive", 100))
        .unwrap();
    assert!(!registry.heartbeat(at(100), &uuid(1)).is_known());
    assert!(!registry.heartbeat(at(100), &uuid(1)).is_known());
    assert!(!registry.deregister(at(100), &uuid(1), Reason::Deregistered));
    assert_eq!(
        registry.sweep(at(100), 10),
        Sweep {
            expired: 1,
            examined: 1,
            caught_up: true
        }
    );
}

#[test]
fn a_uuid_can_be_registered_again_once_it_expired_also_in_a_full_registry() {
    let mut registry = Registry::new(1, KeyedHash::new(0x5eed));
    registry
        .register(at(0), registration(uuid(1), "hive", 100))
        .unwrap();
    assert_eq!(
        registry.register(at(99), registration(uuid(1), "hive", 100)),
        Err(RegisterError::UuidTaken)
    );
    assert_eq!(
        registry.register(at(100), registration(uuid(2), "hive", 100)),
        Err(RegisterError::Full)
    );
    assert_eq!(
        registry.register(at(100), registration(uuid(1), "queen", 100)),
        Ok(())
    );
    assert_eq!(
        (
            query(&registry, "hive").len(),
            query(&registry, "queen").len()
        ),
        (0, 1)
    );
    assert!(registry.heartbeat(at(199), &uuid(1)).is_known());
}

#[test]
fn row_36_one_address_registered_twice_is_two_registrations() {
    let mut registry = Registry::new(10, KeyedHash::new(0x5eed));
    registry
        .register(at(0), registration(uuid(1), "hive", 100))
        .unwrap();
    registry
        .register(at(0), registration(uuid(2), "hive", 100))
        .unwrap();
    assert_eq!(query(&registry, "hive"), [address(IPS[0], 80); 2]);
    assert!(registry.deregister(at(1), &uuid(1), Reason::Deregistered));
    assert_eq!(query(&registry, "hive"), [address(IPS[0], 80)]);
    assert!(registry.heartbeat(at(1), &uuid(2)).is_known());
}

#[test]
fn row_32_a_million_registrations_that_expire_together_go_in_slices_and_come_again() {
    const LEN: u32 = 1_000_000;
    const BUDGET: usize = 4096;
    const TTL_MS: u64 = 30_000;
    let mut registry = Registry::new(LEN, KeyedHash::new(0x5eed));
    let fill = |registry: &mut Registry, now: Moment| {
        for number in 0..LEN as usize {
            let service_type = TYPES[number % TYPES.len()];
            registry
                .register(now, registration(uuid(number), service_type, TTL_MS))
                .unwrap();
            registry.clear_changes();
        }
        let one_more = registry.register(now, registration(uuid(LEN as usize), "hive", TTL_MS));
        assert_eq!(one_more, Err(RegisterError::Full));
    };
    fill(&mut registry, at(5));

    // One of them has given a sign of life and stays.
    let survivor = uuid(777_777);
    assert!(registry.heartbeat(at(6), &survivor).is_known());
    let now = at(5 + TTL_MS);
    let mut slices = 0;
    loop {
        let len = registry.len();
        let Sweep {
            expired, caught_up, ..
        } = registry.sweep(now, BUDGET);
        assert_eq!(registry.changes().len(), expired);
        registry.clear_changes();
        assert!(expired <= BUDGET);
        assert_eq!(registry.len(), len - expired);
        slices += 1;
        if caught_up {
            break;
        }
    }
    // Each entry may come down through the levels of the wheel on its way.
    assert!(slices <= 4 * LEN as usize / BUDGET, "{slices} slices");
    assert_eq!(registry.len(), 1);
    assert!(
        registry.heartbeat(now, &survivor).is_known()
            && registry.deregister(now, &survivor, Reason::Deregistered)
    );
    assert_eq!((registry.len(), registry.next_sweep()), (0, None));
    assert_eq!(registry.index(), 2 * u64::from(LEN));

    fill(&mut registry, now);
    registry.check_invariants();
    assert_eq!(registry.len(), LEN as usize);
}

#[test]
fn a_replacement_among_a_hundred_thousand_of_one_type_takes_its_time_in_slices_and_is_quick_from_then_on()
 {
    const LEN: usize = 100_000;
    let mut registry = Registry::new(2 * LEN as u32, KeyedHash::new(0x5eed));
    for number in 0..LEN {
        let new = Registration {
            address: address("10.0.0.1", (number % 5_000 + 1) as u16),
            ..registration(uuid(number), "hive", 30_000)
        };
        registry.register(at(1), new).unwrap();
        registry.clear_changes();
    }
    let place = address("10.0.0.1", 77);
    let mut turns = 0;
    while !registry.replace(at(2), "hive", place, None, &mut 4096) {
        turns += 1;
    }
    assert_eq!(turns, LEN / 4096, "the index is made in slices");
    assert_eq!(registry.changes().len(), LEN / 5_000);
    assert_eq!(registry.len(), LEN - LEN / 5_000);
    assert!(
        registry.replace(
            at(2),
            "hive",
            address("10.0.0.1", 78),
            None,
            &mut LEN.div_ceil(5_000)
        ),
        "in one go"
    );
    assert!(
        registry.replace(at(2), "queen", place, None, &mut 1)
            && registry.replace(at(2), "hive", place, None, &mut 1)
    );
    registry.check_invariants();
}

#[test]
fn row_32_an_address_registered_a_hundred_thousand_times_is_removed_one_by_one_and_by_replacement()
{
    const LEN: usize = 100_000;
    let mut registry = Registry::new(2 * LEN as u32, KeyedHash::new(0x5eed));
    let place = address(IPS[0], 80);
    let fill = |registry: &mut Registry, numbers: std::ops::Range<usize>| {
        for number in numbers {
            registry
                .register(at(1), registration(uuid(number), "hive", 30_000))
                .unwrap();
            registry.clear_changes();
        }
    };
    fill(&mut registry, 0..LEN / 2);
    // The index is made while registrations come and go.
    let elsewhere = address(IPS[0], 81);
    for number in 0.. {
        if registry.replace(at(2), "hive", elsewhere, None, &mut 4096) {
            break;
        }
        assert!(registry.deregister(at(2), &uuid(7 * number), Reason::Deregistered));
        fill(&mut registry, LEN + number..LEN + number + 1);
    }
    fill(&mut registry, LEN / 2..LEN);
    registry.check_invariants();
    for number in LEN / 4..LEN / 2 {
        registry.deregister(at(2), &uuid(number), Reason::Deregistered);
        registry.clear_changes();
    }
    registry.check_invariants();
    let mut turns = 0;
    loop {
        let before = registry.len();
        let is_done = registry.replace(at(2), "hive", place, None, &mut 4096);
        assert!(before - registry.len() <= 4096, "more was done than may be");
        registry.clear_changes();
        turns += 1;
        if is_done {
            break;
        }
    }
    assert_eq!(registry.len(), 0);
    assert!(turns <= LEN / 4096, "{turns} turns");
    registry.check_invariants();
}

#[test]
fn row_32_an_index_that_nobody_uses_goes_in_slices_and_is_made_again() {
    const LEN: usize = 10_000;
    let mut registry = Registry::new(LEN as u32, KeyedHash::new(0x5eed));
    for number in 0..LEN {
        let new = registration(uuid(number), "hive", 86_400_000);
        registry.register(at(1), new).unwrap();
    }
    let replace = |registry: &mut Registry, now: u64| {
        let place = address(IPS[1], 80);
        (1..).find(|_| registry.replace(at(now), "hive", place, None, &mut 4096))
    };
    assert_eq!(replace(&mut registry, 2), Some(3), "it is made in slices");
    assert_eq!(replace(&mut registry, 3), Some(1), "and kept");
    registry.sweep(at(ADDRESS_INDEX_UNUSED_MS + 2), 10);
    assert_eq!(replace(&mut registry, ADDRESS_INDEX_UNUSED_MS + 2), Some(1));
    for _ in 0..3 {
        registry.sweep(at(2 * ADDRESS_INDEX_UNUSED_MS + 2), 10);
        registry.check_invariants();
    }
    let again = replace(&mut registry, 2 * ADDRESS_INDEX_UNUSED_MS + 2);
    assert_eq!(again, Some(3), "it was given back");
    registry.check_invariants();
}

#[test]
fn a_heartbeat_in_the_last_tenth_of_the_ttl_is_told_once() {
    let mut registry = Registry::new(10, KeyedHash::new(0x5eed));
    registry
        .register(at(0), registration(uuid(1), "hive", 1_000))
        .unwrap();
    let mut beat = |now: u64| registry.heartbeat(at(now), &uuid(1));
    assert_eq!(beat(899), Heartbeat::InTime);
    assert_eq!(beat(899 + 900), Heartbeat::Late);
    assert_eq!(
        beat(899 + 900 + 999),
        Heartbeat::InTime,
        "once for each registration"
    );
}
