//! A node with the simplest registry: what it owns, what others own, and what it tells its watchers.

use std::collections::BTreeMap;
use std::sync::Arc;

use discovery_service::cluster::{
    Config, Holdings, Layout, LeaseCommand, Name, News, Node, NodeId, Owned, Record,
};
use discovery_service::etcd::{Call, Event, KeyValue, Report, Write};
use discovery_service::message::{Reason, ServiceAddress};
use discovery_service::time::Moment;

use crate::etcd::Etcd;
use crate::link::Link;

pub const LEASE_S: u64 = 6;
pub const GRACE_MS: u64 = 3_000;

pub fn layout() -> Layout {
    Layout::new("/discovery")
}

#[derive(Default)]
pub struct Registry {
    pub own: BTreeMap<Name, Owned>,
    pub replicas: BTreeMap<Name, Record>,
}

impl Holdings for Registry {
    fn owned(&self, name: &Name) -> Option<Owned> {
        self.own.get(name).cloned()
    }
}

pub struct Face {
    pub node: Node,
    pub registry: Registry,
    pub link: Link,
    /// Milliseconds for which the process was suspended.
    paused_ms: u64,
    pub suspended: bool,
    /// When the process began.
    pub born: u64,
    /// What was told to watchers as gone since it was last taken.
    pub downs: Vec<(Name, Reason)>,
    /// What has gone in a line that is not whole yet: another one may take its place.
    gone: Vec<(Name, ServiceAddress, Reason)>,
    /// What has happened, for a look at a seed that fails.
    pub log: Vec<(u64, String)>,
}

/// The answer to a heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Ok,
    Unknown,
    NotReady,
}

impl Face {
    pub fn new(id: u64, seed: u64, world: u64) -> Self {
        let config = Config {
            id: NodeId(id),
            name: format!("node {id}"),
            version: "1".to_owned(),
            cluster: "default".to_owned(),
            layout: layout(),
            lease_s: LEASE_S,
            grace_ms: GRACE_MS,
        };
        Face {
            node: Node::new(config),
            registry: Registry::default(),
            link: Link::new(seed),
            paused_ms: 0,
            suspended: false,
            born: world,
            downs: Vec::new(),
            gone: Vec::new(),
            log: Vec::new(),
        }
    }

    fn now(&self, world: u64) -> Moment {
        Moment::from_millis(world - self.paused_ms)
    }

    pub fn has(&self, name: &Name) -> bool {
        self.registry.own.contains_key(name) || self.registry.replicas.contains_key(name)
    }

    pub fn register(&mut self, name: &Name, service: (ServiceAddress, u32), world: u64) -> bool {
        if self.has(name) {
            return false;
        }
        let (address, ttl_ms) = service;
        let owned = Owned {
            address,
            ttl_ms,
            held: false,
            labels: None,
            heartbeat: self.now(world),
        };
        self.registry.own.insert(name.clone(), owned);
        self.log.push((world, format!("registered {name:?}")));
        self.node.registered(name, world as i64, ttl_ms);
        true
    }

    /// A connection holds this from now on. It takes the place of a held replica.
    pub fn hold(&mut self, name: &Name, address: ServiceAddress, ttl_ms: u32, world: u64) {
        let now = self.now(world);
        let is_before = |(other, record): &(&Name, &Record)| {
            let is_same = other.service_type == name.service_type && record.address == address;
            is_same && record.held
        };
        let before = self.registry.replicas.iter().find(is_before);
        let before = before.map(|(other, _)| other.clone());
        let owned = Owned {
            address,
            ttl_ms,
            held: true,
            labels: None,
            heartbeat: now,
        };
        self.registry.own.insert(name.clone(), owned);
        self.log
            .push((world, format!("holds {name:?} for {before:?}")));
        match before {
            Some(before) => {
                self.registry.replicas.remove(&before);
                self.node
                    .took_place(&before, name, world as i64, ttl_ms, now);
            }
            None => self.node.registered(name, world as i64, ttl_ms),
        }
    }

    /// The connection that held this has ended.
    pub fn close(&mut self, name: &Name, world: u64) {
        if self.registry.own.contains_key(name) {
            self.remove(name, Reason::ConnectionClosed, world);
        }
    }

    /// Whether some registration of a type has this address.
    pub fn has_address(&self, service_type: &str, address: ServiceAddress) -> bool {
        self.times(service_type, address) > 0
    }

    /// How many registrations of a type have this address.
    pub fn times(&self, service_type: &str, address: ServiceAddress) -> usize {
        let is = |name: &Name, other: ServiceAddress| {
            *name.service_type == *service_type && other == address
        };
        let (own, replicas) = (self.registry.own.iter(), self.registry.replicas.iter());
        own.filter(|(name, owned)| is(name, owned.address)).count()
            + replicas
                .filter(|(name, record)| is(name, record.address))
                .count()
    }

