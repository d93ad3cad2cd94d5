//! What other nodes of a cluster own: it lives until it is removed, whatever is heard of it here.

use std::hash::BuildHasher;
use std::time::Duration;

use uuid::Uuid;

use super::{Record, RegisterError, Registration, Registry, Uuids, hash};
use crate::message::{ChangeKind, Labels, NodeNumber, Reason, ServiceAddress};
use crate::time::Moment;

/// A registration that another node owns.
#[derive(Clone, Copy, Debug)]
pub struct Replica<'a> {
    /// Its key in etcd. Nobody learns the UUID from it.
    pub key: Uuid,
    /// The node that owns it.
    pub owner: NodeNumber,
    /// The name of its type.
    pub service_type: &'a str,
    /// The address at which it can be reached.
    pub address: ServiceAddress,
    /// How long it lives without a heartbeat; whole milliseconds, a day at most.
    pub ttl: Duration,
    /// Whether a connection of that node holds it.
    pub held: bool,
    /// Its tags and metadata, if it has any.
    pub labels: Option<&'a Labels>,
}

impl<S: BuildHasher> Registry<S> {
    /// Stores what another node owns, in place of what was known of it. This node must not own it: it has
    /// [yielded](Self::yield_to) it.
    ///
    /// # Errors
    /// [`RegisterError::Full`] where there is no room for it, or for its tags and metadata.
    pub fn put_replica(&mut self, now: Moment, new: &Replica<'_>) -> Result<(), RegisterError> {
        if let Some(slot) = self.find_replica(&new.key) {
            let of = self.entries.get(slot).service_type;
            let is_there = self.entries.address(slot) == new.address
                && *self.types.get(of).name == *new.service_type;
            if is_there {
                return self.renew_replica(slot, now, new);
            }
            self.remove(slot, now, Reason::Replaced);
        }
        let registration = Registration {
            uuid: new.key,
            service_type: new.service_type,
            address: new.address,
            ttl: new.ttl,
            labels: new.labels,
        };
        let slot = self.store(now, registration, hash(&self.hasher, &new.key))?;
        self.entries.get_mut(slot).give_to(new.owner, new.held);
        self.record_change(slot, now, ChangeKind::Up);
        self.mutated();
        Ok(())
    }

    fn renew_replica(
        &mut self,
        slot: u32,
        now: Moment,
        new: &Replica<'_>,
    ) -> Result<(), RegisterError> {
        let entry = self.entries.get_mut(slot);
        entry.give_to(new.owner, new.held);
        entry.set_ttl_ms(new.ttl.as_millis() as u32);
        if !self.has_labels(slot, new.labels) {
            self.change_labels(slot, now, new.labels)?;
        }
        self.mutated();
        Ok(())
    }

    /// This node owns the replica with this key from now on, whose UUID this is, and has just heard of it.
    /// `false` when there is none, or a connection of its node holds it.
    pub fn take_over(&mut self, now: Moment, key: &Uuid, uuid: Uuid) -> bool {
        let is_free = |slot: &u32| !self.entries.get(*slot).is_held();
        let Some(slot) = self.find_replica(key).filter(is_free) else {
            return false;
        };
        self.rename(slot, uuid);
        let entry = self.entries.get_mut(slot);
        entry.heartbeat = now;
        let deadline = entry.deadline();
        self.deadlines.insert(&mut self.entries, slot, deadline);
        self.record_change(slot, now, ChangeKind::TakenOver);
        self.mutated();
        true
    }

    /// Another node owns the registration with this UUID from now on, which has this key in etcd. `false`
    /// when this node does not own one with this UUID.
    pub fn yield_to(&mut self, owner: NodeNumber, uuid: &Uuid, key: Uuid) -> bool {
        let Some(slot) = self.find(uuid) else {
            return false;
        };
        let heartbeat = self.entries.get(slot).heartbeat;
        self.record_change(slot, heartbeat, ChangeKind::Yielded);
        self.deadlines.remove(&mut self.entries, slot);
        self.rename(slot, key);
        let held = self.entries.get(slot).is_held();
        self.entries.get_mut(slot).give_to(owner, held);
        self.mutated();
        true
    }

    /// Removes the replica with this key; `false` when there is none.
    pub fn remove_replica(&mut self, now: Moment, key: &Uuid, reason: Reason) -> bool {
        let Some(slot) = self.find_replica(key) else {
            return false;
        };
        self.remove(slot, now, reason);
        true
    }

    /// The replica with this key.
    #[must_use]
    pub fn replica(&self, now: Moment, key: &Uuid) -> Option<Record<'_>> {
        let slot = self.find_replica(key)?;
        Some(self.record(slot, now))
    }

    pub(super) fn find_replica(&self, key: &Uuid) -> Option<u32> {
        let hash = hash(&self.hasher, key);
        self.find_among(key, hash, |entry| entry.owner().is_some())
    }

    /// Lets the entry be found by another UUID.
    fn rename(&mut self, slot: u32, uuid: Uuid) {
        let (before, after) = (
            hash(&self.hasher, &self.entries.get(slot).uuid),
            hash(&self.hasher, &uuid),
        );
        let mut uuids = Uuids {
            entries: &mut self.entries,
            hasher: &self.hasher,
        };
        self.by_uuid.remove(&mut uuids, slot, before);
        uuids.entries.get_mut(slot).uuid = uuid;
        self.by_uuid.insert(&mut uuids, slot, after);
    }
}
