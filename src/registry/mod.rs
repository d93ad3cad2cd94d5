//! The registrations: plain data with one owner.
//!
//! Owns the registrations and their last heartbeats. Callers pass in the time, the UUIDs and the
//! hasher. No socket, no clock, no randomness, no format, no logging.
//!
//! | | costs |
//! |---|---|
//! | register, heartbeat, deregister, expiry of one | O(1), also when a table grows |
//! | the addresses of a type | their number |
//! | a walk over all registrations | its steps; a removal meanwhile stays O(1) |
//!
//! A heartbeat only writes the time into its entry: the sweep corrects the entry's place in the
//! timing wheel when the old slot is polled.

mod address_index;
mod check;
mod entry;
mod gone_types;
mod hearing;
mod index;
mod interned;
mod keyed_hash;
mod label_sets;
mod marks;
mod operation;
mod pages;
mod replacing;
mod replicas;
mod restoring;
mod slots;
mod sweep;
pub(crate) mod table;
mod tags;
mod types;
mod view;
mod walk;

use std::hash::BuildHasher;
use std::sync::Arc;

use uuid::Uuid;

use crate::limits::TTL_SECONDS;
use crate::message::{Change, ChangeKind, Reason};
use crate::time::Moment;
use crate::time::wheel::Wheel;

use address_index::AddressIndex;
use entry::{Entries, Entry, NewEntry};
pub use hearing::Place;
use index::{Chains, Index};
pub use keyed_hash::KeyedHash;
use label_sets::LabelSets;
use marks::Marks;
pub use operation::{Heartbeat, RegisterError, Registration, Sweep};
pub use replicas::Replica;
use tags::Tags;
use types::Types;
pub use view::{Record, TypeView};
pub use walk::Cursor;

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Capacity, in changes, that the list keeps from one turn to the next. A longer one goes as a whole: a
/// part of it would stay where it is, and keep the allocator from giving back what lies before it.
const CHANGES_KEPT: usize = 512;

/// The state of the registry.
#[derive(Debug)]
pub struct Registry<S = KeyedHash> {
    services_max: u32,
    entries: Entries,
    by_uuid: Index,
    types: Types,
    by_address: AddressIndex,
    deadlines: Wheel,
    marks: Marks,
    label_sets: LabelSets,
    tags: Tags,
    /// The count of changes: registrations and removals.
    index: u64,
    /// The changes since the list was last cleared.
    changes: Vec<Change>,
    hasher: S,
    /// Mutations since the invariants were last checked.
    #[cfg(debug_assertions)]
    unchecked: u32,
}

impl<S: BuildHasher> Registry<S> {
    /// An empty registry for `services_max` registrations. `hasher` must be keyed where untrusted
    /// peers choose names and UUIDs, because they could choose them to collide.
    pub fn new(services_max: u32, hasher: S) -> Self {
        Registry {
            services_max,
            entries: Entries::default(),
            by_uuid: Index::default(),
            types: Types::default(),
            by_address: AddressIndex::default(),
            deadlines: Wheel::new(),
            marks: Marks::default(),
            label_sets: LabelSets::default(),
            tags: Tags::default(),
            index: 0,
            changes: Vec::new(),
            hasher,
            #[cfg(debug_assertions)]
            unchecked: 0,
        }
    }

    /// Counts changes from `index` on.
    #[must_use]
    pub fn counting_from(mut self, index: u64) -> Self {
        self.index = index;
        self.types.begin(index);
        self
    }

