//! Walks over the registry while registrations come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::model::{IPS, TYPES, address, at, uuid};
use discovery_service::message::Reason;
use discovery_service::registry::{Cursor, KeyedHash, Registration, Registry};
use proptest::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Step {
    Register {
        service_type: usize,
    },
    /// Removes the registration that is so many places from the newest.
    Remove {
        back: usize,
    },
    /// Lets time pass, so that registrations expire; the sweep removes some of them.
    Expire {
        sweep: usize,
    },
    Begin {
        walk: usize,
        service_type: Option<usize>,
    },
    Copy {
        from: usize,
        to: usize,
    },
    Walk {
        walk: usize,
        budget: usize,
        rows: usize,
    },
}

const WALKS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..TYPES.len()).prop_map(|service_type| Step::Register { service_type }),
        6 => (0..12usize).prop_map(|back| Step::Remove { back }),
        1 => (0..5usize).prop_map(|sweep| Step::Expire { sweep }),
        2 => (0..WALKS, prop::option::of(0..TYPES.len()))
            .prop_map(|(walk, service_type)| Step::Begin { walk, service_type }),
        1 => (0..WALKS, 0..WALKS).prop_map(|(from, to)| Step::Copy { from, to }),
        6 => (0..WALKS, 0..4usize, 1..4usize)
            .prop_map(|(walk, budget, rows)| Step::Walk { walk, budget, rows }),
    ];
    prop::collection::vec(step, 1..200)
}

/// A walk, with what it must still meet.
#[derive(Clone, Default)]
struct Expected {
    /// What was there at its beginning and has not gone.
    due: BTreeSet<Uuid>,
    met: Vec<Uuid>,
}

/// The registry, the live registrations with their types and ends, and walks over them.
struct World {
    registry: Registry,
    live: BTreeMap<Uuid, (usize, u64)>,
    order: Vec<Uuid>,
    walks: Vec<Option<(Cursor, Expected)>>,
    now: u64,
}

impl World {
    fn gone(&mut self, goes: impl Fn(&Uuid, u64) -> bool) {
        self.live.retain(|uuid, (_, end)| !goes(uuid, *end));
        let live = &self.live;
        self.order.retain(|uuid| live.contains_key(uuid));
        for (_, expected) in self.walks.iter_mut().flatten() {
            expected.due.retain(|uuid| live.contains_key(uuid));
        }
    }

    fn begin(&mut self, walk: usize, walks: Option<(Cursor, Expected)>) {
        if let Some((cursor, _)) = std::mem::replace(&mut self.walks[walk], walks) {
            self.registry.drop_cursor(cursor);
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Register { service_type } => {
                let uuid = uuid(1 + self.registry.index() as usize);
                let ttl_ms = 10_000 * (1 + self.registry.index() % 5);
                let new = Registration {
                    uuid,
                    service_type: TYPES[service_type],
                    address: address(IPS[0], 80),
                    ttl: Duration::from_millis(ttl_ms),
                    labels: None,
                };
                self.registry
                    .register(at(self.now), new)
                    .expect("it is new");
                self.live.insert(uuid, (service_type, self.now + ttl_ms));
                self.order.push(uuid);
            }
            Step::Remove { back } => {
                if let Some(&uuid) = self.order.iter().rev().nth(back) {
                    let reason = Reason::Deregistered;
                    assert!(self.registry.deregister(at(self.now), &uuid, reason));
                    self.gone(|gone, _| *gone == uuid);
                }
            }
            Step::Expire { sweep } => {
                self.now += 10_000;
                let now = self.now;
                self.gone(|_, end| end <= now);
                self.registry.sweep(at(self.now), sweep);
            }
            Step::Begin { walk, service_type } => {
                let cursor = self.registry.cursor(service_type.map(|index| TYPES[index]));
                let of_type = |(_, (index, _)): &(&Uuid, &(usize, u64))| {
                    service_type.is_none_or(|wanted| wanted == *index)
                };
                let due = self.live.iter().filter(of_type);
                let due = due.map(|(uuid, _)| *uuid).collect();
                let met = Vec::new();
                self.begin(walk, Some((cursor, Expected { due, met })));
            }
            Step::Copy { from, to } if from != to => {
                let copy = self.walks[from].as_ref().map(|(cursor, expected)| {
                    (self.registry.copy_cursor(cursor), expected.clone())
                });
                self.begin(to, copy);
            }
            Step::Copy { .. } => {}
            Step::Walk { walk, budget, rows } => self.walk(walk, budget, rows),
        }
        self.registry.check_invariants();
    }

