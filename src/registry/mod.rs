//! The registrations: plain data with one owner.
//!
//! Owns what is registered and when it was last heard of. The time is an argument, UUIDs and the
//! hasher come from outside. No socket, no clock, no randomness, no format, no logging.
//!
//! | | costs |
//! |---|---|
//! | register, heartbeat, deregister, expiry of one | O(1), and no growth that is paid at once |
//! | the addresses of a type | their number |
//!
//! A heartbeat writes the time into its entry, nothing else: the entry's place in the timing wheel
//! is mended when its old slot comes.

mod entry;
mod index;
mod pages;
mod types;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use uuid::Uuid;

use crate::limits::TTL_SECONDS;
use crate::message::ServiceAddress;
use crate::time::Moment;
use crate::wheel::Wheel;

use entry::{Entries, NewEntry};
use index::{Chains, Index};
use types::Types;

/// No slot.
const NONE: u32 = u32::MAX;

/// What is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Its UUID, which is the right to change it.
    pub uuid: Uuid,
    /// The name of its type.
    pub service_type: &'a str,
    /// Where it can be reached.
    pub address: ServiceAddress,
    /// How long it lives without a heartbeat; whole milliseconds, a day at most.
    pub ttl: Duration,
}

/// Why nothing was registered. The registry is as it was before, but for a stale entry of the same
/// UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The registry holds as many as it may, those included that have expired but are not swept.
    Full,
    /// A live registration has this UUID.
    UuidTaken,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Registrations that were removed.
    pub expired: usize,
    /// Whether everything that had expired is removed.
    pub caught_up: bool,
}

/// The state of the registry.
#[derive(Debug)]
pub struct Registry<S = RandomState> {
    services_max: u32,
    entries: Entries,
    by_uuid: Index,
    types: Types,
    deadlines: Wheel,
    changes: u64,
    hasher: S,
    /// Mutations since the invariants were last checked.
    #[cfg(debug_assertions)]
    unchecked: u32,
}

impl<S: BuildHasher> Registry<S> {
    /// An empty registry for `services_max` registrations. `hasher` must be keyed where names and
    /// UUIDs come from strangers, who could choose them to collide.
    pub fn new(services_max: u32, hasher: S) -> Self {
        Registry {
            services_max,
            entries: Entries::default(),
            by_uuid: Index::default(),
            types: Types::default(),
            deadlines: Wheel::new(),
            changes: 0,
            hasher,
            #[cfg(debug_assertions)]
            unchecked: 0,
        }
    }

    /// Registrations held, those included that have expired but are not swept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() as usize
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Registrations it may hold.
    #[must_use]
    pub fn services_max(&self) -> u32 {
        self.services_max
    }

    /// When a sweep next has something to look at, if ever.
    #[must_use]
    pub fn next_sweep(&self) -> Option<Moment> {
        self.deadlines.next_due()
    }

    /// How many registrations have come and gone.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Adds a registration, heard of at `now`.
    ///
    /// # Errors
    /// [`RegisterError::Full`] or [`RegisterError::UuidTaken`].
    pub fn register(&mut self, now: Moment, new: Registration<'_>) -> Result<(), RegisterError> {
        let Registration { uuid, service_type, address, ttl } = new;
        debug_assert!(ttl.as_secs() <= u64::from(*TTL_SECONDS.end()));
        let hash = hash(&self.hasher, &uuid);
        if let Some(slot) = self.find_hashed(&uuid, hash) {
            if self.entries.get(slot).is_live(now) {
                return Err(RegisterError::UuidTaken);
            }
            self.remove(slot);
        }
        if self.entries.len() == self.services_max {
            return Err(RegisterError::Full);
        }
        let service_type = self.types.find_or_insert(service_type, &self.hasher);
        let ttl_ms = ttl.as_millis() as u32;
        let slot = self.entries.insert(NewEntry { uuid, address, ttl_ms, service_type, now });
        self.by_uuid.insert(&mut Uuids { entries: &mut self.entries, hasher: &self.hasher }, slot, hash);
        self.changes += 1;
        self.types.append(&mut self.entries, slot, self.changes);
        let deadline = self.entries.get(slot).deadline();
        self.deadlines.insert(&mut self.entries, slot, deadline);
        self.mutated();
        Ok(())
    }

    /// Keeps a registration alive; `false` when no live one has this UUID.
    pub fn heartbeat(&mut self, now: Moment, uuid: &Uuid) -> bool {
        let Some(slot) = self.find(uuid) else { return false };
        let entry = self.entries.get_mut(slot);
        if !entry.is_live(now) {
            return false;
        }
        entry.heartbeat = now;
        self.mutated();
        true
    }

    /// Removes a registration; `false` when no live one has this UUID.
    pub fn deregister(&mut self, now: Moment, uuid: &Uuid) -> bool {
        match self.find(uuid) {
            Some(slot) if self.entries.get(slot).is_live(now) => {
                self.remove(slot);
                true
            }
            // What has expired is the sweep's.
            _ => false,
        }
    }

