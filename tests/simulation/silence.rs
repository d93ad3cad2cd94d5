//! Hosts that go dark, and peers that only read slowly: what TCP cannot tell apart by itself.

use discovery_service::limits::{OUTPUT_STALL_MS_MAX, WATCH_SILENCE_MS, WATCHER_DEATH_MS_MAX};

use crate::rig::{Rig, TTL_MS};

/// Lets time pass until the service has closed the client; returns how long that took.
fn passes_until_closed(rig: &mut Rig, client: usize, ms_max: u64) -> u64 {
    let begun = rig.now_ms;
    while !rig.is_closed(client) && rig.now_ms - begun <= ms_max {
        rig.pass(100);
    }
    rig.now_ms - begun
}

#[test]
fn row_49_a_dark_watcher_is_gone_in_45_s_and_a_dark_holder_in_one_ttl_whatever_is_under_way() {
    // The host goes dark at any time before and after the service has sent something.
    for step in 0..50 {
        let mut rig = Rig::new();
        let (watcher, holder, client) = (rig.connect(), rig.connect(), rig.connect());
        rig.ask(watcher, "watch hive");
        rig.ask(holder, "hold bee 10.0.0.1 80");
        rig.pass(step * WATCH_SILENCE_MS / 25);
        rig.settle();
        if step % 2 == 0 {
            rig.send(holder, b"ping\n");
        }
        rig.net.go_dark(watcher);
        rig.net.go_dark(holder);
        if step % 3 == 0 {
            rig.ask(client, "register hive 10.0.0.1 80 ttl=86400");
        }
        rig.turn();
        let holder_ms = passes_until_closed(&mut rig, holder, TTL_MS);
        assert!(holder_ms <= TTL_MS, "step {step}: {holder_ms} ms");
        let watcher_ms = holder_ms + passes_until_closed(&mut rig, watcher, WATCHER_DEATH_MS_MAX);
        assert!(
            watcher_ms <= WATCHER_DEATH_MS_MAX,
            "step {step}: {watcher_ms} ms"
        );
        assert_eq!(rig.ask(client, "query bee"), "[]\n");
    }
}

#[test]
fn row_49_a_dark_holder_is_gone_in_the_shortest_ttl_of_what_it_holds() {
    for (holds, ttl_ms) in [
        ("hold bee 10.0.0.1 80 ttl=5\n", 5_000),
        (
            "hold bee 10.0.0.1 80 ttl=5\nhold bee 10.0.0.1 81 ttl=9\n",
            5_000,
        ),
        (
            "hold bee 10.0.0.1 80\nping\nhold bee 10.0.0.1 81 ttl=7\n",
            7_000,
        ),
        // A longer one makes it no slower for what else it may hold.
        ("hold bee 10.0.0.1 80 ttl=86400\n", TTL_MS),
    ] {
        for sends in [false, true] {
            let mut rig = Rig::new();
            let holder = rig.connect();
            rig.ask(holder, holds);
            rig.pass(60_000);
            assert!(!rig.is_closed(holder), "{holds}: its host answers");
            if sends {
                rig.send(holder, b"ping\n");
            }
            rig.net.go_dark(holder);
            rig.turn();
            let ms = passes_until_closed(&mut rig, holder, ttl_ms);
            assert!(ms <= ttl_ms, "{holds}: {ms} ms");
        }
    }
}

#[test]
fn row_49_a_shorter_ttl_counts_from_the_hold_that_brings_it() {
    let mut rig = Rig::new();
    let holder = rig.connect();
    // The next look is planned for the usual time.
    rig.ask(holder, "hold bee 10.0.0.1 80");
    rig.send(holder, b"hold bee 10.0.0.1 81 ttl=2\n");
    rig.net.go_dark(holder);
    rig.turn();
    let ms = passes_until_closed(&mut rig, holder, TTL_MS);
    assert!(ms <= 3_000, "{ms} ms");
}

#[test]
fn row_49_who_acknowledges_a_closed_window_is_ended_by_nothing_but_an_unread_answer() {
    let mut rig = Rig::new();
    let (watcher, holder, client) = (rig.connect(), rig.connect(), rig.connect());
    rig.ask(watcher, "watch hive");
    rig.ask(holder, "hold bee 10.0.0.1 80");
    for slow in [watcher, holder] {
        rig.net.pipes[slow].window = 8;
        rig.net.pipes[slow].room = 1_000;
    }
    rig.send(client, b"register hive 10.0.0.1 80 ttl=86400\n");
    rig.send(holder, &b"ping\n".repeat(100));
    for _ in 0..10 {
        rig.turn();
    }
    let pending = [watcher, holder].map(|slow| rig.net.pipes[slow].unsent());
    assert!(pending.iter().all(|&len| len > 0), "{pending:?}");
    rig.pass(20 * WATCHER_DEATH_MS_MAX);
    for slow in [watcher, holder] {
        assert!(!rig.is_closed(slow), "client {slow}");
    }
    // The same windows on hosts that go dark.
    for (slow, ms_max) in [(holder, TTL_MS), (watcher, WATCHER_DEATH_MS_MAX)] {
        rig.net.go_dark(slow);
        let ms = passes_until_closed(&mut rig, slow, ms_max);
        assert!(ms <= ms_max, "client {slow}: {ms} ms");
    }
    // An answer in the service is another matter.
    let deaf = rig.connect();
    rig.ask(deaf, "hold bee 10.0.0.1 80");
    rig.send(deaf, &b"ping\n".repeat(10_000));
    rig.turn();
    let ms = passes_until_closed(&mut rig, deaf, 2 * OUTPUT_STALL_MS_MAX);
    assert!(
        (OUTPUT_STALL_MS_MAX..OUTPUT_STALL_MS_MAX + 1_000).contains(&ms),
        "{ms} ms"
    );
    assert!(rig.net.pipes[deaf].cut_off);
}