    fn walk(&mut self, walk: usize, mut budget: usize, rows: usize) {
        let Some((mut cursor, mut expected)) = self.walks[walk].take() else {
            return;
        };
        let before = (budget, expected.met.len());
        let now = at(self.now);
        self.registry.walk(&mut cursor, now, &mut budget, |record| {
            expected.met.push(record.uuid);
            if expected.met.len() - before.1 == rows {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(expected.met.len() - before.1 <= before.0.min(rows));
        for uuid in &expected.met[before.1..] {
            assert!(self.live.contains_key(uuid), "it meets the live only");
            expected.due.remove(uuid);
        }
        if cursor.is_at_end() {
            assert_eq!(expected.due, BTreeSet::new(), "the walk left some out");
            let met: BTreeSet<&Uuid> = expected.met.iter().collect();
            assert_eq!(met.len(), expected.met.len(), "the walk met one twice");
        } else {
            self.walks[walk] = Some((cursor, expected));
        }
    }
}

proptest! {
    #[test]
    fn a_walk_meets_all_that_stays_once_whatever_comes_and_goes(steps in steps()) {
        let mut world = World {
            registry: Registry::new(1_000, KeyedHash::new(0x5eed)),
            live: BTreeMap::new(),
            order: Vec::new(),
            walks: vec![None, None, None, None],
            now: 0,
        };
        for step in &steps {
            world.apply(step);
        }
        for walk in 0..WALKS {
            while world.walks[walk].is_some() {
                world.walk(walk, 3, 2);
                world.registry.check_invariants();
            }
        }
    }
}

#[test]
fn a_walk_over_all_goes_by_name_and_oldest_first() {
    let mut registry: Registry = Registry::new(10, KeyedHash::new(0x5eed));
    for (number, name) in ["b", "a", "b", "c", "a"].into_iter().enumerate() {
        let new = Registration {
            uuid: uuid(number),
            service_type: name,
            address: address(IPS[0], 80),
            ttl: Duration::from_secs(1),
            labels: None,
        };
        registry.register(at(0), new).expect("it is new");
    }
    let mut met = Vec::new();
    let mut cursor = registry.cursor(None);
    let mut budget = 100;
    registry.walk(&mut cursor, at(0), &mut budget, |record| {
        met.push(record.uuid);
        ControlFlow::Continue(())
    });
    assert_eq!(met, [1, 4, 0, 2, 3].map(uuid));
    assert!(cursor.is_at_end());
}

/// A walk that has stopped stays in front of one after the other that begins there and ends soon.
#[test]
fn walks_that_have_ended_leave_nothing_behind_whatever_was_removed_in_front_of_them() {
    const ENTRIES: usize = 10_000;
    let mut registry: Registry = Registry::new(ENTRIES as u32, KeyedHash::new(0x5eed));
    for number in 0..ENTRIES {
        let new = Registration {
            uuid: uuid(number),
            service_type: "a",
            address: address(IPS[0], 80),
            ttl: Duration::from_secs(1),
            labels: None,
        };
        registry.register(at(0), new).expect("it is new");
    }
    let slow = registry.cursor(Some("a"));
    for number in 0..ENTRIES - 1 {
        let step_over_one = |registry: &mut Registry| {
            let (mut cursor, mut budget) = (registry.cursor(Some("a")), 1);
            registry.walk(&mut cursor, at(0), &mut budget, |_| {
                ControlFlow::Continue(())
            });
            cursor
        };
        let others = [(); 3].map(|()| step_over_one(&mut registry));
        assert!(registry.deregister(at(0), &uuid(number), Reason::Deregistered));
        others
            .into_iter()
            .for_each(|cursor| registry.drop_cursor(cursor));
        let places = registry.marked_places();
        assert!((1..=16).contains(&places), "{places} marks for one walk");
    }
    registry.drop_cursor(slow);
    assert_eq!(registry.marked_places(), 0);
}

#[test]
fn a_walk_ends_although_more_is_registered_than_it_walks_over() {
    const ENTRIES: usize = 10;
    let mut registry: Registry = Registry::new(1_000, KeyedHash::new(0x5eed));
    let mut numbers = 0..;
    let mut register = |registry: &mut Registry, entries: usize| {
        for number in numbers.by_ref().take(entries) {
            let new = Registration {
                uuid: uuid(number),
                service_type: "a",
                address: address(IPS[0], 80),
                ttl: Duration::from_secs(1),
                labels: None,
            };
            registry.register(at(0), new).expect("it is new");
        }
    };
    register(&mut registry, ENTRIES);
    let mut cursor = registry.cursor(Some("a"));
    let mut steps = 0;
    while !cursor.is_at_end() {
        steps += 1;
        assert!(steps <= ENTRIES, "the walk does not end");
        registry.walk(&mut cursor, at(0), &mut 1, |_| ControlFlow::Continue(()));
        register(&mut registry, 2);
    }
}