    /// The number of registrations, including those that have expired but are not swept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() as usize
    }

    /// Whether there are no registrations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The maximum number of registrations.
    #[must_use]
    pub fn services_max(&self) -> u32 {
        self.services_max
    }

    /// When a sweep next has work, if there is anything to sweep.
    #[must_use]
    pub fn next_sweep(&self) -> Option<Moment> {
        self.deadlines.next_due()
    }

    /// The changes since [`clear_changes`](Self::clear_changes), in their order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Begins a new list of changes. The service calls this once a turn, so that the list stays short.
    pub fn clear_changes(&mut self) {
        if self.changes.capacity() > CHANGES_KEPT {
            self.changes = Vec::new();
        }
        self.changes.clear();
    }

    /// Adds a registration whose last heartbeat is `now`.
    ///
    /// # Errors
    /// [`RegisterError::Full`] or [`RegisterError::UuidTaken`].
    pub fn register(&mut self, now: Moment, new: Registration<'_>) -> Result<(), RegisterError> {
        let slot = self.add(now, new)?;
        let deadline = self.entries.get(slot).deadline();
        self.deadlines.insert(&mut self.entries, slot, deadline);
        self.record_change(slot, now, ChangeKind::Up);
        self.mutated();
        Ok(())
    }

    /// Adds a registration that lives until it is deregistered.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn hold(&mut self, now: Moment, new: Registration<'_>) -> Result<(), RegisterError> {
        let slot = self.add(now, new)?;
        self.entries.get_mut(slot).hold();
        self.record_change(slot, now, ChangeKind::Up);
        self.mutated();
        Ok(())
    }

    /// Removes a registration with this reason; `false` when no live one has this UUID.
    pub fn deregister(&mut self, now: Moment, uuid: &Uuid, reason: Reason) -> bool {
        match self.find(uuid) {
            Some(slot) if self.entries.get(slot).is_live(now) => {
                self.remove(slot, now, reason);
                true
            }
            // Only the sweep removes expired registrations.
            _ => false,
        }
    }

    /// The registration with this UUID, if it is live.
    #[must_use]
    pub fn get(&self, now: Moment, uuid: &Uuid) -> Option<Record<'_>> {
        let slot = self.find(uuid)?;
        self.entries
            .get(slot)
            .is_live(now)
            .then(|| self.record(slot, now))
    }

    /// The type with this name and all its stored registrations. After a [`sweep`](Self::sweep) that
    /// caught up with the present moment, these are exactly the live ones.
    #[must_use]
    pub fn service_type(&self, name: &str) -> Option<TypeView<'_, S>> {
        self.type_called(name.as_bytes())
    }

    /// The type with a name of these bytes, as [`service_type`](Self::service_type).
    #[must_use]
    pub fn type_called(&self, name: &[u8]) -> Option<TypeView<'_, S>> {
        let slot = self.types.find_called(name, &self.hasher)?;
        Some(TypeView::new(self, slot))
    }

    /// The slot of the registration with this UUID that this node owns.
    fn find(&self, uuid: &Uuid) -> Option<u32> {
        self.find_hashed(uuid, hash(&self.hasher, uuid))
    }

    fn find_hashed(&self, uuid: &Uuid, hash: u64) -> Option<u32> {
        self.find_among(uuid, hash, |entry| entry.owner().is_none())
    }

    /// The slot of the entry with this UUID, or key, that is such a one.
    #[inline]
    fn find_among(&self, uuid: &Uuid, hash: u64, is_such: impl Fn(&Entry) -> bool) -> Option<u32> {
        self.find_behind(self.by_uuid.first(hash), uuid, is_such)
    }

    /// As [`find_among`](Self::find_among), from the first slot of the chain on.
    #[inline]
    fn find_behind(
        &self,
        first: u32,
        uuid: &Uuid,
        is_such: impl Fn(&Entry) -> bool,
    ) -> Option<u32> {
        let mut slot = first;
        while slot != NONE {
            let entry = self.entries.get(slot);
            if entry.uuid == *uuid && is_such(entry) {
                return Some(slot);
            }
            slot = entry.chain;
        }
        None
    }

    /// Adds an entry with a UUID that no live one has.
    fn add(&mut self, now: Moment, new: Registration<'_>) -> Result<u32, RegisterError> {
        let hash = hash(&self.hasher, &new.uuid);
        if let Some(slot) = self.find_hashed(&new.uuid, hash) {
            if self.entries.get(slot).is_live(now) {
                return Err(RegisterError::UuidTaken);
            }
            self.remove(slot, now, Reason::Expired);
        }
        self.store(now, new, hash)
    }

    /// Adds an entry to the storage and all indexes except the wheel.
    fn store(
        &mut self,
        now: Moment,
        new: Registration<'_>,
        hash: u64,
    ) -> Result<u32, RegisterError> {
        let Registration {
            uuid,
            service_type,
            address,
            ttl,
            labels,
        } = new;
        debug_assert!(ttl.as_secs() <= u64::from(*TTL_SECONDS.end()));
        if self.entries.len() == self.services_max {
            return Err(RegisterError::Full);
        }
        let set = self.take_label_set(labels)?;
        let service_type = self.types.find_or_insert(service_type, &self.hasher);
        let ttl_ms = ttl.as_millis() as u32;
        let slot = self.entries.insert(NewEntry {
            uuid,
            address,
            ttl_ms,
            service_type,
            now,
        });
        let names_change = self.set_label_set(slot, set);
        self.by_uuid.insert(
            &mut Uuids {
                entries: &mut self.entries,
                hasher: &self.hasher,
            },
            slot,
            hash,
        );
        self.by_address
            .insert(&mut self.entries, &self.hasher, slot);
        self.index += 1;
        self.types.append(&mut self.entries, slot, self.index);
        self.note_names(names_change);
        Ok(slot)
    }

    /// Records a change of the entry `slot`.
    fn record_change(&mut self, slot: u32, heartbeat: Moment, kind: ChangeKind) {
        let entry = self.entries.get(slot);
        self.changes.push(Change {
            uuid: entry.uuid,
            owner: entry.owner(),
            service_type: Arc::clone(&self.types.get(entry.service_type).name),
            address: self.entries.address(slot),
            ttl_ms: entry.ttl_ms(),
            held: entry.is_held(),
            heartbeat,
            labels: self.labels(slot).cloned(),
            kind,
        });
    }

    /// Removes an entry. If its TTL has run out, the reason is expiry, whatever the caller's reason.
    fn remove(&mut self, slot: u32, now: Moment, reason: Reason) {
        let entry = self.entries.get(slot);
        let (at, heartbeat, reason) = if entry.is_held() || entry.owner().is_some() {
            (now, now, reason)
        } else if entry.is_live(now) {
            // What was heard after a pause may count as heard later than `now`.
            (now.max(entry.heartbeat), entry.heartbeat, reason)
        } else {
            (entry.deadline(), entry.heartbeat, Reason::Expired)
        };
        self.record_change(slot, heartbeat, ChangeKind::Down { reason, at });
        if self.entries.get(slot).is_marked() {
            self.marks.move_on(&mut self.entries, slot);
        }
        self.deadlines.remove(&mut self.entries, slot);
        self.index += 1;
        self.types
            .unlink(&mut self.entries, slot, self.index, &self.hasher);
        self.by_address
            .remove(&mut self.entries, &self.hasher, slot);
        let mut uuids = Uuids {
            entries: &mut self.entries,
            hasher: &self.hasher,
        };
        let hash = uuids.hash(slot);
        self.by_uuid.remove(&mut uuids, slot, hash);
        let names_change = self.set_label_set(slot, None);
        self.note_names(names_change);
        self.entries.remove(slot);
        self.mutated();
    }
}

/// The hash of a UUID. It must be keyed, because a client may choose the UUID.
fn hash(hasher: &impl BuildHasher, uuid: &Uuid) -> u64 {
    hasher.hash_one(uuid.as_u128())
}

/// The chains of the index by UUID.
struct Uuids<'a, S> {
    entries: &'a mut Entries,
    hasher: &'a S,
}

impl<S: BuildHasher> Chains for Uuids<'_, S> {
    fn next(&self, slot: u32) -> u32 {
        self.entries.get(slot).chain
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.entries.get_mut(slot).chain = next;
    }

    fn hash(&self, slot: u32) -> u64 {
        hash(self.hasher, &self.entries.get(slot).uuid)
    }
}
