//! A plain list that is scanned from front to back, and the steps that it and the registry take side by side.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use discovery_service::message::{ChangeKind, Id, Labels, Reason, ServiceAddress};
use discovery_service::registry::{RegisterError, Registration, Registry, Sweep};
use discovery_service::time::Moment;
use uuid::Uuid;

use crate::elsewhere::{Elsewhere, key};

pub const TYPES: [&str; 5] = ["hive", "queen", "wéb/api", "Hive", "HIVE"];
pub const IPS: [&str; 4] = ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"];
pub const TTLS_MS: [u64; 3] = [1, 100, 30_000];
pub const UUIDS: usize = 10;

/// Tags and metadata by their number; the first are none.
pub const LABELS: usize = 3;

pub fn labels(number: usize) -> Option<Labels> {
    let mut labels = Labels::default();
    for tag in ["blue", "green"].iter().take(number) {
        labels.add_tag(tag).unwrap();
    }
    if number == 2 {
        labels.add_pair("version", "2").unwrap();
    }
    (number > 0).then_some(labels)
}

pub fn uuid(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

pub fn address(ip: &str, port: u16) -> ServiceAddress {
    ServiceAddress {
        ip: ip.parse::<IpAddr>().unwrap(),
        port: NonZeroU16::new(port).unwrap(),
    }
}

pub fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

pub fn query<S: BuildHasher>(registry: &Registry<S>, service_type: &str) -> Vec<ServiceAddress> {
    registry
        .service_type(service_type)
        .map_or_else(Vec::new, |view| {
            assert_eq!(
                (view.addresses().len(), view.addresses().count()),
                (view.len(), view.len())
            );
            view.addresses().collect()
        })
}

pub fn sweep_all<S: BuildHasher>(registry: &mut Registry<S>, now: Moment) {
    while !registry.sweep(now, 3).caught_up {}
}

#[derive(Clone, Debug)]
pub enum Step {
    Register {
        uuid: usize,
        service_type: usize,
        ip: usize,
        port: u16,
        ttl_ms: u64,
    },
    Heartbeat {
        uuid: usize,
    },
    Deregister {
        uuid: usize,
    },
    Hold {
        uuid: usize,
        service_type: usize,
        ip: usize,
        port: u16,
    },
    Replace {
        service_type: usize,
        ip: usize,
        port: u16,
        budget: usize,
    },
    Sweep {
        budget: usize,
    },
    SweepType {
        service_type: usize,
    },
    Query,
    Advance {
        ms: u64,
    },
    Update {
        uuid: usize,
        labels: usize,
    },
    Elsewhere {
        uuid: usize,
        step: Elsewhere,
    },
}

/// The steps that these bytes stand for: a byte for the kind, and one or two for each of its values.
pub fn steps(bytes: &[u8]) -> Vec<Step> {
    let mut bytes = bytes.iter().copied();
    std::iter::from_fn(|| step(&mut bytes)).collect()
}

fn step(bytes: &mut impl Iterator<Item = u8>) -> Option<Step> {
    const KINDS: u8 = 31;
    let kind = bytes.next()? % KINDS;
    let mut below = |limit: usize| Some(usize::from(bytes.next()?) % limit);
    Some(match kind {
        0..6 => Step::Register {
            uuid: below(UUIDS)?,
            service_type: below(TYPES.len())?,
            ip: below(IPS.len())?,
            port: 1 + below(3)? as u16,
            ttl_ms: TTLS_MS[below(TTLS_MS.len())?],
        },
        6..8 => Step::Hold {
            uuid: below(UUIDS)?,
            service_type: below(TYPES.len())?,
            ip: below(IPS.len())?,
            port: 1 + below(3)? as u16,
        },
        8..10 => Step::Replace {
            service_type: below(TYPES.len())?,
            ip: below(IPS.len())?,
            port: 1 + below(3)? as u16,
            budget: below(4)?,
        },
        10..14 => Step::Heartbeat {
            uuid: below(UUIDS)?,
        },
        14..16 => Step::Deregister {
            uuid: below(UUIDS)?,
        },
        16..18 => Step::Sweep { budget: below(5)? },
        18 => Step::Query,
        19 => Step::SweepType {
            service_type: below(TYPES.len())?,
        },
        20 | 21 => Step::Advance {
            ms: (TTLS_MS[below(TTLS_MS.len())?] + below(3)? as u64) - 1,
        },
        23 | 24 => Step::Update {
            uuid: below(UUIDS)?,
            labels: below(LABELS)?,
        },
        22 => Step::Advance {
            ms: below(200)? as u64,
        },
        25..28 => Step::Elsewhere {
            uuid: below(UUIDS)?,
            step: Elsewhere::Put {
                node: below(3)? as u32,
                service_type: below(TYPES.len())?,
                ip: below(IPS.len())?,
                port: 1 + below(3)? as u16,
                held: below(4)? == 0,
            },
        },
        28 => Step::Elsewhere {
            uuid: below(UUIDS)?,
            step: Elsewhere::TakeOver,
        },
        29 => Step::Elsewhere {
            uuid: below(UUIDS)?,
            step: Elsewhere::Remove,
        },
        _ => Step::Advance {
            ms: (below(256)? << 16 | below(256)? << 8 | below(256)?) as u64 * 6,
        },
    })
}

/// A registration in the list, newest last.
pub struct Row {
    pub uuid: Uuid,
    pub service_type: &'static str,
    pub address: ServiceAddress,
    pub last_heartbeat: u64,
    pub ttl_ms: u64,
    pub held: bool,
    pub labels: usize,
    /// Another node owns it.
    pub elsewhere: bool,
}

impl Row {
    fn is_live(&self, now: u64) -> bool {
        self.held || self.elsewhere || now - self.last_heartbeat < self.ttl_ms
    }
}

/// What must be true, without any structure: rows that are dead are simply not live.
#[derive(Default)]
pub struct Model {
    pub rows: Vec<Row>,
    pub now: u64,
    pub registered: u64,
    pub updates: u64,
    /// What is registered by what was told of it.
    told: HashMap<Id, (String, ServiceAddress, Labels)>,
    /// What a type's id and version stood for.
    seen: HashMap<(u32, u64), Vec<ServiceAddress>>,
    /// What the same of a name in any case stood for.
    seen_named: HashMap<(u32, u64), String>,
}

impl Model {
    fn live(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_live(self.now))
    }

    fn live_at(&self, uuid: Uuid) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| row.uuid == uuid && !row.elsewhere && row.is_live(self.now))
    }

    fn register<S: BuildHasher>(&mut self, registry: &mut Registry<S>, row: Row) {
        // A service asks for that first.
        if registry.replica(at(self.now), &key(&row.uuid)).is_some() {
            return;
        }
        let labels = labels(row.labels);
        let new = Registration {
            uuid: row.uuid,
            service_type: row.service_type,
            address: row.address,
            ttl: Duration::from_millis(row.ttl_ms),
            labels: labels.as_ref(),
        };
        let before = (registry.len(), registry.index());
        let full = registry.len() == registry.services_max() as usize;
        let add = if row.held {
            Registry::hold
        } else {
            Registry::register
        };
        match add(registry, at(self.now), new) {
            Ok(()) => {
                assert_eq!(self.live_at(row.uuid), None);
                // A row of the same UUID is dead. It made room if it was still stored.
                assert!(!full || self.rows.iter().any(|other| other.uuid == row.uuid));
                self.rows.retain(|other| other.uuid != row.uuid);
                self.rows.push(row);
                self.registered += 1;
            }
            Err(error) => {
                let taken = self.live_at(row.uuid).is_some();
                assert_eq!(
                    error,
                    if taken {
                        RegisterError::UuidTaken
                    } else {
                        RegisterError::Full
                    }
                );
                assert!(taken || full);
                assert_eq!((registry.len(), registry.index()), before);
            }
        }
    }

    fn apply<S: BuildHasher>(&mut self, registry: &mut Registry<S>, step: Step) {
        match step {
            Step::Register {
                uuid: number,
                service_type,
                ip,
                port,
                ttl_ms,
            } => {
                let (service_type, address) = (TYPES[service_type], address(IPS[ip], port));
                let row = Row {
                    uuid: uuid(number),
                    service_type,
                    address,
                    last_heartbeat: self.now,
                    ttl_ms,
                    held: false,
                    labels: usize::from(port) % LABELS,
                    elsewhere: false,
                };
                self.register(registry, row);
            }
            Step::Update {
                uuid: number,
                labels: wanted,
            } => {
                let (uuid, now) = (uuid(number), at(self.now));
                let told = registry.update(now, &uuid, labels(wanted).as_ref());
                let live = self.live_at(uuid);
                assert_eq!(told, Ok(live.is_some()));
                if let Some(live) = live {
                    // What changes nothing is no change.
                    self.updates += u64::from(self.rows[live].labels != wanted);
                    self.rows[live].labels = wanted;
                }
            }
            Step::Hold {
                uuid: number,
                service_type,
                ip,
                port,
            } => {
                let (service_type, address) = (TYPES[service_type], address(IPS[ip], port));
                let (uuid, last_heartbeat) = (uuid(number), self.now);
                let row = Row {
                    uuid,
                    service_type,
                    address,
                    last_heartbeat,
                    ttl_ms: 100,
                    held: true,
                    labels: 0,
                    elsewhere: false,
                };
                self.register(registry, row);
            }
            Step::Replace {
                service_type,
                ip,
                port,
                mut budget,
            } => {
                let (service_type, address, now) =
                    (TYPES[service_type], address(IPS[ip], port), self.now);
                let len = registry.len();
                let given = budget;
                let whole = registry.replace(at(now), service_type, address, None, &mut budget);
                let removed = len - registry.len();
                assert!(removed <= given, "more was done than may be");
                // Go on until all is done, as a service does in its next turns.
                while !whole && !registry.replace(at(now), service_type, address, None, &mut 2) {}
                self.rows
                    .retain(|row| row.service_type != service_type || row.address != address);
            }
            Step::Heartbeat { uuid: number } => {
                let live = self.live_at(uuid(number));
                assert_eq!(
                    registry.heartbeat(at(self.now), &uuid(number)).is_known(),
                    live.is_some()
                );
                if let Some(row) = live {
                    self.rows[row].last_heartbeat = self.now;
                }
            }
            Step::Deregister { uuid: number } => {
                let live = self.live_at(uuid(number));
                assert_eq!(
                    registry.deregister(at(self.now), &uuid(number), Reason::Deregistered),
                    live.is_some()
                );
                if let Some(row) = live {
                    self.rows.remove(row);
                }
            }
            Step::Sweep { budget } => {
                let len = registry.len();
                let Sweep {
                    expired,
                    examined,
                    caught_up,
                } = registry.sweep(at(self.now), budget);
                assert!(expired <= examined && examined <= budget);
                assert_eq!(registry.len(), len - expired);
                if caught_up {
                    self.compare(registry);
                }
            }
            Step::SweepType { service_type } => {
                let name = TYPES[service_type];
                let len = registry.len();
                let expired = registry.sweep_type(at(self.now), name);
                assert_eq!(registry.len(), len - expired);
                let live = self.live().filter(|row| row.service_type == name);
                let expected: Vec<_> = live.map(|row| row.address).collect();
                assert_eq!(query(registry, name), expected);
            }
            Step::Query => {
                sweep_all(registry, at(self.now));
                self.compare(registry);
            }
            Step::Elsewhere { uuid, step } => self.elsewhere(registry, uuid, step),
            Step::Advance { ms } => self.now += ms,
        }
    }

    /// Compares everything that can be seen of a registry whose sweep has caught up.
    fn compare<S: BuildHasher>(&mut self, registry: &mut Registry<S>) {
        let live = self.live().count();
        assert_eq!((registry.len(), registry.is_empty()), (live, live == 0));
        assert_eq!(
            registry.index(),
            2 * self.registered - live as u64 + self.updates
        );
        self.compare_changes(registry);
        let expiry = self
            .live()
            .filter(|row| !row.held && !row.elsewhere)
            .map(|row| at(row.last_heartbeat + row.ttl_ms))
            .min();
        let next = registry.next_sweep();
        assert_eq!(next.is_some(), expiry.is_some());
        assert!(next.is_none_or(|next| next > at(self.now) && Some(next) <= expiry));
        for service_type in TYPES {
            let rows = self.live().filter(|row| row.service_type == service_type);
            let expected: Vec<_> = rows.map(|row| row.address).collect();
            assert_eq!(query(registry, service_type), expected);
            assert_eq!(
                registry.service_type(service_type).is_some(),
                !expected.is_empty()
            );
            if let Some(view) = registry.service_type(service_type) {
                let seen = self
                    .seen
                    .entry((view.slot(), view.version()))
                    .or_insert_with(|| expected.clone());
                assert_eq!(*seen, expected, "one id and version stood for two lists");
            }
        }
        self.compare_named(registry);
    }

    /// DNS finds the types that differ in case only by one name.
    fn compare_named<S: BuildHasher>(&mut self, registry: &Registry<S>) {
        for name in ["hIVE", "QUEEN", "wéb/API", "wÉb/api"] {
            let is_named = |of: &&str| of.eq_ignore_ascii_case(name);
            let lists = TYPES
                .into_iter()
                .filter(is_named)
                .map(|of| (of, query(registry, of)));
            let expected: BTreeMap<_, _> = lists.filter(|(_, list)| !list.is_empty()).collect();
            let views: Vec<_> = registry.types_named(name).collect();
            let found = views
                .iter()
                .map(|view| (&**view.name(), view.addresses().collect()));
            assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
            assert_eq!(views.len(), expected.len());
            let version = registry.version_of_named(name);
            assert_eq!(version.is_some(), !expected.is_empty());
            if let Some(version) = version {
                let expected = format!("{expected:?}");
                let seen = self
                    .seen_named
                    .entry(version)
                    .or_insert_with(|| expected.clone());
                assert_eq!(
                    *seen, expected,
                    "one version stood for two states of a name"
                );
            }
        }
    }
}

