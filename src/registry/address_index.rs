//! The address index: registrations by type, address and port. Only `replace` uses it.
//!
//! Most services never use `replace`, so its first use builds the index, in slices. The registry
//! maintains it from then on, until nobody has used it for a while.

use std::hash::BuildHasher;

use super::NONE;
use super::entry::Entries;
use super::index::{Chains, Index};
use super::slots::Slots;
use crate::limits::{ADDRESS_INDEX_UNUSED_MS, TURN_PAGES_FREED_MAX};
use crate::message::ServiceAddress;
use crate::time::Moment;

/// The key of the index: the slot of a type, and an address.
type Location = (u32, ServiceAddress);

/// The neighbours of an entry in the ring of the entries at its address.
#[derive(Debug, Default)]
struct Ring {
    previous: u32,
    next: u32,
}

/// All addresses of all types.
///
/// Of the entries at one address, one is in the chains, so that a chain stays short however often
/// an address is registered. The others are its ring.
///
/// Invariant: `rings` has exactly the used slots below `made`, unless the index is being given back.
#[derive(Debug, Default)]
pub(super) struct AddressIndex {
    firsts: Index,
    /// By the slot of the entry.
    rings: Slots<Ring>,
    made: u32,
    /// What is left of an index that nobody used is being given back.
    is_stale: bool,
    used: Moment,
}

impl AddressIndex {
    /// Continues to build the index, with at most `budget` slots. `true` when it is complete.
    pub(super) fn make(
        &mut self,
        entries: &mut Entries,
        hasher: &impl BuildHasher,
        now: Moment,
        budget: usize,
    ) -> bool {
        self.used = now;
        if self.is_stale {
            self.give_back();
            return false;
        }
        let end = entries.end().min(self.made.saturating_add(budget as u32));
        while self.made < end {
            let slot = self.made;
            self.made += 1;
            if entries.is_used(slot) {
                self.add(entries, hasher, slot);
            }
        }
        if self.made >= entries.end() {
            self.made = NONE;
        }
        self.made == NONE
    }

    /// Gives the index back when nobody has used it for a while: some pages with each call.
    pub(super) fn rest(&mut self, now: Moment) {
        if self.made > 0 && now.millis_since(self.used) >= ADDRESS_INDEX_UNUSED_MS {
            self.made = 0;
            self.is_stale = true;
        }
        if self.is_stale {
            self.give_back();
        }
    }

    /// Adds the new entry `slot`.
    pub(super) fn insert(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        if slot < self.made {
            self.add(entries, hasher, slot);
        }
    }

    /// Removes the entry `slot` before its removal.
    pub(super) fn remove(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        if slot >= self.made {
            return;
        }
        let location = location(entries, slot);
        let hash = hasher.hash_one(location);
        let Ring { previous, next } = self.rings.remove(slot);
        let mut chains = Addresses { entries, hasher };
        if next == slot {
            self.firsts.remove(&mut chains, slot, hash);
            return;
        }
        self.rings[previous].next = next;
        self.rings[next].previous = previous;
        if self.find(chains.entries, location, hash) == Some(slot) {
            self.firsts.replace(&mut chains, slot, next, hash);
        }
    }

    /// One of the entries at this address, but the `spared` one; reliable only when the index is complete.
    pub(super) fn entry_at(
        &self,
        entries: &Entries,
        hasher: &impl BuildHasher,
        service_type: u32,
        address: ServiceAddress,
        spared: Option<u32>,
    ) -> Option<u32> {
        let location = (service_type, address);
        let first = self.find(entries, location, hasher.hash_one(location))?;
        if spared != Some(first) {
            return Some(first);
        }
        let next = self.rings[first].next;
        (next != first).then_some(next)
    }

    /// The entries at this address, each once; reliable only when the index is complete.
    pub(super) fn entries_at(
        &self,
        entries: &Entries,
        hasher: &impl BuildHasher,
        service_type: u32,
        address: ServiceAddress,
    ) -> impl Iterator<Item = u32> {
        let location = (service_type, address);
        let first = self.find(entries, location, hasher.hash_one(location));
        std::iter::successors(first, move |&slot| {
            let next = self.rings[slot].next;
            (Some(next) != first).then_some(next)
        })
    }

    /// Panics when an invariant is broken.
    pub(super) fn check(&self, entries: &Entries, hasher: &impl BuildHasher) {
        if self.is_stale {
            assert_eq!(self.made, 0);
            return;
        }
        let used = match self.made {
            NONE => entries.len(),
            made => (0..made).filter(|&slot| entries.is_used(slot)).count() as u32,
        };
        assert_eq!(self.rings.len(), used);
        let mut firsts = 0;
        for (slot, ring) in self.rings.iter() {
            assert!(slot < self.made && entries.is_used(slot));
            let location = location(entries, slot);
            assert_eq!(self.rings[ring.next].previous, slot);
            assert_eq!(self.rings[ring.previous].next, slot);
            assert_eq!(self::location(entries, ring.next), location);
            let first = self.find(entries, location, hasher.hash_one(location));
            assert!(first.is_some(), "an address is not found");
            firsts += u32::from(first == Some(slot));
        }
        assert_eq!(self.firsts.len(), firsts);
    }

    fn add(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        let location = location(entries, slot);
        let hash = hasher.hash_one(location);
        let alone = Ring {
            previous: slot,
            next: slot,
        };
        self.rings.put(slot, alone);
        let Some(first) = self.find(entries, location, hash) else {
            let mut chains = Addresses { entries, hasher };
            self.firsts.insert(&mut chains, slot, hash);
            return;
        };
        let last = std::mem::replace(&mut self.rings[first].previous, slot);
        self.rings[last].next = slot;
        self.rings[slot] = Ring {
            previous: last,
            next: first,
        };
    }

    /// The entry in the chains at this location.
    fn find(&self, entries: &Entries, location: Location, hash: u64) -> Option<u32> {
        let mut slot = self.firsts.first(hash);
        while slot != NONE && self::location(entries, slot) != location {
            slot = entries.get(slot).address_chain;
        }
        (slot != NONE).then_some(slot)
    }

    fn give_back(&mut self) {
        self.is_stale =
            (0..TURN_PAGES_FREED_MAX).all(|_| self.rings.drop_page() | self.firsts.drop_page());
    }
}

/// The key of the entry `slot`.
fn location(entries: &Entries, slot: u32) -> Location {
    (entries.get(slot).service_type, entries.address(slot))
}

/// The chains of the index by address.
struct Addresses<'a, S> {
    entries: &'a mut Entries,
    hasher: &'a S,
}

impl<S: BuildHasher> Chains for Addresses<'_, S> {
    fn next(&self, slot: u32) -> u32 {
        self.entries.get(slot).address_chain
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.entries.get_mut(slot).address_chain = next;
    }

    fn hash(&self, slot: u32) -> u64 {
        self.hasher.hash_one(location(self.entries, slot))
    }
}
