//! What must hold between two mutations, checked in debug builds.

use std::hash::BuildHasher;

use super::{NONE, Registry};

impl<S: BuildHasher> Registry<S> {
    /// Panics with what is wrong when the indexes do not agree. O(n). Debug builds call it after
    /// mutations, so often that each mutation pays for a constant number of entries.
    pub fn check_invariants(&self) {
        assert!(self.entries.len() <= self.services_max);
        assert_eq!(self.by_uuid.len(), self.entries.len());
        self.types.check(&self.hasher);
        self.by_address.check(&self.entries, &self.hasher);
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
                assert_eq!(
                    self.find(&entry.uuid),
                    Some(slot),
                    "an entry is not found by its UUID"
                );
                assert_eq!(
                    entry.timer.is_linked(),
                    !entry.is_held(),
                    "what is held has no deadline, all else has"
                );
                previous = slot;
                slot = entry.next;
                len += 1;
                assert!(len <= of.len, "a type's list runs in a circle");
            }
            assert_eq!(of.last, previous, "a type's list ends elsewhere");
            assert_eq!(of.len, len);
            assert!(len > 0, "a type without registrations stays");
            found += len;
        }
        assert_eq!(found, self.entries.len(), "an entry is in no type's list");
    }

    /// Checks the invariants in debug builds: always while there are few entries, and else once in
    /// as many mutations as keep the cost of each constant.
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
