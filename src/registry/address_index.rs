//! The address index: registrations by type, address and port. Only `replace` uses it.
//!
//! Most services never use `replace`, so the first use builds the index, in slices. The registry
//! maintains it from then on until the registry is empty.

use std::hash::BuildHasher;

use super::entry::Entries;
use super::table::{Keyed, Table};
use crate::message::ServiceAddress;

/// The key of the index: the slot of a type, and an address.
type Location = (u32, ServiceAddress);

/// An address of a type, with the registrations at it.
#[derive(Debug)]
struct Address {
    location: Location,
    /// Slots of entries; each entry stores its position in this list.
    entries: Vec<u32>,
}

impl Keyed for Address {
    fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(self.location)
    }
}

/// All addresses of all types.
///
/// Invariant: the index contains exactly the used slots below `made`.
#[derive(Debug, Default)]
pub(super) struct AddressIndex {
    table: Table<Address>,
    made: u32,
    wanted: bool,
}

impl AddressIndex {
    /// Continues to build the index, with at most `budget` slots. `true` when it is complete.
    pub(super) fn make(
        &mut self,
        entries: &mut Entries,
        hasher: &impl BuildHasher,
        budget: usize,
    ) -> bool {
        self.wanted = true;
        let end = entries.slots().min(self.made.saturating_add(budget as u32));
        while self.made < end {
            let slot = self.made;
            self.made += 1;
            if entries.get(slot).is_used() {
                self.add(entries, hasher, slot);
            }
        }
        self.made == entries.slots()
    }

    /// Adds the new entry `slot`.
    pub(super) fn insert(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        if self.wanted && slot == self.made {
            self.made += 1;
        }
        if slot < self.made {
            self.add(entries, hasher, slot);
        }
    }

    /// Removes the entry `slot` before its removal. Drops the whole index with the last entry.
    pub(super) fn remove(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        if entries.len() == 1 {
            *self = AddressIndex::default();
        }
        if slot >= self.made {
            return;
        }
        let key = self
            .find(location(entries, slot), hasher)
            .expect("a slot below `made` is in the index");
        let address = self.table.get_mut(key);
        let position = entries.get(slot).address_position;
        address.entries.swap_remove(position as usize);
        match address.entries.get(position as usize) {
            Some(&moved) => entries.get_mut(moved).address_position = position,
            None if address.entries.is_empty() => self.table.remove(key, hasher),
            None => {}
        }
    }

    /// One of the entries at this address; reliable only when the index is complete.
    pub(super) fn entry_at(
        &self,
        service_type: u32,
        address: ServiceAddress,
        hasher: &impl BuildHasher,
    ) -> Option<u32> {
        let key = self.find((service_type, address), hasher)?;
        self.table.get(key).entries.last().copied()
    }

    /// Panics when an invariant is broken.
    pub(super) fn check(&self, entries: &Entries, hasher: &impl BuildHasher) {
        let used = (0..self.made)
            .filter(|&slot| entries.get(slot).is_used())
            .count();
        assert_eq!(
            self.table
                .iter()
                .map(|(_, address)| address.entries.len())
                .sum::<usize>(),
            used
        );
        self.table.check(hasher, |a, b| a.location == b.location);
        for (_, address) in self.table.iter() {
            for (position, &slot) in address.entries.iter().enumerate() {
                assert_eq!(location(entries, slot), address.location);
                assert_eq!(entries.get(slot).address_position as usize, position);
            }
        }
    }

    fn add(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        let location = location(entries, slot);
        let key = self.find(location, hasher).unwrap_or_else(|| {
            let address = Address {
                location,
                entries: Vec::with_capacity(1),
            };
            self.table.insert(address, hasher)
        });
        let address = self.table.get_mut(key);
        entries.get_mut(slot).address_position = address.entries.len() as u32;
        address.entries.push(slot);
    }

    fn find(&self, location: Location, hasher: &impl BuildHasher) -> Option<u32> {
        self.table.find(hasher.hash_one(location), |address| {
            address.location == location
        })
    }
}

/// The key of the entry `slot`.
fn location(entries: &Entries, slot: u32) -> Location {
    (entries.get(slot).service_type, entries.address(slot))
}
