//! An etcd of plain data: keys with their history, and leases.

use std::collections::{BTreeMap, BTreeSet};

use discovery_service::etcd::{
    Answer, Call, Change, Event, Failure, KeyValue, Write, WriteOutcome,
};

use crate::face::layout;

/// The changes of one revision.
type Line = (u64, Vec<Event>);

#[derive(Clone)]
pub struct Etcd {
    /// Which history this is: another one after it was wiped or restored.
    pub history: u64,
    pub revision: u64,
    pub is_up: bool,
    /// Whether it takes nothing but single removals.
    pub is_full: bool,
    pub keys: BTreeMap<Vec<u8>, KeyValue>,
    leases: BTreeMap<i64, Lease>,
    leases_granted: i64,
    lines: Vec<Line>,
    /// Revisions before this one cannot be watched.
    compacted: u64,
    /// The number of registrations at each revision.
    counts: BTreeMap<u64, u64>,
}

#[derive(Clone)]
struct Lease {
    ttl_ms: u64,
    until: u64,
}

impl Etcd {
    pub fn new() -> Self {
        Etcd {
            history: 0,
            revision: 1,
            is_up: true,
            is_full: false,
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            leases_granted: 0,
            lines: Vec::new(),
            compacted: 0,
            counts: BTreeMap::from([(1, 0)]),
        }
    }

    pub fn call(&mut self, call: &Call, now: u64) -> Answer {
        match call {
            Call::Apply(_) | Call::Grant(_) if self.is_full => {
                let message = "etcdserver: mvcc: database space exceeded".to_owned();
                Answer::Failed(Failure { code: 8, message })
            }
            Call::Remove(key) => {
                let event = self.remove(key, self.revision + 1);
                self.commit(event.into_iter().collect());
                Answer::Removed(self.revision)
            }
            Call::Grant(seconds) => {
                self.leases_granted += 1;
                let id = self.leases_granted;
                let ttl_ms = seconds * 1_000;
                let until = now + ttl_ms;
                self.leases.insert(id, Lease { ttl_ms, until });
                Answer::Granted(id, *seconds)
            }
            Call::Revoke(lease) => {
                self.revoke(*lease);
                Answer::Revoked
            }
            Call::Apply(writes) => self.apply(writes),
            Call::Count(count) if count.revision < self.compacted => {
                let message = "etcdserver: mvcc: required revision has been compacted".to_owned();
                Answer::Failed(Failure { code: 11, message })
            }
            Call::Count(count) => Answer::Counted(self.counts[&count.revision]),
        }
    }

    /// Keys below `reg/`.
    fn count(&self) -> u64 {
        let from = [layout().from(), b"reg/".to_vec()].concat();
        self.keys
            .keys()
            .filter(|key| key.starts_with(&from))
            .count() as u64
    }

    fn apply(&mut self, writes: &[Write]) -> Answer {
        let has_lease = |write: &Write| match &write.change {
            Change::Put { lease, .. } => *lease == 0 || self.leases.contains_key(lease),
            Change::Delete => true,
        };
        if !writes.iter().all(has_lease) {
            let message = "etcdserver: requested lease not found".to_owned();
            return Answer::Failed(Failure { code: 5, message });
        }
        let keys: BTreeSet<&Vec<u8>> = writes.iter().map(|write| &write.key).collect();
        assert_eq!(
            keys.len(),
            writes.len(),
            "etcd refuses to write a key twice"
        );
        let revision = self.revision + 1;
        let mut events = Vec::new();
        let mut outcomes = Vec::new();
        for write in writes {
            let there = self.keys.get(&write.key);
            if there.map_or(0, |pair| pair.mod_revision) != write.guard {
                outcomes.push(WriteOutcome::Found(there.cloned()));
                continue;
            }
            outcomes.push(WriteOutcome::Done);
            match &write.change {
                Change::Put { value, lease } => {
                    let pair = KeyValue {
                        key: write.key.clone(),
                        value: value.clone(),
                        create_revision: there.map_or(revision, |pair| pair.create_revision),
                        mod_revision: revision,
                        lease: *lease,
                    };
                    self.keys.insert(write.key.clone(), pair.clone());
                    events.push(Event::Put(pair));
                }
                Change::Delete => events.extend(self.remove(&write.key, revision)),
            }
        }
        self.commit(events);
        Answer::Applied(self.revision, outcomes)
    }

    fn remove(&mut self, key: &[u8], revision: u64) -> Option<Event> {
        self.keys.remove(key)?;
        Some(Event::Delete(KeyValue {
            key: key.to_vec(),
            mod_revision: revision,
            ..KeyValue::default()
        }))
    }

    fn commit(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            self.revision += 1;
            self.counts.insert(self.revision, self.count());
            self.lines.push((self.revision, events));
        }
    }

    fn remove_all(&mut self, is: impl Fn(&KeyValue) -> bool) {
        let keys = self.keys.values().filter(|pair| is(pair));
        let keys: Vec<Vec<u8>> = keys.map(|pair| pair.key.clone()).collect();
        let revision = self.revision + 1;
        let removed = keys.iter().filter_map(|key| self.remove(key, revision));
        let events = removed.collect();
        self.commit(events);
    }

    pub fn revoke(&mut self, lease: i64) {
        if self.leases.remove(&lease).is_some() {
            self.remove_all(|pair| pair.lease == lease);
        }
    }

    pub fn revoke_all(&mut self) {
        for lease in self.leases.keys().copied().collect::<Vec<_>>() {
            self.revoke(lease);
        }
    }

    /// Somebody deletes all keys by hand.
    pub fn delete_all(&mut self) {
        self.remove_all(|_| true);
    }

    /// Somebody deletes one key by hand.
    pub fn delete_one(&mut self, key: &[u8]) {
        self.remove_all(|pair| pair.key == key);
    }

    /// Prolongs a lease; `false` where it is not known.
    pub fn prolong(&mut self, lease: i64, now: u64) -> bool {
        let Some(lease) = self.leases.get_mut(&lease) else {
            return false;
        };
        lease.until = now + lease.ttl_ms;
        true
    }

    /// Time passes: leases that nobody has prolonged are lost.
    pub fn pass(&mut self, now: u64) {
        if !self.is_up {
            return;
        }
        let over = self.leases.iter().filter(|(_, lease)| lease.until <= now);
        for lease in over.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.revoke(lease);
        }
    }

    /// It has been away, and gives all leases their whole time again.
    pub fn start(&mut self, now: u64) {
        self.is_up = true;
        for lease in self.leases.values_mut() {
            lease.until = now + lease.ttl_ms;
        }
    }

    pub fn compact(&mut self) {
        self.compacted = self.revision + 1;
        self.lines.clear();
    }

    /// All is lost.
    pub fn wipe(&mut self) {
        let history = self.history + 1;
        let leases_granted = self.leases_granted;
        *self = Etcd::new();
        (self.history, self.leases_granted) = (history, leases_granted);
    }

    /// It goes on from a backup.
    pub fn restore(&mut self, backup: &Etcd, now: u64) {
        let (history, leases_granted) = (self.history + 1, self.leases_granted);
        *self = backup.clone();
        self.is_full = false;
        (self.history, self.leases_granted) = (history, leases_granted);
        self.compact();
        self.start(now);
    }

    /// The changes from this revision on; `None` where they are compacted.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Line>> {
        let lines = self.lines.iter().filter(move |line| line.0 >= revision);
        (revision >= self.compacted).then_some(lines)
    }
}
