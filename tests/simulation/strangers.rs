//! Peers without a token, and peers on other hosts: what they may do, and for how long.

use std::time::Duration;

use discovery_service::auth::Tokens;
use discovery_service::engine::Settings;
use discovery_service::limits::{AUTHENTICATE_MS_MAX, TURN_TOKENS_MAX};

use crate::rig::{Rig, TICK_MS, TTL_MS};

/// A service that requires the token `secret`.
fn guarded(connections_max: usize) -> Rig {
    let mut rig = Rig::with(Settings {
        connections_max,
        idle_ms_max: Some(300_000),
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    });
    let tokens = Tokens::parse("secret").expect("a token");
    rig.engine.handler_mut().set_tokens(tokens);
    rig
}

#[test]
fn row_44_a_stranger_has_10_s_from_its_accept_whatever_it_sends() {
    let mut rig = guarded(100);
    let (stranger, silent, friend) = (rig.connect(), rig.connect(), rig.connect());
    assert_eq!(rig.ask(friend, "auth secret"), "OK\n");
    const STEP_MS: u64 = 500;
    for _ in 1..AUTHENTICATE_MS_MAX / STEP_MS {
        rig.pass(STEP_MS);
        assert_eq!(rig.ask(stranger, "x"), "ERROR authentication required\n");
        assert_eq!(rig.ask(stranger, "ping"), "PONG\n");
    }
    rig.pass(STEP_MS - 1);
    assert!(!rig.is_closed(stranger) && !rig.is_closed(silent));
    rig.pass(1);
    assert!(
        rig.is_closed(stranger),
        "neither a refusal nor a ping renews it"
    );
    assert!(rig.is_closed(silent));
    assert_eq!(rig.ask(friend, "query hive"), "[]\n");
    rig.pass(2 * AUTHENTICATE_MS_MAX);
    let stats = rig.ask(friend, "stats");
    assert!(stats.contains(r#""unauthenticated":2"#), "{stats}");
}

#[test]
fn row_25_strangers_never_take_the_places_that_are_kept_for_those_with_a_token() {
    for (connections_max, strangers_max) in [(1, 1), (2, 1), (3, 2), (9, 8), (10, 9), (40, 36)] {
        let mut rig = guarded(connections_max);
        let connect = |rig: &mut Rig| {
            let client = rig.connect();
            let told = rig.received(client);
            assert!(["", "ERROR too many connections\n"].contains(&told.as_str()));
            told.is_empty().then_some(client)
        };
        let mut strangers = Vec::new();
        while let Some(stranger) = connect(&mut rig) {
            strangers.push(stranger);
        }
        assert_eq!(strangers.len(), strangers_max, "of {connections_max}");
        // Who shows a token takes a kept place, and makes room for the next.
        let mut admitted = 0;
        while let Some(stranger) = strangers.pop() {
            assert_eq!(rig.ask(stranger, "auth secret"), "OK\n");
            admitted += 1;
            strangers.extend(connect(&mut rig));
        }
        assert_eq!(
            admitted, connections_max,
            "those with a token take every place"
        );
    }
}

/// Found by the simulator.
#[test]
fn who_shows_a_token_over_http_and_then_none_is_a_stranger_again() {
    let mut rig = guarded(2);
    let client = rig.connect();
    let get = |fields: &str| format!("GET /api/types HTTP/1.1\r\nHost: a\r\n{fields}\r");
    for _ in 0..2 {
        let answer = rig.ask(client, &get("Authorization: Bearer secret\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let answer = rig.ask(client, &get(""));
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let other = rig.connect();
    let told = rig.received(other);
    assert_eq!(told, "ERROR too many connections\n", "one place is kept");
    rig.ask(client, &get("Authorization: Bearer secret\r\n"));
    let other = rig.connect();
    assert_eq!(rig.received(other), "", "there is room for a stranger");
}

#[test]
fn with_own_address_a_peer_on_another_host_registers_holds_revives_and_replaces_its_own_only() {
    const REFUSED: &str = "ERROR this service registers only the address that you connect from: \
                           give - as the ip\n";
    let ip = |text: &str| text.parse().expect("an address");
    let mut rig = Rig::new();
    rig.engine.handler_mut().require_own_address();
    let local = rig.connect();
    let by_local = rig.ask(local, "register web 10.0.0.7 80");
    let by_local = by_local.trim_end();
    assert!(!by_local.contains("ERROR"), "loopback is on this host");
    // From the very address that it connects to, and from another address of this host to loopback.
    for addresses in [("10.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1")] {
        rig.net.addresses = (ip(addresses.0), ip(addresses.1));
        let neighbour = rig.connect();
        let answer = rig.ask(neighbour, "hold web 10.0.0.8 80");
        assert!(!answer.contains("ERROR"), "{addresses:?}: {answer}");
    }
    // An IPv4 client of a dual-stack listener.
    rig.net.addresses = (ip("::ffff:10.0.0.9"), ip("10.0.0.1"));
    let stranger = rig.connect();
    for refused in [
        "register web 10.0.0.7 80",
        "register web 10.0.0.7 80 replace ttl=1",
        "register web 127.0.0.1 80",
        "register web 10.0.0.1 80",
        "hold web 10.0.0.7 80",
        "heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6 web 10.0.0.7 80",
        &format!("heartbeat {by_local} web 10.0.0.7 80"),
    ] {
        assert_eq!(rig.ask(stranger, refused), REFUSED, "{refused}");
    }
    for own in [
        "register web - 81",
        "register web 10.0.0.9 82",
        "register web ::ffff:10.0.0.9 83",
        "hold web - 84",
        "register web - 81 replace",
        "heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6 web - 85",
    ] {
        let answer = rig.ask(stranger, own);
        assert!(!answer.contains("ERROR"), "{own}: {answer}");
    }
    let left = rig.ask(stranger, "query web");
    assert_eq!(left.matches("10.0.0.7").count(), 1, "{left}");
    assert_eq!(left.matches("10.0.0.9").count(), 5, "{left}");
    // Who knows a UUID may still use it.
    assert_eq!(rig.ask(stranger, &format!("heartbeat {by_local}")), "OK\n");
}

#[test]
fn a_hyphen_from_a_link_local_address_is_refused_because_others_have_no_zone_for_it() {
    let mut rig = Rig::new();
    let ip = |text: &str| text.parse().expect("an address");
    rig.net.addresses = (ip("fe80::9"), ip("fe80::1"));
    let client = rig.connect();
    for refused in ["register web - 80", "hold web - 80"] {
        assert_eq!(
            rig.ask(client, refused),
            "ERROR the ip is a link-local address, which means nothing without a zone\n"
        );
    }
    assert!(
        !rig.ask(client, "register web 10.0.0.1 80")
            .contains("ERROR")
    );
}

#[test]
fn a_turn_looks_at_the_tokens_of_a_bounded_number_of_connections_and_the_next_goes_on() {
    let mut rig = guarded(2 * TURN_TOKENS_MAX);
    let clients: Vec<usize> = (0..TURN_TOKENS_MAX + 50).map(|_| rig.connect()).collect();
    for &client in &clients {
        assert_eq!(rig.ask(client, "auth secret"), "OK\n");
    }
    let closed = |rig: &Rig| {
        clients
            .iter()
            .filter(|&&client| rig.is_closed(client))
            .count()
    };
    let tokens = Tokens::parse("another").expect("a token");
    rig.engine.handler_mut().set_tokens(tokens);
    rig.engine.dismiss();
    rig.turn();
    assert_eq!(closed(&rig), TURN_TOKENS_MAX);
    rig.settle();
    assert_eq!(closed(&rig), clients.len());
}
