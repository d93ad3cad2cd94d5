//! Service types: each name is stored once, with the list of its registrations.

use std::hash::BuildHasher;
use std::rc::Rc;

use slab::Slab;

use super::NONE;
use super::entry::Entries;
use super::index::{Chains, Index};

/// A type that has registrations.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: Rc<str>,
    /// The oldest registration.
    pub(super) first: u32,
    /// The latest registration.
    pub(super) last: u32,
    pub(super) len: u32,
    /// The registry's count of changes at this type's last one.
    pub(super) version: u64,
    chain: u32,
}

/// All types, by slot number and by name.
#[derive(Debug, Default)]
pub(super) struct Types {
    slots: Slab<Type>,
    by_name: Index,
    /// How many types have come and gone.
    version: u64,
}

impl Types {
    /// The slot of the type with this name, if it has registrations.
    pub(super) fn find(&self, name: &str, hasher: &impl BuildHasher) -> Option<u32> {
        let mut slot = self.by_name.first(hasher.hash_one(name));
        while slot != NONE {
            let found = self.get(slot);
            if &*found.name == name {
                return Some(slot);
            }
            slot = found.chain;
        }
        None
    }

    /// The slot of the type with this name, which is made if need be.
    pub(super) fn find_or_insert(&mut self, name: &str, hasher: &impl BuildHasher) -> u32 {
        if let Some(slot) = self.find(name, hasher) {
            return slot;
        }
        let new = Type { name: name.into(), first: NONE, last: NONE, len: 0, version: 0, chain: NONE };
        let slot = self.slots.insert(new) as u32;
        self.version += 1;
        let mut names = Names { slots: &mut self.slots, hasher };
        let hash = names.hash(slot);
        self.by_name.insert(&mut names, slot, hash);
        slot
    }

    pub(super) fn get(&self, slot: u32) -> &Type {
        &self.slots[slot as usize]
    }

    /// Puts the entry `slot` at the end of its type's list.
    pub(super) fn append(&mut self, entries: &mut Entries, slot: u32, version: u64) {
        let of = &mut self.slots[entries.get(slot).service_type as usize];
        entries.get_mut(slot).previous = of.last;
        match of.last {
            NONE => of.first = slot,
            last => entries.get_mut(last).next = slot,
        }
        of.last = slot;
        of.len += 1;
        of.version = version;
    }

    /// Takes the entry `slot` out of its type's list; the type goes with its last entry.
    pub(super) fn unlink(&mut self, entries: &mut Entries, slot: u32, version: u64, hasher: &impl BuildHasher) {
        let entry = entries.get(slot);
        let (key, previous, next) = (entry.service_type, entry.previous, entry.next);
        let of = &mut self.slots[key as usize];
        match previous {
            NONE => of.first = next,
            previous => entries.get_mut(previous).next = next,
        }
        match next {
            NONE => of.last = previous,
            next => entries.get_mut(next).previous = previous,
        }
        of.len -= 1;
        of.version = version;
        if of.len == 0 {
            let mut names = Names { slots: &mut self.slots, hasher };
            let hash = names.hash(key);
            self.by_name.remove(&mut names, key, hash);
            self.slots.remove(key as usize);
            self.version += 1;
        }
        if self.slots.is_empty() {
            *self = Types { version: self.version, ..Types::default() };
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// All types with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Type)> {
        self.slots.iter().map(|(slot, of)| (slot as u32, of))
    }

    /// Panics when the index by name is wrong.
    pub(super) fn check(&self, hasher: &impl BuildHasher) {
        assert_eq!(self.by_name.len() as usize, self.slots.len());
        for (slot, of) in self.iter() {
            assert_eq!(self.find(&of.name, hasher), Some(slot), "a type is not found by its name");
        }
    }
}

/// The chains of the index by name.
struct Names<'a, S> {
    slots: &'a mut Slab<Type>,
    hasher: &'a S,
}

impl<S: BuildHasher> Chains for Names<'_, S> {
    fn next(&self, slot: u32) -> u32 {
        self.slots[slot as usize].chain
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.slots[slot as usize].chain = next;
    }

    fn hash(&self, slot: u32) -> u64 {
        self.hasher.hash_one(&*self.slots[slot as usize].name)
    }
}
