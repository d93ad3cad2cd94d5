//! What one turn does of what concerns all registrations, and what comes in between.

use super::*;
use crate::limits::{CLUSTER_CHUNK_LEN_MAX, TURN_ORPHANS_MAX, TURN_QUEUED_MAX, TURN_WALKED_MAX};

const MANY: u128 = 100_000;
/// Registrations that one turn may look at.
const SLICE: usize = TURN_WALKED_MAX + CLUSTER_CHUNK_LEN_MAX;

impl Rig {
    fn with_replicas(numbers: std::ops::Range<u128>) -> Self {
        let mut rig = Rig::new();
        rig.write_all();
        for number in numbers {
            rig.put(number, record(OTHER).value());
        }
        rig.news();
        rig
    }

    fn with_own(numbers: std::ops::Range<u128>) -> Self {
        let mut rig = Rig::new();
        numbers.for_each(|number| rig.register(number));
        rig.write_all();
        rig
    }

    /// A load that tells of no key.
    fn load_nothing(&mut self) {
        self.revision += 1;
        self.report(Report::LoadBegins);
        self.report(Report::LoadEnds(self.revision));
        self.report(Report::Watching);
    }

    /// Looks as often as something is due at once. Returns how often, and checks that `count` grows by a
    /// slice at most each time.
    fn look_on(&mut self, slice: usize, count: impl Fn(&mut Self) -> usize) -> usize {
        let mut before = count(self);
        assert!(before <= slice, "the report did {before}");
        let mut times = 0;
        while self.node.has_slices() {
            assert_eq!(self.node.next_due(), Some(Moment::START));
            self.node.look(self.now);
            let after = count(self);
            assert!(after - before <= slice, "one look did {}", after - before);
            (before, times) = (after, times + 1);
        }
        times
    }
}

#[test]
fn row_61_one_turn_gives_up_a_slice_of_what_a_load_does_not_tell() {
    let mut rig = Rig::with_replicas(0..MANY);
    rig.load_nothing();
    assert!(rig.node.is_loaded() && !rig.node.is_settled());
    let times = rig.look_on(SLICE, |rig| rig.node.orphans_len());
    assert!(times >= MANY as usize / SLICE - 1, "{times} looks");
    assert_eq!(rig.node.orphans_len(), MANY as usize);

    rig.say_ready(OTHER, rig.revision);
    let told = std::cell::Cell::new(0);
    let times = rig.look_on(TURN_ORPHANS_MAX, |rig| {
        told.set(told.get() + rig.news().len());
        told.get()
    });
    assert!(times >= MANY as usize / TURN_ORPHANS_MAX - 1);
    assert_eq!((told.get(), rig.node.orphans_len()), (MANY as usize, 0));
}

#[test]
fn row_61_one_turn_writes_a_slice_again_of_what_another_history_does_not_have() {
    let mut rig = Rig::with_own(0..MANY);
    rig.report(Report::OtherHistory);
    assert!(rig.node.queue.is_empty());
    rig.load_nothing();
    let times = rig.look_on(SLICE, |rig| rig.node.queue.len());
    assert!(times >= MANY as usize / SLICE - 1, "{times} looks");
    assert_eq!(rig.node.queue.len(), MANY as usize);
    while rig.node.next_lease_command().is_some() {}
    let puts = rig.write_all().concat();
    let of_registrations = puts.iter().filter(|write| {
        assert!(write.guard < 2 || write.key.starts_with(b"/d/v1/node/"));
        write.key.starts_with(b"/d/v1/reg/")
    });
    assert_eq!(of_registrations.count(), MANY as usize);
}

#[test]
fn one_turn_sorts_out_a_slice_of_what_a_full_etcd_can_remove() {
    let mut rig = Rig::with_own(0..MANY);
    for number in 0..MANY {
        rig.registry.0.remove(&name(number));
        rig.node
            .removed(&name(number), Reason::Deregistered, rig.now);
    }
    rig.pass(CLUSTER_WRITES_APART_MS);
    assert!(matches!(rig.next_call(), Some(Call::Apply(_))));
    rig.report(failure(8));
    assert!(rig.node.is_full());
    let times = rig.look_on(TURN_QUEUED_MAX, |rig| rig.node.removals.len());
    assert!(times >= MANY as usize / TURN_QUEUED_MAX, "{times} looks");
    for _ in 0..MANY {
        assert!(matches!(rig.next_call(), Some(Call::Remove(_))));
        rig.revision += 1;
        rig.report(Report::Answered(Answer::Removed(rig.revision)));
    }
    assert!(rig.node.is_settled());
}

/// The last names of these, to which a walk comes late.
fn last_names(numbers: std::ops::Range<u128>) -> Vec<(Name, u128)> {
    let mut all: Vec<(Name, u128)> = numbers.map(|number| (name(number), number)).collect();
    all.sort_unstable();
    all.split_off(all.len() - 4)
}

#[test]
fn what_happens_while_a_walk_is_under_way_follows_the_load() {
    const NUMBERS: std::ops::Range<u128> = 0..5_000;
    let mut rig = Rig::with_replicas(NUMBERS);
    let last = last_names(NUMBERS);
    rig.load_nothing();
    // The load has not told these, and the walk has not come to them.
    assert!(rig.node.orphans_len() <= SLICE);
    rig.put(last[0].1, record(OTHER).value());
    rig.registry.0.insert(last[1].0.clone(), owned());
    rig.node.took_over(&last[1].0);
    rig.node.removed(&last[2].0, Reason::Deregistered, rig.now);
    rig.registry.0.insert(last[3].0.clone(), owned());
    rig.node.registered(&last[3].0, 8, 30_000);
    rig.pass(CLUSTER_WRITES_APART_MS);
    let writes = rig.written();
    let of_registrations = writes
        .iter()
        .filter(|write| write.key.starts_with(b"/d/v1/reg/"));
    let guards: Vec<u64> = of_registrations.map(|write| write.guard).collect();
    assert_eq!(
        guards,
        [0, 0],
        "what was taken over and registered is absent"
    );
    let mut states = writes.iter().filter_map(|write| match &write.change {
        Change::Put { value, .. } => Some(String::from_utf8_lossy(value).into_owned()),
        Change::Delete => None,
    });
    let is_ready = |value: String| value.contains(r#""state":"ready""#);
    assert!(!states.any(is_ready), "it is not ready");

    rig.look_on(MANY as usize, |rig| rig.node.orphans_len());
    assert_eq!(rig.node.orphans_len(), 5_000 - 4);
    let owners = last.iter().map(|(name, _)| rig.node.owner(name));
    let owners: Vec<Option<NodeId>> = owners.collect();
    assert_eq!(owners, [Some(OTHER), Some(ME), None, Some(ME)]);
    rig.write_all();
    assert!(rig.node.is_settled());
}

#[test]
fn who_had_not_seen_what_a_load_shows_ends_no_wait_while_a_walk_is_under_way() {
    let numbers: Vec<u128> = (0..5_000).collect();
    let mut rig = Rig::with_replicas(0..5_000);
    rig.lose_lease_of(OTHER, &numbers);
    let seen = rig.revision;
    assert_eq!(rig.node.orphans_len(), 5_000);
    rig.load_nothing();
    assert!(rig.node.has_slices());
    rig.say_ready(OTHER, seen);
    rig.look_on(MANY as usize, |rig| rig.node.orphans_len());
    assert_eq!(rig.news(), []);
    assert_eq!(rig.node.orphans_len(), 5_000);
}
