//! Service types: each name is stored once, with the list of its registrations.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use super::NONE;
use super::entry::Entries;
use super::gone_types::GoneTypes;
use super::table::{Keyed, Table};
use crate::ascii::has_upper;
use crate::limits::TYPE_LEN_MAX;

/// A type that has registrations.
#[derive(Debug, Default)]
pub(super) struct Type {
    pub(super) name: Arc<str>,
    /// The oldest registration.
    pub(super) first: u32,
    /// The latest registration.
    pub(super) last: u32,
    pub(super) len: u32,
    /// The registry's count of changes at this type's last one.
    pub(super) version: u64,
}

impl Keyed for Type {
    fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hash_folded(self.name.as_bytes(), hasher)
    }
}

/// The hash of a name in lower case, as far as its letters are ASCII: names that are equal in DNS
/// (RFC 4343) are in one chain, and no second index is needed to find them.
fn hash_folded(name: &[u8], hasher: &impl BuildHasher) -> u64 {
    let mut state = hasher.build_hasher();
    // Nearly all names are in lower case.
    if !has_upper(name) {
        state.write(name);
        return state.finish();
    }
    let mut folded = [0; TYPE_LEN_MAX];
    // No longer name is that of a type.
    let folded = &mut folded[..name.len().min(TYPE_LEN_MAX)];
    folded.copy_from_slice(&name[..folded.len()]);
    folded.make_ascii_lowercase();
    state.write(folded);
    state.finish()
}

/// All types, by slot number and by name.
#[derive(Debug, Default)]
pub(super) struct Types {
    table: Table<Type>,
    /// The slots of the types in the order of their names, for walks over all of them.
    by_name: BTreeMap<Arc<str>, u32>,
    gone: GoneTypes,
    /// The registry's count of changes when a type last came or went, or the tags of one changed.
    pub(super) names_version: u64,
}

impl Types {
    /// Counts what is before all changes as `index`.
    pub(super) fn begin(&mut self, index: u64) {
        self.names_version = index;
        self.gone.begin(index);
    }

    /// The registry's count of changes at the last change of the type with this name.
    pub(super) fn version_of(&self, name: &str, hasher: &impl BuildHasher) -> u64 {
        match self.find(name, hasher) {
            Some(slot) => self.get(slot).version,
            None => self.gone.index(name),
        }
    }

    /// Something of the type in this slot has changed.
    pub(super) fn touch(&mut self, slot: u32, version: u64) {
        self.table.get_mut(slot).version = version;
    }

    /// The slot of the type with this name, if it has registrations.
    pub(super) fn find(&self, name: &str, hasher: &impl BuildHasher) -> Option<u32> {
        self.find_called(name.as_bytes(), hasher)
    }

    /// As [`find`](Self::find), for a name of these bytes.
    #[inline]
    pub(super) fn find_called(&self, name: &[u8], hasher: &impl BuildHasher) -> Option<u32> {
        self.table
            .find(hash_folded(name, hasher), |of| of.name.as_bytes() == name)
    }

    /// The slots of all types with this name, in any case of its ASCII letters.
    pub(super) fn find_folded(
        &self,
        name: &str,
        hasher: &impl BuildHasher,
    ) -> impl Iterator<Item = u32> {
        let is_named = |of: &Type| of.name.eq_ignore_ascii_case(name);
        self.table
            .find_all(hash_folded(name.as_bytes(), hasher), is_named)
    }

    /// The slot of the type with this name, which is created if it does not exist.
    pub(super) fn find_or_insert(&mut self, name: &str, hasher: &impl BuildHasher) -> u32 {
        self.find(name, hasher).unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            let new = Type {
                name: Arc::clone(&name),
                first: NONE,
                last: NONE,
                len: 0,
                version: 0,
            };
            let slot = self.table.insert(new, hasher);
            self.by_name.insert(name, slot);
            slot
        })
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> &Type {
        self.table.get(slot)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Appends the entry `slot` to its type's list.
    pub(super) fn append(&mut self, entries: &mut Entries, slot: u32, version: u64) {
        let of = self.table.get_mut(entries.get(slot).service_type);
        entries.get_mut(slot).previous = of.last;
        match of.last {
            NONE => of.first = slot,
            last => entries.get_mut(last).next = slot,
        }
        of.last = slot;
        of.len += 1;
        of.version = version;
        if of.len == 1 {
            self.names_version = version;
        }
    }

    /// Removes the entry `slot` from its type's list, and the type with its last entry.
    pub(super) fn unlink(
        &mut self,
        entries: &mut Entries,
        slot: u32,
        version: u64,
        hasher: &impl BuildHasher,
    ) {
        let entry = entries.get(slot);
        let (key, previous, next) = (entry.service_type, entry.previous, entry.next);
        let of = self.table.get_mut(key);
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
            self.names_version = version;
            self.gone.add(&of.name, version);
            self.by_name.remove(&of.name);
            self.table.remove(key, hasher);
        }
    }

    /// All types with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Type)> {
        self.table.iter()
    }

    /// The slots of the types from this name on, in the order of names.
    pub(super) fn behind(&self, from: Bound<&str>) -> impl Iterator<Item = u32> {
        let range = self.by_name.range::<str, _>((from, Bound::Unbounded));
        range.map(|(_, &slot)| slot)
    }

    /// Panics when the index by name is wrong.
    pub(super) fn check(&self, hasher: &impl BuildHasher) {
        assert_eq!(self.by_name.len(), self.table.len());
        for (name, &slot) in &self.by_name {
            assert_eq!(*name, self.table.get(slot).name);
        }
        self.table.check(hasher, |a, b| a.name == b.name);
    }
}
