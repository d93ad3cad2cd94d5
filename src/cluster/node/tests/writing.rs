//! What a node writes, and when.

use super::*;
use crate::limits::{CLUSTER_FOREIGN_REMOVALS_MAX, CLUSTER_LEASE_KEYS_MAX, ETCD_WRITES_MAX};

#[test]
fn a_node_names_the_cluster_marks_its_lease_and_says_that_it_is_ready_behind_what_it_owns() {
    let mut rig = Rig::new();
    rig.register(1);
    let [first, second] = &rig.write_all()[..] else {
        panic!("two transactions");
    };
    let node = "/d/v1/node/0000000000000001";
    let marker = "/d/v1/lease/0000000000000001/0000000000000064";
    let registration = format!("/d/v1/reg/hive/{}", name(1).id);
    assert_eq!(keys(first), ["/d/v1/cluster", marker, node, &registration]);
    assert_eq!(leases(first), [0, 100, 100, 100]);
    assert_eq!(keys(second), [node]);
    let states = [&first[2], &second[0]].map(|write| match &write.change {
        Change::Put { value, .. } => String::from_utf8_lossy(value).into_owned(),
        Change::Delete => "none".to_owned(),
    });
    assert!(states[0].contains(r#""state":"putting""#), "{states:?}");
    assert!(states[1].contains(r#""state":"ready""#), "{states:?}");
    assert_eq!(second[0].guard, 2);
    assert!(rig.node.is_settled());

    rig.node.leave();
    let [last] = &rig.write_all()[..] else {
        panic!("one transaction");
    };
    assert!(matches!(&last[0].change, Change::Put { value, .. }
        if String::from_utf8_lossy(value).contains("leaving")));
}

#[test]
fn a_transaction_has_its_bound_and_small_ones_are_apart() {
    let mut rig = Rig::new();
    rig.write_all();
    for number in 0..1_000 {
        rig.register(number);
    }
    let all = rig.write_all();
    assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 1_000);
    assert!(all.iter().all(|writes| writes.len() <= ETCD_WRITES_MAX));
    assert_eq!(all.len(), 9);

    rig.register(1_001);
    assert_eq!(rig.written().len(), 1);
    rig.register(1_002);
    assert_eq!(rig.next_call(), None, "it waits for more");
    let due = rig.now.plus_millis(CLUSTER_WRITES_APART_MS);
    assert_eq!(rig.node.next_due(), Some(due));
    for number in 2_000..2_200 {
        rig.register(number);
    }
    assert!(rig.written().len() > 100, "a full one does not wait");
}

#[test]
fn no_lease_has_more_than_its_bound_and_what_goes_makes_room() {
    let mut rig = Rig::new();
    let count = CLUSTER_LEASE_KEYS_MAX as u128;
    for number in 0..count + 100 {
        rig.register(number);
    }
    let all = rig.write_all();
    let under = |lease| {
        all.iter()
            .flat_map(|writes| leases(writes))
            .filter(move |&l| l == lease)
    };
    // Beside the registrations: its marker, and what the node says of itself twice.
    assert_eq!(under(100).count(), CLUSTER_LEASE_KEYS_MAX + 2);
    assert_eq!(under(101).count(), 100 + 2);
    rig.registry.0.remove(&name(0));
    rig.node.removed(&name(0), Reason::Expired, rig.now);
    rig.register(count + 100);
    let last = rig.write_all().concat();
    assert_eq!(leases(&last), [100], "there is room again");
}

#[test]
fn a_lease_that_etcd_does_not_know_is_replaced_and_all_is_written_again() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.register(1);
    assert!(matches!(rig.next_call(), Some(Call::Apply(_))));
    rig.report(failure(5));
    assert_eq!(
        rig.node.next_lease_command(),
        Some(LeaseCommand::LetGo(100))
    );
    rig.pass(CLUSTER_WRITES_APART_MS);
    let all = rig.write_all().concat();
    assert!(keys(&all).contains(&format!("/d/v1/reg/hive/{}", name(1).id)));
}

#[test]
fn what_etcd_refuses_is_tried_again_after_a_pause() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.register(1);
    assert!(matches!(rig.next_call(), Some(Call::Apply(_))));
    rig.report(failure(8));
    rig.pass(999);
    assert_eq!(rig.next_call(), None);
    rig.pass(1);
    assert_eq!(rig.written().len(), 1);
    assert!(rig.node.is_settled());
}

#[test]
fn who_takes_a_place_is_written_together_with_the_end_of_the_one_before() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.put(1, record(OTHER).value());
    assert_eq!(rig.news(), [News::Replica(name(1), record(OTHER))]);
    // Also where a transaction ends just there.
    for number in 100..100 + (ETCD_WRITES_MAX - 5) as u128 {
        rig.register(number);
    }
    rig.registry.0.insert(name(2), owned());
    rig.node.took_place(&name(1), &name(2), 8, 30_000, rig.now);
    let writes = rig.written();
    let of = |number| {
        let key = rig.node.config.layout.registration(&name(number));
        writes.iter().find(|write| write.key == key)
    };
    let before = of(1).expect("it goes");
    assert_eq!((before.guard, &before.change), (2 + 1, &Change::Delete));
    assert!(of(2).is_some(), "it comes");
    assert!(rig.node.is_settled());
}

#[test]
fn what_is_removed_and_registered_again_before_it_is_written_is_written_once() {
    let mut rig = Rig::new();
    rig.write_all();
    rig.register(1);
    rig.registry.0.remove(&name(1));
    rig.node.removed(&name(1), Reason::Deregistered, rig.now);
    rig.register(1);
    let all = rig.write_all();
    assert_eq!(
        keys(&all.concat()),
        [format!("/d/v1/reg/hive/{}", name(1).id)]
    );
}

#[test]
fn removals_of_what_others_own_are_bounded_and_one_that_is_done_makes_room() {
    let mut rig = Rig::new();
    rig.write_all();
    let remove = |rig: &mut Rig, number| {
        rig.put(number, record(OTHER).value());
        rig.node
            .removed(&name(number), Reason::Deregistered, rig.now);
    };
    for number in 1..CLUSTER_FOREIGN_REMOVALS_MAX as u128 {
        remove(&mut rig, number);
    }
    assert!(rig.node.has_room_for_removal());
    remove(&mut rig, 0);
    assert!(!rig.node.has_room_for_removal());
    // One that this node owns needs no room.
    rig.register(CLUSTER_FOREIGN_REMOVALS_MAX as u128);
    rig.node.removed(
        &name(CLUSTER_FOREIGN_REMOVALS_MAX as u128),
        Reason::Deregistered,
        rig.now,
    );
    rig.revision += 1;
    rig.remove(rig.node.config.layout.registration(&name(1)));
    assert!(rig.node.has_room_for_removal());
    rig.registry.0.insert(name(2), owned());
    rig.node.registered(&name(2), 8, 30_000);
    remove(&mut rig, 1);
    assert!(rig.node.has_room_for_removal(), "it is registered again");
}
