//! The tags of each type, counted, so that the tags of a type are known without a walk over its
//! registrations.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::BuildHasher;

use super::interned::Interned;
use crate::message::Labels;

/// Bytes of memory that a tag takes beside its text, and again for each type that has it.
const TEXT_LEN: usize = 56;
const COUNT_LEN: usize = 32;

/// How many registrations of each type have each tag. A tag that several types have is stored once.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// Each is used by the types that have it.
    texts: Interned<Box<str>>,
    /// By the type's slot and the tag's.
    counts: BTreeMap<(u32, u32), u32>,
    memory_len: usize,
}

/// Bytes of memory that these tags take where nobody else has one of them.
pub(super) fn memory_len_max(labels: &Labels) -> usize {
    let texts = labels.tags().iter().map(|tag| TEXT_LEN + tag.len());
    texts.map(|len| len + COUNT_LEN).sum()
}

impl Tags {
    /// A registration of the type in `slot` has these tags; `true` where one of them is new to the type.
    pub(super) fn add(&mut self, slot: u32, labels: &Labels, hasher: &impl BuildHasher) -> bool {
        let mut is_new = false;
        for text in labels.tags() {
            let tag = self.texts.find(&**text, hasher).unwrap_or_else(|| {
                self.memory_len += TEXT_LEN + text.len();
                self.texts.insert(text.clone(), hasher)
            });
            let count = self.counts.entry((slot, tag)).or_insert(0);
            *count += 1;
            if *count == 1 {
                is_new = true;
                self.memory_len += COUNT_LEN;
                self.texts.join(tag);
            }
        }
        is_new
    }

    /// A registration of the type in `slot` has these tags no more; `true` where one of them was the last.
    pub(super) fn remove(&mut self, slot: u32, labels: &Labels, hasher: &impl BuildHasher) -> bool {
        let mut was_last = false;
        for text in labels.tags() {
            let Some(tag) = self.texts.find(&**text, hasher) else {
                continue;
            };
            let Entry::Occupied(mut count) = self.counts.entry((slot, tag)) else {
                continue;
            };
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                was_last = true;
                count.remove();
                self.memory_len -= COUNT_LEN;
                if let Some(text) = self.texts.leave(tag, hasher) {
                    self.memory_len -= TEXT_LEN + text.len();
                }
            }
        }
        was_last
    }

    /// The tags of the type in `slot`, in no order.
    pub(super) fn of(&self, slot: u32) -> impl Iterator<Item = &str> {
        let of_type = self.counts.range((slot, 0)..=(slot, u32::MAX));
        of_type.map(|(&(_, tag), _)| &**self.texts.get(tag))
    }

    /// Bytes of memory that all of it takes.
    pub(super) fn memory_len(&self) -> usize {
        self.memory_len
    }

    /// Tags of all types together.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Panics when these are not the tags of the registrations, which `counted` are.
    pub(super) fn check(&self, counted: &Tags, hasher: &impl BuildHasher) {
        assert_eq!(self.counts(), counted.counts(), "tags are miscounted");
        assert_eq!(self.memory_len, counted.memory_len);
        // Each count is of a type that has the tag.
        self.texts.check(self.counts.len(), hasher);
    }

    fn counts(&self) -> BTreeMap<(u32, &str), u32> {
        let counts = self.counts.iter();
        counts
            .map(|(&(slot, tag), &count)| ((slot, &**self.texts.get(tag)), count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::KeyedHash;

    fn labels(tags: &[&str]) -> Labels {
        let mut labels = Labels::default();
        for tag in tags {
            labels.add_tag(tag).unwrap();
        }
        labels
    }

    #[test]
    fn a_tag_is_stored_once_for_all_types_and_goes_with_the_last_that_has_it() {
        let hasher = KeyedHash::new(7);
        let (both, one) = (labels(&["blue", "green"]), labels(&["blue"]));
        let mut tags = Tags::default();
        assert!(tags.add(1, &both, &hasher));
        assert!(!tags.add(1, &one, &hasher));
        assert_eq!(tags.memory_len(), memory_len_max(&both));
        assert!(tags.add(2, &one, &hasher), "it is new to this type");
        assert_eq!(tags.memory_len(), memory_len_max(&both) + COUNT_LEN);
        let mut of_type: Vec<&str> = tags.of(1).collect();
        of_type.sort_unstable();
        assert_eq!(of_type, ["blue", "green"]);
        assert_eq!(tags.of(2).collect::<Vec<_>>(), ["blue"]);
        assert_eq!(tags.of(0).chain(tags.of(3)).count(), 0);
        assert!(tags.remove(1, &both, &hasher), "nobody is green any more");
        assert!(tags.remove(1, &one, &hasher));
        assert_eq!(tags.memory_len(), memory_len_max(&one));
        assert!(tags.remove(2, &one, &hasher));
        assert_eq!(
            (tags.memory_len(), tags.len(), tags.texts.values().count()),
            (0, 0, 0)
        );
    }
}
