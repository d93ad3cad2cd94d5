//! HTTP: deterministic scenarios, one a test.

use std::time::Duration;

use discovery_service::engine::Settings;

use crate::rig::{Rig, TICK_MS, TTL_MS};

fn rig() -> Rig {
    Rig::with(Settings {
        connections_max: 20_000,
        idle_ms_max: None,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    })
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Asks for `target`. Returns all that the client has received since.
fn ask(rig: &mut Rig, client: usize, target: &str) -> String {
    rig.send(client, get(target).as_bytes());
    rig.settle();
    rig.received(client)
}

/// The index of an answer, and its body.
fn followed(answer: &str) -> (u64, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
    let index = head
        .lines()
        .find_map(|line| line.strip_prefix("X-Consul-Index: "));
    (index.expect("an index").parse().expect("a number"), body)
}

/// Found by the simulator.
#[test]
fn the_index_of_an_answer_moves_from_the_first_change_on() {
    let mut rig = rig();
    let client = rig.connect();
    for target in [
        "/v1/health/state/any",
        "/v1/health/service/hive",
        "/v1/catalog/services",
    ] {
        let mut rig = self::rig();
        let (client, other) = (rig.connect(), rig.connect());
        let before = ask(&mut rig, client, target);
        rig.ask(other, "register hive 10.0.0.1 80");
        let after = ask(&mut rig, client, target);
        let ((before, empty), (after, body)) = (followed(&before), followed(&after));
        assert!(0 < before && before < after, "{target}: {before} {after}");
        assert!(empty.len() == 2 && body.len() > 2, "{target}: {body}");
    }
    assert_eq!(followed(&ask(&mut rig, client, "/v1/catalog/nodes")).0, 1);
}