    /// Removes what has expired by `now`, looking at `budget` entries at most.
    pub fn sweep(&mut self, now: Moment, budget: usize) -> Sweep {
        let mut expired = 0;
        for _ in 0..budget {
            let Some(slot) = self.deadlines.poll(&mut self.entries, now) else {
                return Sweep { expired, caught_up: true };
            };
            let entry = self.entries.get(slot);
            if entry.is_live(now) {
                let deadline = entry.deadline();
                self.deadlines.insert(&mut self.entries, slot, deadline);
            } else {
                self.remove(slot);
                expired += 1;
            }
        }
        Sweep { expired, caught_up: self.deadlines.next_due().is_none_or(|due| due > now) }
    }

    /// The type with this name, as it is stored: after a [`sweep`](Self::sweep) that caught up with
    /// the present moment, exactly its live registrations.
    #[must_use]
    pub fn service_type(&self, name: &str) -> Option<TypeView<'_, S>> {
        let slot = self.types.find(name, &self.hasher)?;
        Some(TypeView { registry: self, slot })
    }

    /// Panics with what is wrong when the indexes do not agree. O(n). Debug builds call it after
    /// mutations, so often that each mutation pays for a constant number of entries.
    pub fn check_invariants(&self) {
        assert!(self.entries.len() <= self.services_max);
        assert_eq!(self.by_uuid.len(), self.entries.len());
        self.types.check(&self.hasher);
        let mut found = 0;
        for (key, of) in self.types.iter() {
            let mut previous = NONE;
            let mut slot = of.first;
            let mut len = 0;
            while slot != NONE {
                let entry = self.entries.get(slot);
                assert_eq!(entry.service_type, key, "an entry is in another type's list");
                assert_eq!(entry.previous, previous, "a type's list is broken");
                assert_eq!(self.find(&entry.uuid), Some(slot), "an entry is not found by its UUID");
                assert!(entry.timer.is_linked(), "an entry has no deadline in the wheel");
                previous = slot;
                slot = entry.next;
                len += 1;
                assert!(len <= of.len, "a type's list runs in a circle");
            }
            assert_eq!(of.last, previous, "a type's list ends elsewhere");
            assert_eq!(of.len, len);
            assert!(len > 0, "a type without registrations stays");
            found += len;
        }
        assert_eq!(found, self.entries.len(), "an entry is in no type's list");
    }

    fn find(&self, uuid: &Uuid) -> Option<u32> {
        self.find_hashed(uuid, hash(&self.hasher, uuid))
    }

    fn find_hashed(&self, uuid: &Uuid, hash: u64) -> Option<u32> {
        let mut slot = self.by_uuid.first(hash);
        while slot != NONE {
            let entry = self.entries.get(slot);
            if entry.uuid == *uuid {
                return Some(slot);
            }
            slot = entry.chain;
        }
        None
    }

    fn remove(&mut self, slot: u32) {
        self.deadlines.remove(&mut self.entries, slot);
        self.changes += 1;
        self.types.unlink(&mut self.entries, slot, self.changes, &self.hasher);
        let mut uuids = Uuids { entries: &mut self.entries, hasher: &self.hasher };
        let hash = uuids.hash(slot);
        self.by_uuid.remove(&mut uuids, slot, hash);
        self.entries.remove(slot);
        self.mutated();
    }

    /// Checks the invariants in debug builds: always while there are few entries, and else once in
    /// as many mutations as keep the cost of each constant.
    fn mutated(&mut self) {
        #[cfg(debug_assertions)]
        {
            const ENTRIES_A_MUTATION: u32 = 4;
            self.unchecked += 1;
            if self.unchecked >= self.entries.len() / ENTRIES_A_MUTATION {
                self.unchecked = 0;
                self.check_invariants();
            }
        }
    }
}

/// The registrations of one type.
#[derive(Clone, Copy, Debug)]
pub struct TypeView<'a, S> {
    registry: &'a Registry<S>,
    slot: u32,
}

impl<'a, S> TypeView<'a, S> {
    /// The type's slot number. Another type may have it after this one has lost its last
    /// registration.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The registry's count of changes at this type's last change: no two states of any types ever
    /// have the same.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.registry.types.get(self.slot).version
    }

    /// Its registrations; never 0, for a type goes with its last one.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.registry.types.get(self.slot).len as usize
    }

    /// Where its services can be reached, oldest registration first.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = ServiceAddress> + 'a {
        let of = self.registry.types.get(self.slot);
        Addresses { entries: &self.registry.entries, next: of.first, left: of.len }
    }
}

struct Addresses<'a> {
    entries: &'a Entries,
    next: u32,
    left: u32,
}

impl Iterator for Addresses<'_> {
    type Item = ServiceAddress;

    fn next(&mut self) -> Option<ServiceAddress> {
        let slot = self.next;
        if slot == NONE {
            return None;
        }
        self.next = self.entries.get(slot).next;
        self.left -= 1;
        Some(self.entries.address(slot))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Addresses<'_> {}

/// The hash of a UUID, which a client may have chosen.
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
