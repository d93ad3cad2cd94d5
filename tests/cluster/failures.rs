//! The failure table of clusters: what is seen when what fails. Each test runs with several seeds, which
//! differ in the delays.

use std::collections::BTreeSet;

use discovery_service::cluster::{Name, NodeState};

use crate::etcd::Etcd;
use crate::face::{Face, GRACE_MS, LEASE_S};
use crate::world::{State, TTL_MS, Weather, World};

const TTL: u64 = TTL_MS as u64;
const LEASE_MS: u64 = LEASE_S * 1_000;
const SEEDS: u64 = 20;
/// Milliseconds of a message from one node to another, with a connection that must be made anew.
const HEAL_MS: u64 = 2_000;

/// Three nodes with two services each, all known everywhere.
fn for_each_world(test: impl Fn(&mut World)) {
    for_each_world_of(SEEDS, test);
}

/// Likewise with fewer seeds, where much time passes.
fn for_each_world_of(seeds: u64, test: impl Fn(&mut World)) {
    for seed in 0..seeds {
        let mut world = World::new(seed, 3, Weather::Chosen);
        for home in [0, 1, 2, 0, 1, 2] {
            world.begin_service_at(home);
        }
        world.pass(6_000);
        world.check_end();
        test(&mut world);
    }
}

/// Nobody was told that anything is gone, and all is as it should.
fn nothing_was_seen(world: &World) {
    assert_eq!(world.downs, [], "nobody was told of anything");
    world.check_end();
}

/// Who was told that this service is gone.
fn told_of(world: &World, service: usize) -> BTreeSet<usize> {
    let name = &world.services[service].name;
    let of = world.downs.iter().filter(|(_, _, other)| other == name);
    of.map(|(_, node, _)| *node).collect()
}

/// The key of this service.
fn key_of(world: &World, service: usize) -> Vec<u8> {
    let id = world.services[service].name.id.to_string();
    let is_it = |key: &&Vec<u8>| key.ends_with(id.as_bytes());
    world
        .etcd
        .keys
        .keys()
        .find(is_it)
        .cloned()
        .expect("it is there")
}

fn owners(world: &World, name: &Name) -> Vec<usize> {
    let owns = |at: &usize| {
        let face = world.faces[*at].as_ref();
        face.is_some_and(|face| face.registry.own.contains_key(name))
    };
    (0..world.faces.len()).filter(owns).collect()
}

#[test]
fn row_61_of_a_node_that_dies_what_moves_stays_and_the_rest_goes() {
    for_each_world(|world| {
        world.services[3].state = State::Silent;
        let heard = world.now;
        world.kill(0, u64::MAX);
        world.pass(LEASE_MS + TTL + GRACE_MS);
        assert_eq!(told_of(world, 0), [].into(), "it has moved in time");
        assert_eq!(told_of(world, 3), [1, 2].into());
        for (at, node, _) in &world.downs {
            let after_ms = at - heard;
            let in_time = LEASE_MS - 2_000..=LEASE_MS + GRACE_MS + 500;
            assert!(
                in_time.contains(&after_ms),
                "node {node}, after {after_ms} ms"
            );
        }
    });
}

