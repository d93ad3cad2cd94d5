//! What a node makes of what etcd tells.

use super::*;

#[test]
fn a_cluster_of_another_name_is_told() {
    for (value, told) in [(r#"{"name":"other"}"#, "other"), ("?", "")] {
        let mut rig = Rig::new();
        rig.report(Report::Reached {
            member: ([127, 0, 0, 1], 2379).into(),
            version: "3.5.0".to_owned(),
            revision: 1,
            checked: Some(KeyValue {
                value: value.as_bytes().to_vec(),
                ..KeyValue::default()
            }),
        });
        assert_eq!(rig.news(), [News::OtherCluster(told.to_owned())]);
    }
}

#[test]
fn what_is_no_record_is_put_again_by_its_owner_and_left_out_by_others() {
    let mut rig = Rig::new();
    rig.register(1);
    rig.write_all();
    rig.put(2, record(OTHER).value());
    rig.news();
    rig.put(1, b"{}".to_vec());
    rig.put(2, b"?".to_vec());
    rig.put(3, b"".to_vec());
    assert_eq!(rig.news(), []);
    let again = rig.write_all().concat();
    let key = format!("/d/v1/reg/hive/{}", name(1).id);
    assert_eq!(keys(&again), [key]);
}

#[test]
fn what_a_lost_lease_removes_stays_for_the_grace_or_the_rest_of_its_ttl() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.pass(60_000);
    rig.put(1, record(OTHER).value());
    let short = Record {
        ttl_ms: 5_000,
        ..record(OTHER)
    };
    rig.put(2, short.value());
    rig.put(3, short.value());
    rig.news();
    rig.lose_lease_of(OTHER, &[1, 2, 3]);
    rig.pass(2_999);
    rig.put(3, short.value());
    rig.pass(1);
    let expired = |number| News::Gone(name(number), Reason::Expired);
    assert_eq!(rig.news(), [News::Replica(name(3), short), expired(2)]);
    rig.pass(30_000 - 15_000 - 3_000 - 1);
    assert_eq!(rig.news(), []);
    rig.pass(1);
    assert_eq!(rig.news(), [expired(1)]);
}

#[test]
fn what_a_node_that_is_ready_again_has_not_put_is_gone_at_once() {
    let mut rig = Rig::new();
    rig.write_all();
    for number in [1, 2] {
        rig.put(number, record(OTHER).value());
    }
    rig.lose_lease_of(OTHER, &[1, 2]);
    let lost_at = rig.revision;
    rig.put(1, record(OTHER).value());
    rig.news();
    rig.say_ready(OTHER, lost_at - 1);
    assert_eq!(rig.news(), [], "it had not seen the loss");
    rig.say_ready(OTHER, lost_at);
    assert_eq!(rig.news(), [News::Gone(name(2), Reason::Expired)]);
    assert_eq!(rig.node.orphans_len(), 0);
}

#[test]
fn what_is_removed_in_etcd_is_removed_here_and_what_was_taken_over_meanwhile_is_not() {
    let mut rig = Rig::new();
    rig.register(1);
    rig.write_all();
    rig.put(2, record(OTHER).value());
    rig.news();
    rig.registry.0.insert(name(2), owned());
    rig.node.took_over(&name(2));
    rig.revision += 1;
    for number in [1, 2] {
        rig.remove(rig.node.config.layout.registration(&name(number)));
    }
    assert_eq!(rig.news(), [News::Gone(name(1), Reason::Deregistered)]);
    rig.pass(CLUSTER_WRITES_APART_MS);
    let [write] = &rig.written()[..] else {
        panic!("one write");
    };
    assert_eq!(write.guard, 0);
    assert_eq!(rig.node.owner(&name(2)), Some(ME));
}

#[test]
fn what_a_load_does_not_tell_of_the_node_itself_is_written_again() {
    let mut rig = Rig::new();
    let before = rig.write_all().concat();
    for report in [
        Report::LoadBegins,
        Report::LoadEnds(rig.revision),
        Report::Watching,
    ] {
        rig.report(report);
    }
    let again = rig.write_all().concat();
    assert_eq!(keys(&before).len(), 3, "the cluster, the marker, the node");
    assert_eq!(keys(&again), keys(&before));
}
