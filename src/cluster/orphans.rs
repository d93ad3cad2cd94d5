//! Replicas that wait to come back, in a time that passes only while the node watches etcd.

use std::collections::BTreeSet;

use super::name::Name;
use crate::time::Moment;

#[derive(Debug, Default)]
pub(super) struct Orphans {
    all: BTreeSet<(Moment, Name)>,
    clock: WatchedTime,
}

/// Milliseconds for which etcd was watched. Nobody is given up for what etcd does not tell.
#[derive(Debug, Default)]
struct WatchedTime {
    /// What has passed before it was started last.
    before_ms: u64,
    /// From when on it passes.
    from: Option<Moment>,
}

impl WatchedTime {
    fn at(&self, now: Moment) -> Moment {
        let passed_ms = self.from.map_or(0, |from| now.millis_since(from));
        Moment::from_millis(self.before_ms + passed_ms)
    }
}

impl Orphans {
    /// The watched time passes from `from` on.
    pub(super) fn start(&mut self, from: Moment) {
        self.clock.from = Some(from);
    }

    /// The watched time stands still from now on.
    pub(super) fn stop(&mut self, now: Moment) {
        self.clock.before_ms = self.clock.at(now).as_millis();
        self.clock.from = None;
    }

    /// The number of orphans.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds one that is given up after so many milliseconds. Returns the moment.
    pub(super) fn add(&mut self, name: Name, after_ms: u64, now: Moment) -> Moment {
        let until = self.clock.at(now).plus_millis(after_ms);
        self.all.insert((until, name));
        until
    }

    /// It has come back, or is gone.
    pub(super) fn remove(&mut self, until: Moment, name: Name) {
        self.all.remove(&(until, name));
    }

    /// The next one whose time is over.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Name> {
        self.clock.from?;
        let (until, _) = self.all.first()?;
        (*until <= self.clock.at(now))
            .then(|| self.all.pop_first())?
            .map(|(_, name)| name)
    }

    /// When the time of the next one is over.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let (until, _) = self.all.first()?;
        let left_ms = until.as_millis().saturating_sub(self.clock.before_ms);
        self.clock.from.map(|from| from.plus_millis(left_ms))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.all.iter().map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::KeyId;
    use uuid::Uuid;

    #[test]
    fn no_orphan_is_given_up_while_nobody_watches() {
        let at = Moment::from_millis;
        let name = Name {
            service_type: "hive".into(),
            id: KeyId::of(&Uuid::nil()),
        };
        let mut orphans = Orphans::default();
        orphans.start(at(1_000));
        let until = orphans.add(name.clone(), 3_000, at(2_000));
        assert_eq!(until, at(4_000));
        assert_eq!(orphans.next_due(), Some(at(5_000)));
        orphans.stop(at(4_000));
        assert_eq!((orphans.next_due(), orphans.pop(at(90_000))), (None, None));
        orphans.start(at(100_000));
        assert_eq!(orphans.next_due(), Some(at(101_000)));
        assert_eq!(orphans.pop(at(100_999)), None);
        assert_eq!(orphans.pop(at(101_000)), Some(name));
        assert_eq!(orphans.pop(at(101_000)), None);
    }
}
