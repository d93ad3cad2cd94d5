//! Replicas that wait to come back, in a time that passes only while the node watches etcd.

use std::collections::{BTreeMap, BTreeSet};

use super::known::Known;
use super::name::{Name, NodeId};
use crate::time::Moment;

#[derive(Debug, Default)]
pub(super) struct Orphans {
    by_time: BTreeSet<(Moment, Name)>,
    by_loss: BTreeMap<Loss, BTreeMap<Name, Moment>>,
    clock: WatchedTime,
}

/// The node whose registrations were lost, and the revision at which they were.
type Loss = (NodeId, u64);

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
        self.by_time.len()
    }

    /// Adds one that is given up after so many milliseconds.
    pub(super) fn add(&mut self, name: &Name, known: &Known, after_ms: u64, now: Moment) {
        let until = self.clock.at(now).plus_millis(after_ms);
        self.insert(name, known, until);
    }

    /// It has come back, or is gone.
    pub(super) fn remove(&mut self, name: &Name, known: &Known) -> Option<Moment> {
        let of_loss = self.by_loss.get_mut(&loss(known))?;
        let until = of_loss.remove(name)?;
        if of_loss.is_empty() {
            self.by_loss.remove(&loss(known));
        }
        self.by_time.remove(&(until, name.clone()));
        Some(until)
    }

    /// What is known of its loss has changed.
    pub(super) fn update(&mut self, name: &Name, before: &Known, known: &Known) {
        if loss(before) != loss(known)
            && let Some(until) = self.remove(name, before)
        {
            self.insert(name, known, until);
        }
    }

    fn insert(&mut self, name: &Name, known: &Known, until: Moment) {
        self.by_time.insert((until, name.clone()));
        let of_loss = self.by_loss.entry(loss(known)).or_default();
        of_loss.insert(name.clone(), until);
    }

    /// The next one whose time is over.
    pub(super) fn due(&self, now: Moment) -> Option<Name> {
        self.clock.from?;
        let (until, name) = self.by_time.first()?;
        (*until <= self.clock.at(now)).then(|| name.clone())
    }

    /// When the time of the next one is over.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let (until, _) = self.by_time.first()?;
        let left_ms = until.as_millis().saturating_sub(self.clock.before_ms);
        self.clock.from.map(|from| from.plus_millis(left_ms))
    }

    /// One that this node has lost at this revision or before.
    pub(super) fn lost_by(&self, node: NodeId, revision: u64) -> Option<Name> {
        let mut losses = self.by_loss.range((node, 0)..=(node, revision));
        let (_, of_loss) = losses.next()?;
        of_loss.keys().next().cloned()
    }
}

fn loss(known: &Known) -> Loss {
    (known.node, known.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::KeyId;
    use uuid::Uuid;

    fn name(number: u128) -> Name {
        Name {
            service_type: "hive".into(),
            id: KeyId::of(&Uuid::from_u128(number)),
        }
    }

    fn lost(node: u64, revision: u64) -> Known {
        Known {
            node: NodeId(node),
            revision,
            ..Known::default()
        }
    }

    #[test]
    fn no_orphan_is_given_up_while_nobody_watches() {
        let at = Moment::from_millis;
        let (name, known) = (name(1), lost(1, 1));
        let mut orphans = Orphans::default();
        orphans.start(at(1_000));
        orphans.add(&name, &known, 3_000, at(2_000));
        assert_eq!(orphans.next_due(), Some(at(5_000)));
        orphans.stop(at(4_000));
        assert_eq!((orphans.next_due(), orphans.due(at(90_000))), (None, None));
        orphans.start(at(100_000));
        assert_eq!(orphans.next_due(), Some(at(101_000)));
        assert_eq!(orphans.due(at(100_999)), None);
        assert_eq!(orphans.due(at(101_000)), Some(name.clone()));
        assert_eq!(orphans.remove(&name, &known), Some(at(4_000)));
        assert_eq!((orphans.due(at(101_000)), orphans.len()), (None, 0));
    }

    #[test]
    fn what_a_node_has_lost_is_found_by_the_revision_of_its_loss() {
        let now = Moment::START;
        let mut orphans = Orphans::default();
        orphans.add(&name(1), &lost(1, 10), 0, now);
        orphans.add(&name(2), &lost(1, 20), 0, now);
        orphans.add(&name(3), &lost(2, 10), 0, now);
        assert_eq!(orphans.lost_by(NodeId(1), 9), None);
        assert_eq!(orphans.lost_by(NodeId(1), 10), Some(name(1)));
        orphans.update(&name(1), &lost(1, 10), &lost(1, 30));
        assert_eq!(orphans.lost_by(NodeId(1), 19), None);
        assert_eq!(orphans.lost_by(NodeId(1), 30), Some(name(2)));
        orphans.remove(&name(2), &lost(1, 20));
        assert_eq!(orphans.lost_by(NodeId(1), 30), Some(name(1)));
        assert_eq!(orphans.len(), 2);
    }
}
