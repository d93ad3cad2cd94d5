//! What the node does where it knows of another number of keys than etcd has.

use super::*;
use crate::limits::CLUSTER_CHECK_MS;

/// The longest time between two checks.
const CHECK_MS: u64 = CLUSTER_CHECK_MS + CLUSTER_CHECK_MS / 2;

impl Rig {
    /// The revision and the number of the next check, if it is due.
    fn checked(&mut self) -> Option<(u64, u64)> {
        match self.next_call() {
            Some(Call::Count(count)) => Some((count.revision, count.expected)),
            _ => None,
        }
    }

    fn end_line(&mut self) {
        self.report(Report::LineEnds(self.revision));
    }
}

#[test]
fn each_hour_the_keys_are_counted_as_of_the_end_of_a_line() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.register(1);
    rig.put(2, record(OTHER).value());
    rig.write_all();
    assert_eq!(rig.node.next_due(), None, "its own write was not told");
    rig.end_line();
    let due = rig.node.next_due().expect("a check");
    let after_ms = due.millis_since(rig.now);
    assert!((CLUSTER_CHECK_MS / 2 - 1_000..=CHECK_MS).contains(&after_ms));

    rig.pass(CHECK_MS);
    rig.put(3, record(OTHER).value());
    assert_eq!(rig.checked(), None, "the line goes on");
    rig.end_line();
    assert_eq!(rig.checked(), Some((rig.revision, 3)));
    rig.report(Report::Answered(Answer::Counted(3)));
    assert_eq!(rig.checked(), None);
    assert!(rig.node.next_due() > Some(rig.now));
}

#[test]
fn keys_of_strangers_are_expected_as_the_load_has_told_them() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.report(Report::LoadBegins);
    for key in ["reg/hive/x", "reg0", "other", "cluster"] {
        let key = format!("/d/v1/{key}").into_bytes();
        let value = br#"{"name":"default"}"#.to_vec();
        let mod_revision = 2;
        rig.report(Report::Loaded(KeyValue {
            key,
            value,
            mod_revision,
            ..KeyValue::default()
        }));
    }
    let key = rig.node.config.layout.registration(&name(1));
    let mod_revision = 2;
    rig.report(Report::Loaded(KeyValue {
        key,
        mod_revision,
        ..KeyValue::default()
    }));
    rig.report(Report::LoadEnds(10));
    rig.report(Report::Watching);
    rig.pass(CHECK_MS);
    assert_eq!(
        rig.checked(),
        Some((10, 2)),
        "a foreign key, and a value that is none"
    );
}

#[test]
fn where_the_revision_was_compacted_the_node_writes_its_own_key_and_counts_again() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.end_line();
    rig.pass(CHECK_MS);
    assert_eq!(rig.checked(), Some((rig.revision, 0)));
    rig.report(failure(11));
    assert_eq!(rig.written().len(), 1);
    rig.end_line();
    rig.pass(1_000);
    assert_eq!(rig.checked(), Some((rig.revision, 0)));
}

#[test]
fn what_a_failed_guard_has_told_before_a_load_does_not_count_in_it() {
    let mut rig = Rig::new();
    rig.register(1);
    rig.grant();
    rig.put(2, record(OTHER).value());
    rig.registry.0.insert(name(2), owned());
    rig.node.took_over(&name(2));
    rig.pass(CLUSTER_WRITES_APART_MS);
    let Some(Call::Apply(writes)) = rig.next_call() else {
        panic!("writes");
    };
    // The watch was behind a compaction, and the answer is from before the load.
    rig.report(Report::LoadBegins);
    let outcomes = writes.iter().map(|write| {
        let mut value = record(OTHER);
        value.since = 8;
        let key = write.key.clone();
        let pair = KeyValue {
            key,
            value: value.value(),
            mod_revision: 50,
            ..KeyValue::default()
        };
        match write.key.starts_with(b"/d/v1/reg/") {
            true => WriteOutcome::Found(Some(pair)),
            false => WriteOutcome::Done,
        }
    });
    let outcomes = outcomes.collect();
    rig.report(Report::Answered(Answer::Applied(60, outcomes)));
    rig.report(Report::LoadEnds(70));
    rig.report(Report::Watching);
    rig.revision = 70;
    let writes = rig.write_all().concat();
    let of_registrations = writes
        .iter()
        .filter(|write| write.key.starts_with(b"/d/v1/reg/"));
    assert!(of_registrations.clone().count() == 2);
    assert!(
        of_registrations.clone().all(|write| write.guard == 0),
        "they are absent"
    );
}
