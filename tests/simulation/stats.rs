//! What `stats` counts that only an exact clock can tell.

use std::time::Duration;

use serde_json::Value;

use discovery_service::engine::{Reading, Settings};
use discovery_service::limits::LINGERING_REFUSED_MAX;

use crate::rig::{Rig, TICK_MS, TTL_MS};

fn rig() -> Rig {
    Rig::with(Settings {
        connections_max: 2,
        idle_ms_max: None,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    })
}

fn stats(rig: &mut Rig, client: usize) -> Value {
    let answer = rig.ask(client, "stats");
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn stats_count_the_connections_that_are_held_and_those_that_were_refused() {
    let mut rig = rig();
    let (client, _second) = (rig.connect(), rig.connect());
    assert_eq!(stats(&mut rig, client)["refused_connections"], 0);
    // The last three are not even let linger.
    let refused = LINGERING_REFUSED_MAX + 3;
    for _ in 0..refused {
        rig.connect();
    }
    assert_eq!(rig.engine.connections(), 2 + LINGERING_REFUSED_MAX);
    let stats = stats(&mut rig, client);
    assert_eq!(stats["connections"], 2, "not the refused that linger");
    assert_eq!(stats["refused_connections"], refused);
}

#[test]
fn stats_tell_the_uptime_the_time_stalled_the_worst_turn_and_how_many_have_expired() {
    let mut rig = rig();
    let client = rig.connect();
    for ttl in [1, 1, 1, 3_600] {
        rig.ask(client, &format!("register hive 10.0.0.1 80 ttl={ttl}"));
    }
    let of_time = |stats: &Value| {
        ["uptime_seconds", "stalled_seconds", "expirations"].map(|key| stats[key].as_f64())
    };
    let before = stats(&mut rig, client);
    assert_eq!(of_time(&before), [0.0, 0.0, 0.0].map(Some));
    rig.pass(7_000);
    let after = stats(&mut rig, client);
    assert_eq!(of_time(&after), [7.0, 0.0, 3.0].map(Some));
    // The process stands still.
    rig.now_ms += 40_000;
    let after = stats(&mut rig, client);
    assert_eq!(of_time(&after), [47.0, 40.0, 3.0].map(Some));

    assert_eq!(after["worst_turn_us"], 0);
    rig.reading = Reading {
        worst_turn: Duration::from_micros(1_234),
        log_lines_dropped: 5,
        ..Reading::default()
    };
    let told = stats(&mut rig, client);
    assert_eq!(told["worst_turn_us"], 1_234);
    assert_eq!(told["log_lines_dropped"], 5);
}
