//! The tags of each type, counted, so that the tags of a type are known without a walk over its
//! registrations.

use std::collections::BTreeMap;

use crate::message::Labels;

/// Bytes of memory that a tag of a type takes beside its text.
const TAG_LEN: usize = 72;

/// How many registrations of each type have each tag, by the type's slot.
#[derive(Debug, Default)]
pub(super) struct Tags {
    counts: BTreeMap<(u32, Box<str>), u32>,
    memory_len: usize,
}

/// Bytes of memory that these tags take where all of them are new to a type.
pub(super) fn memory_len_max(labels: &Labels) -> usize {
    labels.tags().iter().map(|tag| TAG_LEN + tag.len()).sum()
}

impl Tags {
    /// A registration of the type in `slot` has these tags; `true` where one of them is new to the type.
    pub(super) fn add(&mut self, slot: u32, labels: &Labels) -> bool {
        let mut is_new = false;
        for tag in labels.tags() {
            let count = self.counts.entry((slot, tag.clone())).or_insert(0);
            if *count == 0 {
                is_new = true;
                self.memory_len += TAG_LEN + tag.len();
            }
            *count += 1;
        }
        is_new
    }

    /// A registration of the type in `slot` has these tags no more; `true` where one of them was the last.
    pub(super) fn remove(&mut self, slot: u32, labels: &Labels) -> bool {
        let mut was_last = false;
        for tag in labels.tags() {
            let key = (slot, tag.clone());
            if let Some(count) = self.counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&key);
                    self.memory_len -= TAG_LEN + tag.len();
                    was_last = true;
                }
            }
        }
        was_last
    }

    /// The tags of the type in `slot`, in order.
    pub(super) fn of(&self, slot: u32) -> impl Iterator<Item = &str> {
        let from = (slot, Box::<str>::default());
        let of_type = self.counts.range(from..);
        of_type
            .take_while(move |((other, _), _)| *other == slot)
            .map(|((_, tag), _)| &**tag)
    }

    /// Bytes of memory that all of it takes.
    pub(super) fn memory_len(&self) -> usize {
        self.memory_len
    }

    /// Tags of all types together.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// All counts, to be checked.
    pub(super) fn counts(&self) -> &BTreeMap<(u32, Box<str>), u32> {
        &self.counts
    }
}