#[test]
fn row_61_a_node_that_is_suspended_for_less_than_its_lease_is_not_missed() {
    for_each_world(|world| {
        world.suspend(0, world.now + LEASE_MS - 2_000);
        world.pass(20_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_a_node_that_wakes_after_its_services_have_moved_yields_all_of_them() {
    for_each_world(|world| {
        let until = world.now + 4 * LEASE_MS;
        world.suspend(0, until);
        world.pass(4 * LEASE_MS + HEAL_MS);
        for service in [0, 3] {
            let name = world.services[service].name.clone();
            assert!(!owners(world, &name).contains(&0), "{name:?} has moved");
        }
        world.pass(10_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_what_stays_away_with_a_suspended_node_goes_and_comes_back_with_it() {
    for_each_world(|world| {
        for service in [0, 3] {
            world.services[service].state = State::Silent;
        }
        world.suspend(0, world.now + 3 * LEASE_MS);
        world.pass(3 * LEASE_MS - 100);
        assert_eq!(told_of(world, 0), [1, 2].into());
        for service in [0, 3] {
            world.services[service].state = State::Live;
        }
        world.pass(HEAL_MS + TTL);
        world.check_end();
    });
}

#[test]
fn row_61_a_node_that_is_cut_for_less_than_lease_and_grace_is_not_missed() {
    for_each_world(|world| {
        // Its lease was prolonged 1.5 s before at the earliest.
        world.cut(0, world.now + LEASE_MS + GRACE_MS - 1_500 - HEAL_MS);
        world.pass(20_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_what_stays_with_a_node_that_is_cut_goes_elsewhere_and_is_back_at_once() {
    for_each_world(|world| {
        let healed = world.now + 3 * LEASE_MS;
        world.cut(0, healed);
        world.pass(3 * LEASE_MS);
        assert_eq!(told_of(world, 0), [1, 2].into());
        assert_eq!(told_of(world, 1), [].into(), "at it, all others stay");
        world.pass(HEAL_MS);
        world.check_end();
    });
}

#[test]
fn row_61_a_node_that_was_cut_does_not_take_back_what_has_moved() {
    for_each_world(|world| {
        world.cut(0, world.now + TTL / 2 + 200);
        if let Some(face) = &mut world.faces[0] {
            face.link.noticed_ms = 1_000;
        }
        let service = &mut world.services[0];
        (service.home, service.beat_at) = (1, world.now + 200);
        world.pass(20_000);
        // At node 0 its time may have been over before.
        assert!(told_of(world, 0).is_subset(&[0].into()));
        world.check_end();
    });
}

#[test]
fn row_61_what_has_moved_away_and_back_while_its_node_was_cut_stays_there() {
    for_each_world(|world| {
        world.cut(0, world.now + TTL + 2_000);
        let service = &mut world.services[0];
        (service.home, service.beat_at) = (1, world.now + 200);
        world.pass(500);
        let service = &mut world.services[0];
        (service.home, service.beat_at) = (0, world.now + 200);
        world.pass(TTL + 2_000 + HEAL_MS);
        // Node 1 has heard of it no more, and nobody could tell it why.
        assert_eq!(told_of(world, 0), [1, 2].into());
        world.check_end();
    });
}

#[test]
fn row_61_while_all_nodes_are_cut_nothing_goes_and_no_herd_of_removals_follows() {
    for_each_world(|world| {
        let healed = world.now + 60_000;
        for node in 0..3 {
            world.cut(node, healed);
        }
        world.pass(30_000);
        world.begin_service_at(1);
        world.pass(40_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_while_etcd_is_away_nothing_goes_and_what_is_made_appears_when_it_is_back() {
    for away_ms in [3_000, 20_000, 600_000] {
        for_each_world(|world| {
            world.stop_etcd(world.now + away_ms);
            world.begin_service_at(2);
            world.pass(away_ms + HEAL_MS + TTL / 3);
            nothing_was_seen(world);
        });
    }
}

#[test]
fn row_61_while_etcd_is_full_nothing_goes_but_what_is_removed() {
    for_each_world(|world| {
        world.etcd.is_full = true;
        world.begin_service_at(1);
        world.deregister_at(0, 0);
        world.pass(TTL);
        let node = |world: &World, at: usize| {
            let face = world.faces[at].as_ref().expect("it lives");
            (face.node.is_full(), face.node.is_settled())
        };
        assert_eq!(node(world, 1), (true, false), "it waits");
        assert_eq!(told_of(world, 0), [0, 1, 2].into());
        world.etcd.is_full = false;
        world.pass(HEAL_MS);
        assert_eq!(node(world, 1), (false, true));
        assert_eq!(world.downs.len(), 3);
        world.check_end();
    });
}

#[test]
fn row_61_leases_that_are_lost_remove_nothing() {
    for_each_world(|world| {
        world.etcd.revoke_all();
        world.pass(20_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_what_comes_back_while_a_node_is_cut_is_not_given_up_when_it_returns() {
    for_each_world(|world| {
        // The lease of node 0, while node 2 is cut.
        let pair = world.etcd.keys.get(&key_of(world, 0));
        let lease = pair.expect("it is there").lease;
        world.etcd.revoke(lease);
        let misses = |world: &World| {
            let face = world.faces[2].as_ref();
            face.is_some_and(|face| face.node.orphans_len() > 0)
        };
        for _ in 0..30 {
            if !misses(world) {
                world.pass(10);
            }
        }
        if let Some(face) = &mut world.faces[2] {
            face.link.noticed_ms = GRACE_MS - 30;
        }
        world.cut(2, world.now + GRACE_MS + 500);
        world.pass(20_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_what_somebody_deletes_as_a_whole_heals_and_one_key_goes() {
    for_each_world(|world| {
        world.etcd.delete_all();
        world.pass(1_000);
        world.check_end();
        world.pass(20_000);
        nothing_was_seen(world);

        let key = key_of(world, 0);
        world.services[0].state = State::Silent;
        world.etcd.delete_one(&key);
        world.pass(500);
        assert_eq!(told_of(world, 0), [0, 1, 2].into());
        world.check_end();
    });
}

#[test]
fn row_61_an_etcd_that_was_wiped_is_filled_again_and_new_nodes_wait() {
    for_each_world(|world| {
        world.kill(2, world.now + 500);
        world.stop_etcd(world.now + 5_000);
        world.etcd.wipe();
        world.etcd.is_up = false;
        world.pass(4_000);
        let new = world.faces[2].as_ref().expect("it is new");
        assert!(!new.node.is_loaded(), "it does not know what lives");
        world.pass(20_000);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_an_etcd_that_was_restored_brings_nothing_back_for_longer_than_a_lease() {
    for_each_world(|world| {
        world.back_up();
        // One is deregistered and one has moved since then.
        world.deregister_at(0, 1);
        world.services[1].home = 2;
        world.pass(10_000);
        assert_eq!(told_of(world, 0), [0, 1, 2].into());
        world.downs.clear();
        world.restore();
        world.pass(LEASE_MS);
        for service in 1..6 {
            assert_eq!(told_of(world, service), [].into(), "it lives");
        }
        world.check_end();
    });
}

#[test]
fn row_61_what_is_deregistered_elsewhere_is_gone_everywhere_at_once_and_stays_gone() {
    for_each_world(|world| {
        world.deregister_at(0, 1);
        world.pass(500);
        assert_eq!(told_of(world, 0), [0, 1, 2].into());
        world.check_end();
        // Also where its owner has lost its lease, and puts all again.
        world.etcd.revoke_all();
        world.deregister_at(3, 2);
        world.pass(1_000);
        assert_eq!(told_of(world, 3), [0, 1, 2].into());
        world.pass(20_000);
        world.check_end();
    });
}

#[test]
fn row_61_an_expiry_that_meets_a_heartbeat_elsewhere_is_told_once_at_most() {
    for ahead_ms in [0, 20, 50, 400] {
        for_each_world(|world| {
            let service = &mut world.services[0];
            // Node 0 has heard of it last less than a third of the TTL ago.
            service.home = 1;
            service.beat_at += 2 * TTL / 3 - ahead_ms;
            world.pass(20_000);
            let times = world.downs.len();
            assert!(
                times <= 3 && (ahead_ms < 400 || times == 0),
                "{times} times"
            );
            let is_told_who_heard = ahead_ms > 0 && told_of(world, 0).contains(&1);
            assert!(!is_told_who_heard, "node 1 has heard of it first");
            world.check_end();
        });
    }
}

#[test]
fn row_61_a_service_that_alternates_between_two_nodes_is_taken_over_and_never_gone() {
    for_each_world(|world| {
        let before = world.etcd.revision;
        for beat in 0..30 {
            world.services[0].home = beat % 2;
            world.pass(TTL / 3);
        }
        world.pass(TTL);
        let written = world.etcd.revision - before;
        assert!(written <= 32, "{written} takeovers of 30 heartbeats");
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_a_watch_that_is_behind_a_compaction_loads_once_and_removes_nothing() {
    for_each_world(|world| {
        world.cut(0, world.now + 7_000);
        world.pass(100);
        world.begin_service_at(1);
        world.pass(3_000);
        world.etcd.compact();
        world.pass(20_000);
        let face = world.faces[0].as_ref().expect("it lives");
        let loads = face.log.iter().filter(|(_, line)| line == "LoadBegins");
        assert_eq!(loads.count(), 2, "at first, and behind the compaction");
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_a_change_that_is_not_told_is_noticed_within_two_hours() {
    const HOURS_MS: u64 = 2 * 3_600_000;
    for_each_world_of(2, |world| {
        world.pass(1_000);
        // One node is not told of one that comes, another one not of one that goes.
        world.lose_change(0);
        world.begin_service_at(1);
        world.pass(TTL / 2);
        world.lose_change(1);
        world.deregister_at(0, 0);
        world.pass(1_000);
        let has = |world: &World, node: usize, service: usize| {
            let face = world.faces[node].as_ref().expect("it lives");
            face.has(&world.services[service].name)
        };
        assert!(!has(world, 0, 6) && has(world, 1, 0));
        // All is compacted, and nothing else changes.
        world.etcd.compact();
        world.pass(HOURS_MS);
        assert!(has(world, 0, 6) && !has(world, 1, 0));
        world.check_end();
    });
}

#[test]
fn row_61_holders_of_a_node_that_stops_hold_elsewhere_and_nobody_sees_them_gone_or_twice() {
    for_each_world(|world| {
        for home in [0, 0, 1] {
            world.begin_held_at(home);
        }
        world.pass(TTL);
        world.check_end();
        if let Some(face) = &mut world.faces[0] {
            face.node.leave();
        }
        world.pass(500);
        let is_leaving = |face: &Face| {
            let mut nodes = face.node.nodes();
            nodes.any(|(_, state)| state == NodeState::Leaving)
        };
        assert!(world.faces.iter().flatten().all(is_leaving));
        world.kill(0, world.now + 2 * LEASE_MS);
        for _ in 0..(LEASE_MS + TTL + GRACE_MS) / 10 {
            world.pass(10);
            for service in &world.services[6..] {
                for face in world.faces.iter().flatten() {
                    let times = face.times(&service.name.service_type, service.address);
                    assert!(times <= 1, "at {}: {times} times", world.now);
                }
            }
        }
        world.pass(LEASE_MS);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_a_hold_that_moves_takes_its_place_and_its_node_drops_it_when_it_is_back() {
    for_each_world(|world| {
        world.begin_held_at(0);
        world.pass(TTL);
        let before = world.services[6].name.clone();
        // Node 0 cannot tell of the connection that ends.
        world.cut(0, world.now + 4_000);
        world.services[6].home = 1;
        world.pass(TTL);
        assert_ne!(world.services[6].name, before);
        assert_eq!(told_of(world, 6), [].into());
        let of_before = world.downs.iter().filter(|(_, _, name)| *name == before);
        assert!(
            of_before.clone().all(|(_, node, _)| *node == 0),
            "{:?}",
            world.downs
        );
        world.check_end();
    });
}

#[test]
fn row_61_a_leader_that_dies_leaves_calls_of_which_nobody_knows_and_nothing_is_missed() {
    for_each_world(|world| {
        for face in world.faces.iter_mut().flatten() {
            face.link.late_percent = 100;
        }
        world.begin_service_at(2);
        world.pass(3_000);
        world.stop_etcd(world.now + 2_000);
        for face in world.faces.iter_mut().flatten() {
            face.link.late_percent = 0;
        }
        world.pass(2_000 + HEAL_MS);
        world.check_end();
        world.pass(TTL);
        nothing_was_seen(world);
    });
}

#[test]
fn row_61_a_watch_that_hears_nothing_is_noticed_and_all_it_has_missed_is_told() {
    for_each_world(|world| {
        if let Some(face) = &mut world.faces[0] {
            face.link.deaf_since = Some(world.now);
        }
        world.begin_service_at(1);
        world.services[1].home = 2;
        world.deregister_at(2, 1);
        world.pass(9_000);
        assert_eq!(told_of(world, 2), [1, 2].into(), "it has not heard");
        world.pass(1_000 + HEAL_MS);
        assert_eq!(told_of(world, 2), [0, 1, 2].into());
        assert_eq!(world.downs.len(), 3, "{:?}", world.downs);
        world.check_end();
    });
}

#[test]
fn row_61_another_etcd_that_answers_for_a_while_removes_nothing() {
    for_each_world(|world| {
        let mut other = Etcd::new();
        other.history = 1_000;
        world.exchange_etcd(&mut other);
        world.begin_service_at(1);
        world.pass(8_000);
        world.check_end();
        world.exchange_etcd(&mut other);
        world.pass(20_000);
        nothing_was_seen(world);
    });
}
