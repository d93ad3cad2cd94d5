//! Datagrams: deterministic scenarios, one a test.

use std::net::SocketAddr;
use std::time::Duration;

use discovery_service::engine::DatagramCounts;
use discovery_service::limits::{TURN_DATAGRAMS_MAX, TURN_SWEEP_MAX};

use crate::rig::{Rig, TTL_MS, uuid};

fn port(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn answers(rig: &mut Rig) -> Vec<(u16, String)> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).expect("text");
    let answers = std::mem::take(&mut rig.net.datagrams.answers);
    answers
        .into_iter()
        .map(|(to, bytes)| (to.port(), text(bytes)))
        .collect()
}

fn ask(rig: &mut Rig, from: u16, datagram: &[u8]) -> String {
    rig.net.send_datagram(port(from), datagram);
    rig.net.deliver_datagrams();
    rig.settle();
    answers(rig)
        .into_iter()
        .map(|(to, answer)| {
            assert_eq!(to, from);
            answer
        })
        .collect()
}

#[test]
fn a_datagram_is_one_request_and_gets_one_answer_at_most() {
    let mut rig = Rig::new();
    let registered = ask(&mut rig, 1, b"register hive - 80");
    assert_eq!(registered, format!("{}\n", uuid(1)));
    let list = "[{\"ip\":\"127.0.0.1\",\"port\":80}]\n";
    for datagram in [
        &b"query hive"[..],
        b"query hive\r\n",
        b"query hive\nquery hive\n",
    ] {
        assert_eq!(ask(&mut rig, 2, datagram), list);
    }
    let refused = "ERROR hold needs a text connection\n";
    assert_eq!(ask(&mut rig, 3, b"hold hive - 81\n"), refused);
    for nothing in [&b""[..], b"\n", b"quit\n", &b"x".repeat(60_000)] {
        assert_eq!(ask(&mut rig, 4, nothing), "");
    }
    assert_eq!(ask(&mut rig, 5, b"ping"), "PONG\n");
    assert_eq!(rig.engine.connections(), 0);
}

#[test]
fn a_flood_of_datagrams_is_answered_in_bounded_turns_and_in_its_order() {
    let mut rig = Rig::new();
    let client = rig.connect();
    let count = 3 * TURN_DATAGRAMS_MAX as u16;
    for from in 1..=count {
        rig.net.send_datagram(port(from), b"ping");
    }
    rig.net.deliver_datagrams();
    rig.send(client, b"ping\n");
    rig.turn();
    assert_eq!(rig.received(client), "PONG\n", "other clients are served");
    assert_eq!(answers(&mut rig).len(), TURN_DATAGRAMS_MAX);
    assert_eq!(
        rig.wait,
        Some(Duration::ZERO),
        "the rest is served in the next turn"
    );
    rig.settle();
    let rest = answers(&mut rig);
    let ports: Vec<u16> = rest.iter().map(|(port, _)| *port).collect();
    assert!(ports.into_iter().eq(TURN_DATAGRAMS_MAX as u16 + 1..=count));
}

#[test]
fn a_datagram_that_cannot_be_answered_yet_is_answered_before_those_behind_it() {
    let mut rig = Rig::new();
    let client = rig.connect();
    rig.send(
        client,
        &b"register hive 10.0.0.1 80\n".repeat(3 * TURN_SWEEP_MAX),
    );
    rig.settle();
    rig.pass(TTL_MS - 1);
    rig.now_ms += 1;
    // Everything expires at once: the query must wait until all of it is swept.
    rig.net.send_datagram(port(1), b"query hive");
    rig.net.send_datagram(port(2), b"ping");
    rig.net.deliver_datagrams();
    rig.turn();
    assert_eq!(answers(&mut rig), []);
    rig.settle();
    let expected = [(1, "[]\n".to_owned()), (2, "PONG\n".to_owned())];
    assert_eq!(answers(&mut rig), expected);
}

#[test]
fn an_answer_for_which_there_is_no_room_is_dropped_and_counted() {
    let mut rig = Rig::new();
    assert_eq!(ask(&mut rig, 1, b"ping"), "PONG\n");
    rig.net.faults.datagram_full = 100;
    assert_eq!(ask(&mut rig, 1, b"ping"), "");
    rig.net.faults.datagram_full = 0;
    assert_eq!(ask(&mut rig, 1, b"\r\n"), "");
    let counts = DatagramCounts {
        received: 3,
        answered: 1,
        dropped: 1,
        rate_limited: 0,
    };
    assert_eq!(rig.engine.datagram_counts(0), counts);
}
