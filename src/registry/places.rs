//! Registrations by their place: type, address and port. Only `replace` asks for it.
//!
//! Most services never do, so this index is made when somebody first asks, in slices, and kept from
//! then on until the registry is empty.

use std::hash::BuildHasher;

use slab::Slab;

use super::NONE;
use super::entry::Entries;
use super::index::{Chains, Index};
use crate::message::ServiceAddress;

/// A place and who is registered at it.
#[derive(Debug)]
struct Place {
    service_type: u32,
    address: ServiceAddress,
    /// Slots of entries, each of which knows its position here.
    entries: Vec<u32>,
    chain: u32,
}

/// All places.
///
/// Invariant: exactly the used slots below `made` are in it.
#[derive(Debug, Default)]
pub(super) struct Places {
    slots: Slab<Place>,
    by_place: Index,
    made: u32,
    wanted: bool,
}

impl Places {
    /// Goes on making the index, with `budget` slots at most. `true` when it is whole.
    pub(super) fn make(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, budget: usize) -> bool {
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

    /// Notes the new entry `slot`.
    pub(super) fn insert(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        if self.wanted && slot == self.made {
            self.made += 1;
        }
        if slot < self.made {
            self.add(entries, hasher, slot);
        }
    }

    /// Forgets the entry `slot`, which is about to be removed. With the last entry goes the index.
    pub(super) fn remove(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        if entries.len() == 1 {
            *self = Places::default();
        }
        if slot >= self.made {
            return;
        }
        let key = self.find(entries.get(slot).service_type, entries.address(slot), hasher);
        let place = &mut self.slots[key as usize];
        let position = entries.get(slot).place_position;
        place.entries.swap_remove(position as usize);
        match place.entries.get(position as usize) {
            Some(&moved) => entries.get_mut(moved).place_position = position,
            None if place.entries.is_empty() => {
                let mut chains = PlaceChains { slots: &mut self.slots, hasher };
                let hash = chains.hash(key);
                self.by_place.remove(&mut chains, key, hash);
                self.slots.remove(key as usize);
            }
            None => {}
        }
    }

    /// One of the entries at this place; certain only when the index is whole.
    pub(super) fn entry_at(
        &self,
        service_type: u32,
        address: ServiceAddress,
        hasher: &impl BuildHasher,
    ) -> Option<u32> {
        let key = self.find(service_type, address, hasher);
        self.slots.get(key as usize).and_then(|place| place.entries.last().copied())
    }

    /// Panics when the index is not as it must be.
    pub(super) fn check(&self, entries: &Entries, hasher: &impl BuildHasher) {
        let used = (0..self.made).filter(|&slot| entries.get(slot).is_used()).count();
        assert_eq!(self.slots.iter().map(|(_, place)| place.entries.len()).sum::<usize>(), used);
        assert_eq!(self.by_place.len() as usize, self.slots.len());
        for (key, place) in &self.slots {
            assert_eq!(self.find(place.service_type, place.address, hasher), key as u32, "a place is not found");
            for (position, &slot) in place.entries.iter().enumerate() {
                let entry = entries.get(slot);
                assert_eq!((entry.service_type, entries.address(slot)), (place.service_type, place.address));
                assert_eq!(entry.place_position as usize, position);
            }
        }
    }

    fn add(&mut self, entries: &mut Entries, hasher: &impl BuildHasher, slot: u32) {
        let (service_type, address) = (entries.get(slot).service_type, entries.address(slot));
        let mut key = self.find(service_type, address, hasher);
        if key == NONE {
            let place = Place { service_type, address, entries: Vec::with_capacity(1), chain: NONE };
            key = self.slots.insert(place) as u32;
            let mut chains = PlaceChains { slots: &mut self.slots, hasher };
            let hash = chains.hash(key);
            self.by_place.insert(&mut chains, key, hash);
        }
        let place = &mut self.slots[key as usize];
        entries.get_mut(slot).place_position = place.entries.len() as u32;
        place.entries.push(slot);
    }

    /// The key of a place, or [`NONE`].
    fn find(&self, service_type: u32, address: ServiceAddress, hasher: &impl BuildHasher) -> u32 {
        let mut key = self.by_place.first(hasher.hash_one((service_type, address)));
        while key != NONE {
            let place = &self.slots[key as usize];
            if (place.service_type, place.address) == (service_type, address) {
                break;
            }
            key = place.chain;
        }
        key
    }
}

/// The chains of the index by place.
struct PlaceChains<'a, S> {
    slots: &'a mut Slab<Place>,
    hasher: &'a S,
}

impl<S: BuildHasher> Chains for PlaceChains<'_, S> {
    fn next(&self, slot: u32) -> u32 {
        self.slots[slot as usize].chain
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.slots[slot as usize].chain = next;
    }

    fn hash(&self, slot: u32) -> u64 {
        let place = &self.slots[slot as usize];
        self.hasher.hash_one((place.service_type, place.address))
    }
}
