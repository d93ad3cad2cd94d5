//! The tags and metadata of registrations, equal ones stored once.

use std::hash::BuildHasher;
use std::sync::Arc;

use uuid::Uuid;

use super::interned::Interned;
use super::{RegisterError, Registry, tags};
use crate::limits::ALL_LABELS_LEN_MAX;
use crate::message::{ChangeKind, Labels};
use crate::time::Moment;

/// Bytes of memory that a set takes beside its text, and each of its tags, keys and values.
const SET_LEN: usize = 160;
const TEXT_LEN: usize = 40;

/// All sets of tags and metadata, by number and by content.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    sets: Interned<Arc<Labels>>,
    memory_len: usize,
}

impl LabelSets {
    /// The number of the set with these tags and metadata, for one more registration. `None` where
    /// there is no room for another set.
    pub(super) fn take(&mut self, labels: &Labels, hasher: &impl BuildHasher) -> Option<u32> {
        let number = match self.sets.find(labels, hasher) {
            Some(number) => number,
            None => {
                let memory_len = self.memory_len + memory_len(labels);
                if memory_len > ALL_LABELS_LEN_MAX {
                    return None;
                }
                self.memory_len = memory_len;
                self.sets.insert(Arc::new(labels.clone()), hasher)
            }
        };
        self.sets.join(number);
        Some(number)
    }

    /// One registration less has the set.
    pub(super) fn leave(&mut self, number: u32, hasher: &impl BuildHasher) {
        if let Some(labels) = self.sets.leave(number, hasher) {
            self.memory_len -= memory_len(&labels);
        }
    }

    pub(super) fn get(&self, number: u32) -> &Arc<Labels> {
        self.sets.get(number)
    }

    /// Panics when the sets are not those of so many registrations.
    pub(super) fn check(&self, users: usize, hasher: &impl BuildHasher) {
        self.sets.check(users, hasher);
        let memory = self.sets.values().map(|labels| memory_len(labels));
        assert_eq!(memory.sum::<usize>(), self.memory_len);
    }
}

fn memory_len(labels: &Labels) -> usize {
    let texts = labels.tags().len() + 2 * labels.meta().len();
    SET_LEN + labels.len() + TEXT_LEN * texts
}

impl<S: BuildHasher> Registry<S> {
    /// Gives a registration these tags and metadata instead of those that it had; `false` when no live
    /// one has this UUID.
    ///
    /// # Errors
    /// [`RegisterError::Full`] where there is no room for them.
    pub fn update(
        &mut self,
        now: Moment,
        uuid: &Uuid,
        labels: Option<&Labels>,
    ) -> Result<bool, RegisterError> {
        let live = |slot: &u32| self.entries.get(*slot).is_live(now);
        let Some(slot) = self.find(uuid).filter(live) else {
            return Ok(false);
        };
        if self.has_labels(slot, labels) {
            return Ok(true);
        }
        let heartbeat = self.entries.get(slot).heartbeat;
        self.change_labels(slot, heartbeat, labels)?;
        self.mutated();
        Ok(true)
    }

    /// Whether the entry `slot` has these tags and metadata, in this order.
    pub(super) fn has_labels(&self, slot: u32, labels: Option<&Labels>) -> bool {
        let labels = labels.filter(|labels| !labels.is_empty());
        self.labels(slot).map(|own| &**own) == labels
    }

    /// Gives the entry `slot` these tags and metadata. The change says that its last heartbeat was then.
    pub(super) fn change_labels(
        &mut self,
        slot: u32,
        heartbeat: Moment,
        labels: Option<&Labels>,
    ) -> Result<(), RegisterError> {
        let set = self.take_label_set(labels)?;
        let names_change = self.set_label_set(slot, set);
        self.index += 1;
        self.types
            .touch(self.entries.get(slot).service_type, self.index);
        self.note_names(names_change);
        self.record_change(slot, heartbeat, ChangeKind::Updated);
        Ok(())
    }

    /// Takes the set of these tags and metadata for one more entry; none for none.
    pub(super) fn take_label_set(
        &mut self,
        labels: Option<&Labels>,
    ) -> Result<Option<u32>, RegisterError> {
        let Some(labels) = labels.filter(|labels| !labels.is_empty()) else {
            return Ok(None);
        };
        // A set is stored once, but its tags are counted for each type that has them.
        let of_tags = self.tags.memory_len() + tags::memory_len_max(labels);
        if self.label_sets.memory_len + of_tags > ALL_LABELS_LEN_MAX {
            return Err(RegisterError::Full);
        }
        let set = self.label_sets.take(labels, &self.hasher);
        set.map(Some).ok_or(RegisterError::Full)
    }

