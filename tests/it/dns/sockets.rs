//! The service's own sockets.

use std::io::Read;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::*;
use crate::common::{command, finish, wait_until};

fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

#[test]
fn a_service_is_found_while_it_is_live_over_udp_and_over_tcp() {
    let service = service();
    let client = &mut service.connect();
    let name = "_web._tcp.service.internal.";
    let missing = look_up(&service, name, RecordType::SRV);
    assert_eq!(code(&missing), ResponseCode::NXDomain);
    let uuids = register(client, "WEB", &ports(3));
    let found = look_up(&service, name, RecordType::SRV);
    assert_eq!((found.answers.len(), found.additionals.len()), (3, 3));
    let mut stream = tcp(service.dns_address());
    send_tcp(&mut stream, &bytes(&query(name, RecordType::SRV)));
    let over_tcp = read(&receive_tcp(&mut stream));
    assert_eq!(over_tcp.answers.len(), 3);
    assert_eq!(client.ask(&format!("deregister {}", uuids[0])), "OK");
    assert_eq!(look_up(&service, name, RecordType::SRV).answers.len(), 2);
    let address = look_up(&service, "web.service.internal.", RecordType::A);
    assert_eq!(address.answers.len(), 1);
}

#[test]
fn names_that_differ_in_case_are_one_and_types_stay_apart() {
    let service = service();
    let client = &mut service.connect();
    register(client, "web", &ports(1));
    let other = register(client, "WeB", &hosts(2, 9)[1..]);
    let name = "WEB.service.internal.";
    let addresses = |service| look_up(service, name, RecordType::A).answers.len();
    assert_eq!(addresses(&service), 2);
    assert_eq!(
        client.ask("query web"),
        "[{\"ip\":\"127.0.0.1\",\"port\":1}]"
    );
    assert_eq!(client.ask("query WEB"), "[]");
    // The one that is left has not changed, but the name has.
    assert_eq!(client.ask(&format!("deregister {}", other[0])), "OK");
    assert_eq!(addresses(&service), 1);
    register(client, "wEB", &hosts(3, 9)[2..]);
    assert_eq!(addresses(&service), 2);
}

#[test]
fn priority_and_weight_come_from_the_metadata() {
    let service = Service::start(&[
        "--dns-listen",
        "127.0.0.1:0",
        "--dns-zone",
        "Example.ORG",
        "--dns-ttl",
        "7",
    ]);
    let client = &mut service.connect();
    client.ask("register web 10.0.0.1 80 meta.priority=5 meta.weight=0");
    client.ask("register web 10.0.0.2 80 meta.priority=-5 meta.weight=65536");
    let found = look_up(&service, "_web._tcp.example.org.", RecordType::SRV);
    let mut told: Vec<String> = found
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "1 1 80 0a0000020050.addr.example.org.",
            "5 1 80 0a0000010050.addr.example.org."
        ]
    );
    assert!(found.answers.iter().all(|record| record.ttl == 7));
}

#[test]
fn queries_on_one_connection_are_answered_in_their_order() {
    let service = service();
    register(&mut service.connect(), "web", &ports(200));
    let mut stream = tcp(service.dns_address());
    let all: Vec<u8> = (0..300_u16)
        .flat_map(|id| {
            let mut message = query("_web._tcp.service.internal.", RecordType::SRV);
            message.metadata.id = id;
            framed(&bytes(&message))
        })
        .collect();
    let mut writer = stream.try_clone().expect("a second handle");
    let sent = std::thread::spawn(move || writer.write_all(&all).expect("all is taken"));
    for id in 0..300 {
        let answer = read(&receive_tcp(&mut stream));
        assert_eq!((answer.metadata.id, answer.answers.len()), (id, 200));
    }
    sent.join().expect("it only writes");
}

#[test]
fn row_58_a_query_of_more_than_4096_bytes_ends_the_connection_and_no_other() {
    let service = service();
    let mut other = tcp(service.dns_address());
    let mut stream = tcp(service.dns_address());
    stream
        .write_all(&4097_u16.to_be_bytes())
        .expect("it is sent");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("it is closed");
    assert!(rest.is_empty(), "{rest:?}");
    send_tcp(
        &mut other,
        &bytes(&query("service.internal.", RecordType::SOA)),
    );
    assert_eq!(code(&read(&receive_tcp(&mut other))), ResponseCode::NoError);
}