    pub fn hear(&mut self, name: &Name, world: u64) -> Heard {
        let now = self.now(world);
        if let Some(owned) = self.registry.own.get_mut(name) {
            owned.heartbeat = now;
            return Heard::Ok;
        }
        let Some(record) = self.registry.replicas.remove(name) else {
            let is_loaded = self.node.is_loaded();
            return if is_loaded {
                Heard::Unknown
            } else {
                Heard::NotReady
            };
        };
        let owned = Owned {
            address: record.address,
            ttl_ms: record.ttl_ms,
            held: record.held,
            labels: record.labels,
            heartbeat: now,
        };
        self.registry.own.insert(name.clone(), owned);
        self.log.push((world, format!("took over {name:?}")));
        self.node.took_over(name);
        Heard::Ok
    }

    pub fn deregister(&mut self, name: &Name, world: u64) -> bool {
        let is_known = self.has(name);
        if is_known {
            self.remove(name, Reason::Deregistered, world);
        }
        is_known
    }

    fn remove(&mut self, name: &Name, reason: Reason, world: u64) {
        let before = self.gone.len();
        self.drop(name, reason);
        self.log
            .push((world, format!("removed {name:?}: {reason:?}")));
        self.node.removed(name, reason, self.now(world));
        self.tell_gone(before);
    }

    /// The registry has it no more.
    fn drop(&mut self, name: &Name, reason: Reason) {
        let own = self.registry.own.remove(name);
        let replica = self.registry.replicas.remove(name);
        assert!(
            own.is_none() || replica.is_none(),
            "{name:?} is twice in one registry"
        );
        let own = own.map(|owned| owned.address);
        if let Some(address) = own.or(replica.map(|record| record.address)) {
            self.gone.push((name.clone(), address, reason));
        }
    }

    /// Watchers are told of what has gone, but for so many, and of no address that another one has.
    fn tell_gone(&mut self, but: usize) {
        for (name, address, reason) in self.gone.split_off(but) {
            if !self.has_address(&name.service_type, address) {
                self.downs.push((name, reason));
            }
        }
    }

    /// A step of time.
    pub fn turn(&mut self, etcd: &mut Etcd, step_ms: u64, world: u64) {
        if self.suspended {
            self.paused_ms += step_ms;
            return;
        }
        let now = self.now(world);
        for report in self.link.turn(etcd, &layout().cluster(), world) {
            self.log.push((world, shown(&report)));
            let is_whole = matches!(
                report,
                Report::LineEnds(_) | Report::LoadEnds(_) | Report::Away(_)
            );
            self.node.on_report(report, &self.registry, now);
            self.settle(world);
            if is_whole {
                self.tell_gone(0);
            }
        }
        self.expire(world);
        if self.node.next_due().is_some_and(|due| due <= now) {
            let before = self.gone.len();
            self.node.look(now);
            self.settle(world);
            self.tell_gone(before);
        }
        if self.link.takes_calls()
            && let Some(call) = self.node.next_call(&self.registry, now)
        {
            self.log
                .push((world, format!("calls {}", shown_call(&call))));
            self.link.call(call, world);
        }
    }

    fn expire(&mut self, world: u64) {
        let now = self.now(world);
        let is_over =
            |owned: &Owned| !owned.held && now.millis_since(owned.heartbeat) >= owned.ttl_ms.into();
        let own = self.registry.own.iter();
        let over: Vec<Name> = own
            .filter(|(_, owned)| is_over(owned))
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            self.remove(&name, Reason::Expired, world);
        }
    }

    fn settle(&mut self, world: u64) {
        while let Some(command) = self.node.next_lease_command() {
            match command {
                LeaseCommand::Keep(lease, _) => self.link.keep(lease),
                LeaseCommand::LetGo(lease) => self.link.let_go(lease),
            }
        }
        while let Some(news) = self.node.next_news() {
            self.log.push((world, format!("hears {news:?}")));
            match news {
                News::Replica(name, record) => {
                    self.registry.own.remove(&name);
                    self.registry.replicas.insert(name, record);
                }
                News::Gone(name, reason) => self.drop(&name, reason),
                News::OtherCluster(name) => panic!("the cluster is {name:?}"),
            }
        }
    }
}

/// A registration that is made here for the first time.
pub fn name(service_type: &str, id: u128) -> Name {
    Name {
        service_type: Arc::from(service_type),
        id: discovery_service::cluster::KeyId::of(&uuid::Uuid::from_u128(id)),
    }
}

fn shown(report: &Report) -> String {
    match report {
        Report::Loaded(pair) => format!("loaded {}", shown_pair(pair)),
        Report::Changed(Event::Put(pair)) => format!("put {}", shown_pair(pair)),
        Report::Changed(Event::Delete(pair)) => format!("gone {}", shown_pair(pair)),
        other => format!("{other:?}"),
    }
}

fn shown_call(call: &Call) -> String {
    let Call::Apply(writes) = call else {
        return format!("{call:?}");
    };
    let key = |write: &Write| format!("{}@{}", String::from_utf8_lossy(&write.key), write.guard);
    writes.iter().map(key).collect::<Vec<_>>().join(" ")
}

fn shown_pair(pair: &KeyValue) -> String {
    let (key, value) = (&pair.key, &pair.value);
    let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
    format!("{key} = {value} @{}", pair.mod_revision)
}
