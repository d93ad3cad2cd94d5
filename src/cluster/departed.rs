//! Registrations that were removed here on request, so that they do not come back from elsewhere.

use std::collections::{BTreeSet, HashMap};

use super::name::Name;
use crate::limits::{CLUSTER_DEPARTED_MAX, CLUSTER_DEPARTED_MS_MIN};
use crate::time::Moment;

/// A node that has not heard of the removal may write the registration again. It does so for no longer
/// than the TTL, for nobody sends heartbeats any more.
#[derive(Debug, Default)]
pub(super) struct Departed {
    all: HashMap<Name, Departure>,
    ends: BTreeSet<(Moment, Name)>,
}

#[derive(Debug)]
struct Departure {
    since: i64,
    until: Moment,
}

impl Departed {
    pub(super) fn add(&mut self, name: &Name, since: i64, ttl_ms: u32, now: Moment) {
        let ms = u64::from(ttl_ms).max(CLUSTER_DEPARTED_MS_MIN);
        let until = now.plus_millis(ms);
        self.forget(name);
        self.all.insert(name.clone(), Departure { since, until });
        self.ends.insert((until, name.clone()));
        while self.all.len() > CLUSTER_DEPARTED_MAX || self.is_due(now) {
            let Some((_, name)) = self.ends.pop_first() else {
                return;
            };
            self.all.remove(&name);
        }
    }

    /// Whether this very registration was removed, and not a later one of the same UUID.
    pub(super) fn has(&self, name: &Name, since: i64) -> bool {
        self.all.get(name).is_some_and(|gone| gone.since == since)
    }

    /// It is registered again.
    pub(super) fn forget(&mut self, name: &Name) {
        if let Some(gone) = self.all.remove(name) {
            self.ends.remove(&(gone.until, name.clone()));
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        self.ends.first().is_some_and(|(until, _)| *until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::KeyId;
    use uuid::Uuid;

    fn name(number: usize) -> Name {
        Name {
            service_type: "hive".into(),
            id: KeyId::of(&Uuid::from_u128(number as u128)),
        }
    }

    #[test]
    fn a_removal_is_remembered_for_a_ttl_and_of_that_registration_only() {
        let at = Moment::from_millis;
        let mut departed = Departed::default();
        departed.add(&name(1), 7, 90_000, at(0));
        assert!(departed.has(&name(1), 7) && !departed.has(&name(1), 8));
        assert!(!departed.has(&name(2), 7));
        departed.add(&name(2), 1, 1_000, at(89_999));
        assert!(departed.has(&name(1), 7));
        departed.add(&name(3), 1, 1_000, at(90_000));
        assert!(!departed.has(&name(1), 7) && departed.has(&name(2), 1));
        departed.forget(&name(2));
        assert!(!departed.has(&name(2), 1));
        assert_eq!(departed.ends.len(), departed.all.len());
    }

    #[test]
    fn the_removals_that_are_remembered_are_bounded() {
        let mut departed = Departed::default();
        for number in 0..=CLUSTER_DEPARTED_MAX {
            departed.add(
                &name(number),
                1,
                1_000,
                Moment::from_millis(number as u64 / 100),
            );
        }
        assert_eq!(departed.all.len(), CLUSTER_DEPARTED_MAX);
        assert_eq!(departed.ends.len(), CLUSTER_DEPARTED_MAX);
        assert!(departed.has(&name(CLUSTER_DEPARTED_MAX), 1));
    }
}
