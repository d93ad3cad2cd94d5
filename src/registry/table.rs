//! Values in numbered slots, and a hash index over them.

use std::hash::BuildHasher;

use super::index::{Chains, Index};

pub(crate) use super::NONE;
pub(crate) use super::slots::Slots;

/// A value that is found by a part of itself.
pub(crate) trait Keyed {
    /// The hash of that part.
    fn hash(&self, hasher: &impl BuildHasher) -> u64;
}

/// Values by slot number and by hash. It grows without a rehash of the whole table.
#[derive(Debug)]
pub(crate) struct Table<T> {
    nodes: Slots<Node<T>>,
    index: Index,
}

#[derive(Debug, Default)]
struct Node<T> {
    value: T,
    /// The next slot with the same bucket in the index.
    chain: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            nodes: Slots::default(),
            index: Index::default(),
        }
    }
}

impl<T: Keyed + Default> Table<T> {
    /// The slot of the value with this hash for which `is` returns `true`.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<u32> {
        self.find_all(hash, is).next()
    }

    /// The slots of all values with this hash for which `is` returns `true`.
    pub(crate) fn find_all(&self, hash: u64, is: impl Fn(&T) -> bool) -> impl Iterator<Item = u32> {
        let mut next = self.index.first(hash);
        std::iter::from_fn(move || {
            while next != NONE {
                let slot = next;
                let node = &self.nodes[slot];
                next = node.chain;
                if is(&node.value) {
                    return Some(slot);
                }
            }
            None
        })
    }

    /// Stores a value that must be new; returns its slot.
    pub(crate) fn insert(&mut self, value: T, hasher: &impl BuildHasher) -> u32 {
        let slot = self.nodes.insert(Node { value, chain: NONE });
        let mut chains = NodeChains {
            nodes: &mut self.nodes,
            hasher,
        };
        let hash = chains.hash(slot);
        self.index.insert(&mut chains, slot, hash);
        slot
    }

    /// Removes the value in `slot`, and returns it.
    pub(crate) fn remove(&mut self, slot: u32, hasher: &impl BuildHasher) -> T {
        let mut chains = NodeChains {
            nodes: &mut self.nodes,
            hasher,
        };
        let hash = chains.hash(slot);
        self.index.remove(&mut chains, slot, hash);
        self.nodes.remove(slot).value
    }

    pub(crate) fn get(&self, slot: u32) -> &T {
        &self.nodes[slot].value
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut self.nodes[slot].value
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len() as usize
    }

    /// All values with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.nodes.iter().map(|(slot, node)| (slot, &node.value))
    }

    /// Panics when the index disagrees with the values; `same` compares two values.
    pub(crate) fn check(&self, hasher: &impl BuildHasher, same: impl Fn(&T, &T) -> bool) {
        assert_eq!(self.index.len(), self.nodes.len());
        for (slot, value) in self.iter() {
            let found = self.find(value.hash(hasher), |other| same(value, other));
            assert_eq!(found, Some(slot), "a value is not found by what it holds");
        }
    }
}

/// The chains of the index.
struct NodeChains<'a, T, S> {
    nodes: &'a mut Slots<Node<T>>,
    hasher: &'a S,
}

impl<T: Keyed + Default, S: BuildHasher> Chains for NodeChains<'_, T, S> {
    fn next(&self, slot: u32) -> u32 {
        self.nodes[slot].chain
    }

    fn set_next(&mut self, slot: u32, next: u32) {
        self.nodes[slot].chain = next;
    }

    fn hash(&self, slot: u32) -> u64 {
        self.nodes[slot].value.hash(self.hasher)
    }
}