    /// Gives the entry `slot` this set, and leaves the one that it had. Returns whether its type has other
    /// tags now.
    pub(super) fn set_label_set(&mut self, slot: u32, set: Option<u32>) -> bool {
        let old = self.entries.set_label_set(slot, set);
        let of = self.entries.get(slot).service_type;
        let mut changes = false;
        if let Some(set) = set {
            let labels = self.label_sets.get(set);
            changes |= self.tags.add(of, labels, &self.hasher);
        }
        if let Some(old) = old {
            let labels = self.label_sets.get(old);
            changes |= self.tags.remove(of, labels, &self.hasher);
            self.label_sets.leave(old, &self.hasher);
        }
        changes
    }

    /// The names of the types, or the tags of one, have changed with the latest change.
    pub(super) fn note_names(&mut self, have_changed: bool) {
        if have_changed {
            self.types.names_version = self.index;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::LABELS_COUNT_MAX;
    use crate::message::{Reason, ServiceAddress};
    use crate::registry::{KeyedHash, Registration};

    #[test]
    fn row_57_what_is_counted_for_a_set_is_not_less_than_it_takes() {
        for (tags, pairs) in [(0, 0), (1, 1), (LABELS_COUNT_MAX, 0), (0, LABELS_COUNT_MAX)] {
            let mut labels = Labels::default();
            for number in 0..tags {
                labels.add_tag(&format!("tag{number}")).unwrap();
            }
            for number in 0..pairs {
                labels.add_pair(&format!("key{number}"), "value").unwrap();
            }
            // Each text is an allocation, before which the allocator keeps its length.
            let texts = labels.tags().len() + 2 * labels.meta().len();
            let of_text = size_of::<Box<str>>() + size_of::<usize>();
            let taken = Interned::<Arc<Labels>>::VALUE_LEN
                + size_of::<Labels>()
                + texts * of_text
                + labels.len();
            let counted = memory_len(&labels);
            assert!(counted >= taken, "{counted} bytes for {taken}");
        }
    }

    #[test]
    fn row_57_a_new_set_that_does_not_fit_is_refused_and_there_is_room_again_when_others_have_gone()
    {
        let hasher = KeyedHash::new(0x5eed);
        let labels = |tag| {
            let mut labels = Labels::default();
            labels.add_tag(tag).unwrap();
            labels
        };
        let mut sets = LabelSets::default();
        let first = sets.take(&labels("a"), &hasher).unwrap();
        let of_one = sets.memory_len;
        // As if other sets took all but one byte of the room for one more.
        sets.memory_len = ALL_LABELS_LEN_MAX - of_one + 1;
        assert_eq!(sets.take(&labels("b"), &hasher), None);
        assert_eq!(sets.take(&labels("a"), &hasher), Some(first));
        sets.leave(first, &hasher);
        sets.leave(first, &hasher);
        assert!(sets.take(&labels("b"), &hasher).is_some());
        assert!(sets.take(&labels("c"), &hasher).is_none());
    }

    #[test]
    fn row_57_a_million_updates_between_equal_sets_store_two_and_give_their_memory_back() {
        const ENTRIES: u32 = 10_000;
        const ROUNDS: usize = 100;
        let uuid = |number: u32| Uuid::from_u128(number.into());
        let labels = [("blue", "1"), ("green", "2")].map(|(tag, version)| {
            let mut labels = Labels::default();
            labels.add_tag(tag).unwrap();
            labels.add_pair("version", version).unwrap();
            labels
        });
        let mut registry = Registry::new(ENTRIES, KeyedHash::new(0x5eed));
        for number in 0..ENTRIES {
            let new = Registration {
                uuid: uuid(number),
                service_type: "hive",
                address: ServiceAddress::new("::1", 80).unwrap(),
                ttl: Duration::from_secs(30),
                labels: Some(&labels[0]),
            };
            registry.register(Moment::START, new).unwrap();
        }
        for round in 1..=ROUNDS {
            for number in 0..ENTRIES {
                let wanted = &labels[round % 2];
                let done = registry.update(Moment::START, &uuid(number), Some(wanted));
                assert_eq!(done, Ok(true));
            }
            registry.clear_changes();
            assert_eq!(
                registry.label_sets.memory_len,
                memory_len(&labels[round % 2])
            );
            assert_eq!(registry.tags.len(), 1, "the tag of the other set is gone");
        }
        for number in 0..ENTRIES {
            assert!(registry.deregister(Moment::START, &uuid(number), Reason::Deregistered));
        }
        assert_eq!(
            registry.label_sets.memory_len + registry.tags.memory_len(),
            0
        );
    }
}
