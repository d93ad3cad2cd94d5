//! A slab of values with stable keys, and a hash index over it.

use std::hash::BuildHasher;

use slab::Slab;

use super::NONE;
use super::index::{Chains, Index};

/// A value that is found by a part of itself.
pub(super) trait Keyed {
    /// The hash of that part.
    fn hash(&self, hasher: &impl BuildHasher) -> u64;
}

/// Values by slot number and by hash. It grows without a rehash of the whole table.
#[derive(Debug)]
pub(super) struct Table<T> {
    nodes: Slab<Node<T>>,
    index: Index,
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    /// The next slot with the same bucket in the index.
    chain: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            nodes: Slab::new(),
            index: Index::default(),
        }
    }
}

impl<T: Keyed> Table<T> {
    /// The slot of the value with this hash for which `is` returns `true`.
    pub(super) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<u32> {
        let mut slot = self.index.first(hash);
        while slot != NONE {
            let node = &self.nodes[slot as usize];
            if is(&node.value) {
                return Some(slot);
            }
            slot = node.chain;
        }
        None
    }

    /// Stores a value that must be new; returns its slot.
    pub(super) fn insert(&mut self, value: T, hasher: &impl BuildHasher) -> u32 {
        let slot = self.nodes.insert(Node { value, chain: NONE }) as u32;
        let mut chains = NodeChains {
            nodes: &mut self.nodes,
            hasher,
        };
        let hash = chains.hash(slot);
        self.index.insert(&mut chains, slot, hash);
        slot
    }

    /// Removes the value in `slot`.
    pub(super) fn remove(&mut self, slot: u32, hasher: &impl BuildHasher) {
        let mut chains = NodeChains {
            nodes: &mut self.nodes,
            hasher,
        };
        let hash = chains.hash(slot);
        self.index.remove(&mut chains, slot, hash);
        self.nodes.remove(slot as usize);
    }

    pub(super) fn get(&self, slot: u32) -> &T {
        &self.nodes[slot as usize].value
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut self.nodes[slot as usize].value
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All values with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.nodes
            .iter()
            .map(|(slot, node)| (slot as u32, &node.value))
    }

    /// Panics when the index disagrees with the values; `same` compares two values.
    pub(super) fn check(&self, hasher: &impl BuildHasher, same: impl Fn(&T, &T) -> bool) {
        assert_eq!(self.index.len() as usize, self.nodes.len());
        for (slot, value) in self.iter() {
            let found = self.find(value.hash(hasher), |other| same(value, other));
            assert_eq!(found, Some(slot), "a value is not found by what it holds");
        }
    }
}

/// The chains of the index.
struct NodeChains<'a, T, S> {
    nodes: &'a mut Slab<Node<T>>,
    hasher: &'a S,
}

impl<T: Keyed, S: BuildHasher> Chains for NodeChains<'_, T, S> {
    fn next(&self, slot: u32) -> u32 {
        self.nodes[slot as usize].chain
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.nodes[slot as usize].chain = next;
    }

    fn hash(&self, slot: u32) -> u64 {
        self.nodes[slot as usize].value.hash(self.hasher)
    }
}
