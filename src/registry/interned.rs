//! Values that many have, stored once.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use super::table::{Keyed, Table};

/// Values by number and by content, each with the number of its users. It goes with the last one.
#[derive(Debug)]
pub(super) struct Interned<T> {
    table: Table<Used<T>>,
}

#[derive(Debug, Default)]
struct Used<T> {
    value: T,
    users: u32,
}

impl<T: Hash> Keyed for Used<T> {
    fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(&self.value)
    }
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Interned {
            table: Table::default(),
        }
    }
}

impl<T: Default + Eq + Hash> Interned<T> {
    /// The number of this value, if it is stored.
    pub(super) fn find<Q: Eq + Hash + ?Sized>(
        &self,
        value: &Q,
        hasher: &impl BuildHasher,
    ) -> Option<u32>
    where
        T: Borrow<Q>,
    {
        let is = |used: &Used<T>| used.value.borrow() == value;
        self.table.find(hasher.hash_one(value), is)
    }

    /// Stores a value that must be new, and that nobody uses yet; returns its number.
    pub(super) fn insert(&mut self, value: T, hasher: &impl BuildHasher) -> u32 {
        self.table.insert(Used { value, users: 0 }, hasher)
    }

    /// One more uses the value.
    pub(super) fn join(&mut self, number: u32) {
        self.table.get_mut(number).users += 1;
    }

    /// One less uses the value. Returns it when that was the last one.
    pub(super) fn leave(&mut self, number: u32, hasher: &impl BuildHasher) -> Option<T> {
        let users = &mut self.table.get_mut(number).users;
        *users -= 1;
        let is_unused = *users == 0;
        is_unused.then(|| self.table.remove(number, hasher).value)
    }

    /// Bytes of memory of a value, without what it points to.
    #[cfg(test)]
    pub(super) const VALUE_LEN: usize = size_of::<Used<T>>();

    pub(super) fn get(&self, number: u32) -> &T {
        &self.table.get(number).value
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.table.iter().map(|(_, used)| &used.value)
    }

    /// Panics when the values have not so many users together.
    pub(super) fn check(&self, users: usize, hasher: &impl BuildHasher) {
        self.table.check(hasher, |a, b| a.value == b.value);
        let all = || self.table.iter().map(|(_, used)| used.users as usize);
        assert!(all().all(|users| users > 0), "nobody uses a value");
        assert_eq!(all().sum::<usize>(), users);
    }
}