#[test]
fn row_58_what_must_not_be_answered_is_not() {
    let service = service();
    let socket = udp(service.dns_address());
    let good = bytes(&query("service.internal.", RecordType::SOA));
    let mut response = good.clone();
    response[2] |= 0x80;
    for silent in [&response[..], &good[..11], b""] {
        socket.send(silent).expect("it is sent");
    }
    // The next answer is to the next question.
    assert_eq!(code(&read(&ask_udp(&socket, &good))), ResponseCode::NoError);
    let cut = ask_udp(&socket, &good[..20]);
    assert_eq!((cut.len(), cut[3]), (12, 1), "FORMERR");
}

#[test]
fn no_token_is_asked_for_on_loopback() {
    let tokens = crate::common::private_file("secret\n");
    let path = tokens.path().to_str().expect("a path");
    let service = Service::start(&["--dns-listen", "127.0.0.1:0", "--token-file", path]);
    for _ in 0..2 {
        let mut stream = tcp(service.dns_address());
        send_tcp(
            &mut stream,
            &bytes(&query("x.service.internal.", RecordType::A)),
        );
        assert_eq!(
            code(&read(&receive_tcp(&mut stream))),
            ResponseCode::NXDomain
        );
    }
    let told = look_up(&service, "example.org.", RecordType::A);
    assert_eq!(code(&told), ResponseCode::Refused);
}

#[test]
fn stats_and_metrics_count_queries_where_dns_is_served() {
    let service = service();
    look_up(&service, "x.service.internal.", RecordType::A);
    look_up(&service, "example.org.", RecordType::A);
    let client = &mut service.connect();
    let stats = client.ask("stats");
    let expected = "\"dns\":{\"queries\":{\"udp\":2,\"tcp\":0},\"answers\":{\"NOERROR\":0,\"FORMERR\":0,\"SERVFAIL\":0,\
        \"NXDOMAIN\":1,\"NOTIMP\":0,\"REFUSED\":1,\"BADVERS\":0},\"truncated\":0,\"dropped\":0,\
        \"rate_limited\":0}";
    assert!(stats.contains(expected), "{stats}");
    assert!(
        stats.contains("\"query\":0") && stats.contains("\"errors\":0"),
        "{stats}"
    );
    let without = Service::start(&[]);
    assert!(!without.connect().ask("stats").contains("\"dns\""));
    let mut http = TcpStream::connect(service.address()).expect("it listens");
    http.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .expect("it is sent");
    let mut text = String::new();
    http.read_to_string(&mut text).expect("text");
    for line in [
        "discovery_dns_queries_total{transport=\"udp\"} 2",
        "discovery_dns_answers_total{rcode=\"NXDOMAIN\"} 1",
        "discovery_dns_truncated_total 0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn an_address_that_answers_could_not_leave_from_is_refused() {
    for (address, reason) in [
        (
            "0.0.0.0:0",
            "DNS must answer from the address that was asked",
        ),
        ("192.0.2.1:0", "DNS knows no tokens"),
    ] {
        let mut command = command();
        command.args(["--listen", "127.0.0.1:0", "--dns-listen", address]);
        let ended = finish(command);
        assert!(
            ended.status == Some(1) || ended.status == Some(2),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(reason), "{ended:?}");
    }
}

#[test]
fn both_families_are_served_at_addresses_of_their_own() {
    let service = Service::start(&["--dns-listen", "127.0.0.1:0", "--dns-listen", "[::1]:0"]);
    let second = service.dns_addresses()[1];
    let socket = udp(second);
    let told = read(&ask_udp(
        &socket,
        &bytes(&query("ns.addr.service.internal.", RecordType::AAAA)),
    ));
    assert_eq!(told.answers[0].data.to_string(), "::1");
    let told = look_up(&service, "ns.addr.service.internal.", RecordType::A);
    assert_eq!(told.answers[0].data.to_string(), "127.0.0.1");
}

#[test]
fn what_is_cut_over_tcp_is_logged_once() {
    let mut service = service();
    let client = &mut service.connect();
    let lines: String = (1..=1300)
        .map(|port| format!("register web 127.0.0.1 {port}\n"))
        .collect();
    client.send(lines.as_bytes());
    for _ in 0..1300 {
        client.line();
    }
    let mut stream = tcp(service.dns_address());
    for _ in 0..3 {
        send_tcp(
            &mut stream,
            &bytes(&query("_web._tcp.service.internal.", RecordType::SRV)),
        );
        let told = read(&receive_tcp(&mut stream));
        assert!((1212..1216).contains(&told.answers.len()) && !told.metadata.truncation);
    }
    wait_until("it is logged", || {
        service
            .log()
            .contains("more services than fit")
            .then_some(())
    });
    service.signal("TERM");
    assert_eq!(
        service
            .whole_log()
            .matches("more services than fit")
            .count(),
        1
    );
}
