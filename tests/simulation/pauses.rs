//! Pauses of the process and turns that are late: deterministic scenarios, one a test.

use std::time::Duration;

use discovery_service::engine::Settings;

use crate::rig::{Rig, TICK_MS, TTL_MS, uuid};

#[test]
fn limits_of_connections_and_of_the_stop_are_kept_where_every_turn_is_late() {
    let mut rig = Rig::with(Settings {
        connections_max: 100,
        idle_ms_max: Some(60_000),
        tick: Duration::from_millis(10),
        ttl: Duration::from_millis(TTL_MS),
    });
    let (busy, incomplete, deaf) = (rig.connect(), rig.connect(), rig.connect());
    rig.send(incomplete, b"\0");
    rig.send(deaf, &b"heartbeat x\n".repeat(50_000));
    // Turns of 100 ms, of which registry time counts 20 ms.
    let late_turns = |rig: &mut Rig, ms: u64| {
        for _ in 0..ms / 100 {
            rig.send(busy, b"ping\n");
            rig.turn();
            rig.received(busy);
            rig.now_ms += 100;
        }
    };
    late_turns(&mut rig, 9_000);
    assert!(!rig.is_closed(incomplete) && !rig.is_closed(deaf));
    late_turns(&mut rig, 6_000);
    assert!(rig.is_closed(incomplete) && rig.is_closed(deaf));
    let deaf = rig.connect();
    rig.send(deaf, &b"heartbeat x\n".repeat(50_000));
    late_turns(&mut rig, 1_000);
    rig.engine.stop(&mut rig.net);
    late_turns(&mut rig, 1_900);
    assert!(!rig.engine.is_stopped());
    late_turns(&mut rig, 200);
    assert!(rig.engine.is_stopped());
}

#[test]
fn row_30_a_heartbeat_that_waited_in_a_pause_of_any_length_counts_first_and_from_its_end() {
    for pause_ms in [100, TICK_MS, 2 * TICK_MS - 1, 2 * TICK_MS + 1, 40_000] {
        let mut rig = Rig::new();
        let (owner, other) = (rig.connect(), rig.connect());
        rig.ask(owner, "register hive 10.0.0.1 1 ttl=1");
        rig.ask(other, "register hive 10.0.0.2 2 ttl=1");
        rig.pass(950);
        // The process stands still; the heartbeat arrives meanwhile.
        rig.now_ms += TICK_MS - 950 + pause_ms;
        rig.send(owner, format!("heartbeat {}\n", uuid(1)).as_bytes());
        rig.settle();
        assert_eq!(rig.received(owner), "OK\n", "{pause_ms} ms");
        rig.pass(999);
        let found = rig.ask(owner, "query hive");
        assert!(found.contains("10.0.0.1"), "{pause_ms} ms: {found}");
        assert!(!found.contains("10.0.0.2"), "{pause_ms} ms: {found}");
        rig.pass(1);
        assert_eq!(rig.ask(owner, "query hive"), "[]\n", "{pause_ms} ms");
    }
}

#[test]
fn after_a_pause_no_connection_is_closed_for_input_that_waits_already() {
    let mut rig = Rig::with(Settings {
        connections_max: 2_000,
        idle_ms_max: Some(30_000),
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    });
    // More connections than one turn visits.
    let clients: Vec<usize> = (0..1_500).map(|_| rig.connect()).collect();
    for &client in &clients {
        rig.send(client, b"query");
    }
    rig.settle();
    rig.now_ms += 40_000;
    for &client in &clients {
        rig.send(client, b" hive\n");
    }
    rig.settle();
    for &client in &clients {
        assert_eq!(rig.received(client), "[]\n");
        assert!(!rig.is_closed(client));
    }
}
