//! A hash index that grows and shrinks by one bucket at a time.
//!
//! Linear hashing, after Litwin, "Linear Hashing: A New Tool for File and Table Addressing" (1980):
//! no request ever pays for a rehash of the whole table. The index stores slot numbers only; the
//! links of a bucket's chain are in the entries.

use super::NONE;
use super::pages::Pages;

/// The entries behind an index.
pub(super) trait Chains {
    /// The slot after `slot` in its chain, or [`NONE`].
    fn next(&self, slot: u32) -> u32;
    /// Sets the slot after `slot`.
    fn set_next(&mut self, slot: u32, next: u32);
    /// The hash of the key of `slot`.
    fn hash(&self, slot: u32) -> u64;
}

/// Buckets of chains; one entry a bucket on average.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The first slot of each bucket's chain: 32,768 in a page of 128 KiB.
    heads: Pages<u32, 15>,
    len: u32,
}

impl Index {
    /// Entries in the index.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The first slot of the chain in which an entry with this hash would be, or [`NONE`].
    pub(super) fn first(&self, hash: u64) -> u32 {
        if self.heads.len() == 0 {
            NONE
        } else {
            self.heads[self.bucket(hash)]
        }
    }

    /// Adds `slot`, which must be new, and splits one bucket if there are more entries than buckets.
    pub(super) fn insert(&mut self, chains: &mut impl Chains, slot: u32, hash: u64) {
        self.len += 1;
        if self.len > self.heads.len() {
            self.split(chains);
        }
        let bucket = self.bucket(hash);
        chains.set_next(slot, self.heads[bucket]);
        self.heads[bucket] = slot;
    }

    /// Removes `slot`, which must be present, and merges buckets if there are twice as many as entries.
    pub(super) fn remove(&mut self, chains: &mut impl Chains, slot: u32, hash: u64) {
        let bucket = self.bucket(hash);
        let next = chains.next(slot);
        let mut at = self.heads[bucket];
        if at == slot {
            self.heads[bucket] = next;
        } else {
            while chains.next(at) != slot {
                at = chains.next(at);
            }
            chains.set_next(at, next);
        }
        self.len -= 1;
        // Two at a time, so that the last bucket is merged with the last entry.
        for _ in 0..2 {
            if self.heads.len() > self.len.saturating_mul(2) {
                self.merge(chains);
            }
        }
    }

    /// Puts `new` into the place of `old`, which must be present and has the same hash.
    pub(super) fn replace(&mut self, chains: &mut impl Chains, old: u32, new: u32, hash: u64) {
        let bucket = self.bucket(hash);
        chains.set_next(new, chains.next(old));
        let mut at = self.heads[bucket];
        if at == old {
            self.heads[bucket] = new;
            return;
        }
        while chains.next(at) != old {
            at = chains.next(at);
        }
        chains.set_next(at, new);
    }

    /// Frees the last page of buckets, and what they hold is lost; `false` when there is none.
    pub(super) fn drop_page(&mut self) -> bool {
        self.len = 0;
        self.heads.drop_page()
    }

    /// The bucket of a hash: its lowest bits, one bit fewer for a bucket that is not split yet.
    fn bucket(&self, hash: u64) -> u32 {
        let buckets = self.heads.len();
        let mask = u32::MAX >> (buckets - 1).leading_zeros().min(31);
        let bucket = hash as u32 & mask;
        if bucket < buckets {
            bucket
        } else {
            bucket & (mask >> 1)
        }
    }

    /// Adds a bucket, and moves the entries that belong to it from the bucket that is split.
    fn split(&mut self, chains: &mut impl Chains) {
        let new = self.heads.push(NONE);
        if new == 0 {
            return;
        }
        let source = Self::sibling(new);
        let mut at = std::mem::replace(&mut self.heads[source], NONE);
        while at != NONE {
            let next = chains.next(at);
            let bucket = self.bucket(chains.hash(at));
            debug_assert!(bucket == source || bucket == new);
            chains.set_next(at, self.heads[bucket]);
            self.heads[bucket] = at;
            at = next;
        }
    }

    /// Removes the last bucket and moves its chain back to the bucket that it was split from.
    fn merge(&mut self, chains: &mut impl Chains) {
        let last = self.heads.len() - 1;
        let Some(mut at) = self.heads.pop() else {
            return;
        };
        if last == 0 {
            debug_assert_eq!(at, NONE);
            return;
        }
        let target = Self::sibling(last);
        while at != NONE {
            let next = chains.next(at);
            chains.set_next(at, self.heads[target]);
            self.heads[target] = at;
            at = next;
        }
    }

    /// The bucket that `bucket`, which is not 0, was split from: `bucket` without its highest bit.
    fn sibling(bucket: u32) -> u32 {
        bucket & !(1 << bucket.ilog2())
    }
}
