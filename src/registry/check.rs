//! The invariants of the registry between two mutations, checked in debug builds.

use std::hash::BuildHasher;

use super::tags::Tags;
use super::{NONE, Registry};

impl<S: BuildHasher> Registry<S> {
    /// Panics with a description when the indexes disagree. O(n). Debug builds call it after
    /// mutations, so rarely that the cost of each mutation stays constant.
    pub fn check_invariants(&self) {
        assert!(self.entries.len() <= self.services_max);
        assert_eq!(self.by_uuid.len(), self.entries.len());
        self.types.check(&self.hasher);
        self.by_address.check(&self.entries, &self.hasher);
        self.marks.check(&self.entries);
        self.label_sets
            .check(self.entries.labelled_len(), &self.hasher);
        let mut tags = Tags::default();
        let mut found = 0;
        for (key, of) in self.types.iter() {
            let mut previous = NONE;
            let mut slot = of.first;
            let mut len = 0;
            while slot != NONE {
                let entry = self.entries.get(slot);
                assert_eq!(
                    entry.service_type, key,
                    "an entry is in another type's list"
                );
                assert_eq!(entry.previous, previous, "a type's list is broken");
                let is_elsewhere = entry.owner().is_some();
                let found = if is_elsewhere {
                    self.find_replica(&entry.uuid)
                } else {
                    self.find(&entry.uuid)
                };
                assert_eq!(found, Some(slot), "an entry is not found by its UUID");
                assert_eq!(
                    entry.timer.is_linked(),
                    !entry.is_held() && !is_elsewhere,
                    "what is held or owned elsewhere has no deadline, all else has"
                );
                if let Some(labels) = self.labels(slot) {
                    tags.add(key, labels, &self.hasher);
                }
                previous = slot;
                slot = entry.next;
                len += 1;
                assert!(len <= of.len, "a type's list has a cycle");
            }
            assert_eq!(
                of.last, previous,
                "a type's last entry is not the end of its list"
            );
            assert_eq!(of.len, len);
            assert!(len > 0, "a type without registrations was not removed");
            found += len;
        }
        self.tags.check(&tags, &self.hasher);
        assert_eq!(found, self.entries.len(), "an entry is in no type's list");
    }

    /// Checks the invariants in debug builds: after every mutation while there are few entries, and
    /// otherwise so rarely that the cost of each mutation stays constant.
    pub(super) fn mutated(&mut self) {
        #[cfg(debug_assertions)]
        {
            const ENTRIES_A_MUTATION: u32 = 4;
            self.unchecked += 1;
            if self.unchecked >= self.entries.len() / ENTRIES_A_MUTATION {
                self.unchecked = 0;
                self.check_invariants();
            }
        }
    }
}