impl Model {
    /// Whoever follows the changes knows what is registered.
    fn compare_changes<S: BuildHasher>(&mut self, registry: &mut Registry<S>) {
        for change in registry.changes() {
            let labels = change.labels.as_deref().cloned().unwrap_or_default();
            let service = (change.service_type.to_string(), change.address, labels);
            match change.kind {
                ChangeKind::Up => {
                    let before = self.told.insert(change.id(), service);
                    assert_eq!(before, None, "what comes was not there");
                }
                ChangeKind::Updated => {
                    let before = self.told.insert(change.id(), service);
                    assert!(before.is_some(), "what is updated has come");
                }
                ChangeKind::Adopted { .. } | ChangeKind::TakenOver | ChangeKind::Yielded => {
                    assert_eq!(self.told.get(&change.id()), Some(&service));
                }
                ChangeKind::Down { at: gone_at, .. } => {
                    assert!(change.heartbeat <= gone_at && gone_at <= at(self.now));
                    let before = self.told.remove(&change.id());
                    assert_eq!(before, Some(service), "what goes has come");
                }
            }
        }
        registry.clear_changes();
        let registered: HashMap<_, _> = self
            .live()
            .map(|row| {
                let labels = labels(row.labels).unwrap_or_default();
                (
                    Id::of(&row.uuid),
                    (row.service_type.to_string(), row.address, labels),
                )
            })
            .collect();
        assert_eq!(self.told, registered);
    }
}

pub fn run<S: BuildHasher>(services_max: u32, hasher: S, steps: Vec<Step>) {
    let mut registry = Registry::new(services_max, hasher);
    let mut model = Model::default();
    for step in steps {
        model.apply(&mut registry, step);
    }
    model.apply(&mut registry, Step::Query);
    registry.check_invariants();
}
