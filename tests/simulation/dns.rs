//! DNS: deterministic scenarios, one a test.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use discovery_service::engine::Sockets;
use discovery_service::limits::{
    ALIKE_A_SECOND_MAX, DATAGRAM_WORK, DNS_IDLE_MS_MAX, DNS_MS_MAX, TURN_DATAGRAMS_MAX,
    TURN_DATAGRAMS_MIN, TURN_WORK_MAX,
};
use discovery_service::message::DnsTransport;
use discovery_service::wire::Protocol;
use discovery_service::wire::dns::Site;

use crate::rig::{Rig, settings};

/// What one datagram costs at most: its two system calls, and its request.
const QUERY_WORK: usize = DATAGRAM_WORK + 8;

/// DNS at this address, for datagrams; connections speak text, or DNS.
fn rig(address: &str, over_tcp: bool) -> Rig {
    let zone = "service.internal".parse().expect("a zone");
    let address = address.parse().expect("an address");
    let site = Rc::new(Site::new(zone, 0, address, &Rc::default()));
    let protocol = if over_tcp {
        Protocol::Dns(Rc::clone(&site), DnsTransport::Tcp)
    } else {
        Protocol::Registry
    };
    let sockets = Sockets {
        listeners: vec![((), protocol)],
        datagrams: vec![((), Protocol::Dns(site, DnsTransport::Udp))],
    };
    Rig::of(settings(), sockets)
}

fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

fn from(host: u8, port: u16) -> SocketAddr {
    ([192, 0, 2, host], port).into()
}

/// The answers since the last call.
fn answers(rig: &mut Rig) -> Vec<Vec<u8>> {
    let answers = std::mem::take(&mut rig.net.datagrams.answers);
    answers
        .into_iter()
        .filter_map(|(_, answer)| answer)
        .collect()
}

#[test]
fn row_59_a_flood_of_queries_takes_a_part_of_each_turn_and_a_pipelining_client_another() {
    let mut rig = rig("127.0.0.1", false);
    let [busy, other] = [rig.connect(), rig.connect()];
    let question = query("web.service.internal");
    let mut answered = 0;
    for turn in 0..20_u16 {
        for port in 0..TURN_DATAGRAMS_MAX as u16 {
            rig.net.send_datagram(from(1, 1000 + port), &question);
        }
        rig.net.deliver_datagrams();
        rig.send(busy, &b"ping\n".repeat(20_000));
        rig.send(other, b"ping\n");
        rig.turn();
        assert_eq!(rig.received(other), "PONG\n", "in turn {turn}");
        let count = answers(&mut rig).len();
        assert!(
            (TURN_DATAGRAMS_MIN..=TURN_DATAGRAMS_MAX).contains(&count),
            "{count}"
        );
        let most = TURN_WORK_MAX as usize + TURN_DATAGRAMS_MIN * QUERY_WORK;
        let spent = rig.engine.work_spent() as usize;
        assert!(
            spent >= count * DATAGRAM_WORK && spent <= most,
            "{spent} of {most}"
        );
        rig.received(busy);
        answered += count;
    }
    assert_eq!(
        rig.wait,
        Some(Duration::ZERO),
        "the rest comes in the next turns"
    );
    rig.settle();
    assert_eq!(answered + answers(&mut rig).len(), 20 * TURN_DATAGRAMS_MAX);
}

#[test]
fn row_59_where_sessions_take_all_of_a_turn_some_queries_are_answered_all_the_same() {
    let mut rig = rig("127.0.0.1", false);
    let busy: Vec<usize> = (0..90).map(|_| rig.connect()).collect();
    for client in busy {
        rig.send(client, &b"help\n".repeat(400));
    }
    for port in 0..2 * TURN_DATAGRAMS_MAX as u16 {
        rig.net
            .send_datagram(from(1, 1000 + port), &query("web.service.internal"));
    }
    rig.net.deliver_datagrams();
    rig.turn();
    assert_eq!(answers(&mut rig).len(), TURN_DATAGRAMS_MIN);
}

#[test]
fn row_59_off_loopback_one_network_gets_so_many_answers_that_are_alike() {
    const COUNT: usize = 1000;
    let most = ALIKE_A_SECOND_MAX as usize;
    for (address, name, whole) in [
        ("192.0.2.1", "web.service.internal", most),
        ("192.0.2.1", "%.service.internal", most),
        ("192.0.2.1", "example.org", most),
        ("127.0.0.1", "web.service.internal", COUNT),
    ] {
        let mut rig = rig(address, false);
        let mut told = Vec::new();
        for number in 0..COUNT {
            let name = name.replace('%', &number.to_string());
            let host = (number % 250) as u8;
            rig.net.send_datagram(from(host, 1000), &query(&name));
            rig.net.deliver_datagrams();
            rig.turn();
            told.extend(answers(&mut rig));
        }
        let cut = told.iter().filter(|answer| answer[2] & 0x02 != 0);
        let cut_count = cut.clone().count();
        assert_eq!(told.len() - cut_count, whole, "{name}");
        assert_eq!(
            cut_count,
            (COUNT - whole) / 2,
            "every second one asks for TCP"
        );
        assert!(
            cut.into_iter().all(|answer| answer[6..12] == [0; 6]),
            "with nothing in it"
        );
        let counts = rig.engine.datagram_counts(0);
        assert_eq!(counts.rate_limited as usize, COUNT - whole);
        // Another network, and the next second.
        rig.net.send_datagram(
            ([198, 51, 100, 1], 1000).into(),
            &query("web.service.internal"),
        );
        rig.now_ms += 1_000;
        rig.net
            .send_datagram(from(1, 1000), &query("web.service.internal"));
        rig.net.deliver_datagrams();
        rig.settle();
        let told = answers(&mut rig);
        assert!(told.len() == 2 && told.iter().all(|answer| answer[2] & 0x02 == 0));
    }
}

#[test]
fn row_58_a_query_from_the_port_of_a_service_that_answers_anything_is_not_answered() {
    let mut rig = rig("127.0.0.1", false);
    for port in [0, 7, 13, 17, 19, 37, 53] {
        rig.net
            .send_datagram(from(1, port), &query("web.service.internal"));
    }
    rig.net.deliver_datagrams();
    rig.settle();
    let answers = std::mem::take(&mut rig.net.datagrams.answers);
    let ports: Vec<u16> = answers.iter().map(|(to, _)| to.port()).collect();
    assert_eq!(ports, [53]);
}

#[test]
fn a_connection_without_a_query_is_closed_after_10_s_and_one_with_a_part_of_a_query_too() {
    let mut rig = rig("127.0.0.1", true);
    let message = query("web.service.internal");
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let idle = rig.connect();
    let [asking, slow] = [rig.connect(), rig.connect()];
    rig.pass(DNS_IDLE_MS_MAX / 2);
    rig.send(asking, &framed);
    rig.send(slow, &framed[..5]);
    rig.turn();
    rig.pass(DNS_IDLE_MS_MAX / 2 - 1);
    assert!(
        ![idle, asking, slow]
            .iter()
            .any(|&client| rig.is_closed(client))
    );
    rig.pass(1);
    assert!(rig.is_closed(idle));
    rig.pass(DNS_MS_MAX / 2);
    for client in [asking, slow] {
        rig.net.take(client, usize::MAX);
        assert!(rig.is_closed(client));
    }
    assert_eq!(rig.net.pipes[asking].received.len(), 2 + message.len() + 87);
    assert!(rig.net.pipes[slow].received.is_empty(), "nothing is said");
}
