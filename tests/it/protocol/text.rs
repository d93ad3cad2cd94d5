//! Text commands, byte for byte, over real sockets.

use crate::common::{Client, Service, is_uuid, mask_uuids};

/// Sends everything in one piece, ends the input, and returns all answers.
fn transcript(service: &Service, input: &[u8]) -> String {
    let mut client = service.connect();
    client.send(input);
    client.end_input();
    client.text()
}

#[test]
fn register_heartbeat_and_query_answer_as_documented() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let uuid = client.ask("register hive 127.0.0.1 65433");
    assert!(is_uuid(&uuid), "{uuid}");
    assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
    assert_eq!(
        client.ask(&format!("heartbeat {}", uuid.to_uppercase())),
        "OK"
    );
    assert_eq!(
        client.ask("query hive"),
        r#"[{"ip":"127.0.0.1","port":65433}]"#
    );
    assert_eq!(client.ask("query nobody"), "[]");
    assert_eq!(
        client.ask("heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6"),
        "NOT FOUND"
    );
    assert_eq!(client.ask("heartbeat ERROR"), "NOT FOUND");
}

#[test]
fn row_35_anything_but_the_hyphenated_uuid_is_not_found() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let uuid = client.register("hive", "127.0.0.1", 1);
    let strangers = [
        format!("{{{uuid}}}"),
        format!("urn:uuid:{uuid}"),
        format!("{uuid}0"),
        uuid[..35].to_owned(),
        uuid.replace('-', ""),
        uuid.replace('-', "_"),
        "é".repeat(18),
        "0".repeat(1_000),
    ];
    for word in strangers {
        assert_eq!(
            client.ask(&format!("heartbeat {word}")),
            "NOT FOUND",
            "{word}"
        );
    }
    assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
}

#[test]
fn types_of_up_to_63_bytes_are_compared_byte_for_byte() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    // The last two look the same: one letter, or a letter and an accent.
    let types = [
        "x".repeat(63),
        "x".repeat(62),
        "é".repeat(31),
        "caf\u{e9}".to_owned(),
        "cafe\u{301}".to_owned(),
    ];
    for (name, port) in types.iter().zip(1..) {
        client.register(name, "127.0.0.1", port);
    }
    for (name, port) in types.iter().zip(1..) {
        let array = format!(r#"[{{"ip":"127.0.0.1","port":{port}}}]"#);
        assert_eq!(client.ask(&format!("query {name}")), array, "{name}");
    }
}

#[test]
fn a_query_lists_one_type_in_the_order_of_registration() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let first = client.register("hive", "127.0.0.1", 3);
    client.register("Hive", "127.0.0.1", 9);
    client.register("hive", "2001:DB8:0::1", 1);
    client.register("hive", "::ffff:10.0.0.1", 2);
    assert_eq!(client.ask(&format!("heartbeat {first}")), "OK");
    let expected = concat!(
        r#"[{"ip":"127.0.0.1","port":3},{"ip":"2001:db8::1","port":1},"#,
        r#"{"ip":"10.0.0.1","port":2}]"#
    );
    assert_eq!(client.ask("query hive"), expected);
    assert_eq!(client.ask("query Hive"), r#"[{"ip":"127.0.0.1","port":9}]"#);
    assert_eq!(client.ask("query HIVE"), "[]");
}

#[test]
fn row_36_an_address_that_is_registered_twice_is_listed_twice() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (a, b) = (
        client.register("hive", "10.0.0.1", 1),
        client.register("hive", "10.0.0.1", 1),
    );
    assert_ne!(a, b);
    assert_eq!(
        client.ask("query hive"),
        r#"[{"ip":"10.0.0.1","port":1},{"ip":"10.0.0.1","port":1}]"#
    );
}

#[test]
fn every_error_has_a_reason_and_leaves_the_connection_usable() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let long_type = format!("query {}", "x".repeat(64));
    let cases = [
        ("bogus", "ERROR unknown command: help lists the commands"),
        (
            "register",
            "ERROR usage: register <type> <ip|-> <port> [ttl=<seconds>] [replace] [tag=<tag>] [meta.<key>=<value>]",
        ),
        (
            "register hive 127.0.0.1",
            "ERROR usage: register <type> <ip|-> <port> [ttl=<seconds>] [replace] [tag=<tag>] [meta.<key>=<value>]",
        ),
        ("register hive 127.0.0.1 80 90", "ERROR unknown option: 90"),
        (
            "register hive 127.0.0.1 80 ttl",
            "ERROR unknown option: ttl",
        ),
        (
            "register hive 127.0.0.1 80 replace replace",
            "ERROR replace is given twice",
        ),
        (
            "register hive 127.0.0.1 80 ttl=1 ttl=2",
            "ERROR ttl= is given twice",
        ),
        (
            "register hive 127.0.0.1 80 ttl=0",
            "ERROR ttl= takes a whole number of seconds from 1 to 86400",
        ),
        (
            "register hive 127.0.0.1 80 ttl=86401",
            "ERROR ttl= takes a whole number of seconds from 1 to 86400",
        ),
        (
            "register hive 127.0.0.1 80 ttl=1.5",
            "ERROR ttl= takes a whole number of seconds from 1 to 86400",
        ),
        (
            "register hive 127.0.0.1 80 ttl=",
            "ERROR ttl= takes a whole number of seconds from 1 to 86400",
        ),
        (
            "hold hive 127.0.0.1",
            "ERROR usage: hold <type> <ip|-> <port> [ttl=<seconds>] [replace] [tag=<tag>] [meta.<key>=<value>]",
        ),
        (
            "hold hive 127.0.0.1 80 max-age=1",
            "ERROR unknown option: max-age=1",
        ),
        (
            "register hive 127.0.0.1 80 replaced",
            "ERROR unknown option: replaced",
        ),
        (
            "register hive 127.0.0.1 80 tag=",
            "ERROR a tag is 1 to 255 bytes without control characters",
        ),
        (
            "register hive 127.0.0.1 80 meta.a",
            "ERROR unknown option: meta.a",
        ),
        (
            "register hive 127.0.0.1 80 meta.=b",
            "ERROR a key of metadata is 1 to 63 letters, digits, underscores, dots and hyphens",
        ),
        (
            "register hive 127.0.0.1 80 meta.a=1 meta.a=1",
            "ERROR meta.a is given twice",
        ),
        (
            "update",
            "ERROR usage: update <uuid> [tag=<tag>] [meta.<key>=<value>]",
        ),
        ("update x ttl=1", "ERROR unknown option: ttl=1"),
        (
            "query a limit=0",
            "ERROR limit= takes a whole number from 1 to 4096",
        ),
        ("query a limit=1 limit=1", "ERROR limit= is given twice"),
        (
            "heartbeat",
            "ERROR usage: heartbeat <uuid> [<type> <ip|-> <port> [ttl=<seconds>] [tag=<tag>] [meta.<key>=<value>]]",
        ),
        (
            "heartbeat a b",
            "ERROR usage: heartbeat <uuid> [<type> <ip|-> <port> [ttl=<seconds>] [tag=<tag>] [meta.<key>=<value>]]",
        ),
        ("heartbeat a b 10.0.0.1 80", "ERROR the uuid is not a UUID"),
        (
            "heartbeat a b 10.0.0.1 80 replace",
            "ERROR unknown option: replace",
        ),
        ("deregister", "ERROR usage: deregister <uuid>"),
        ("deregister a b", "ERROR usage: deregister <uuid>"),
        (
            "query",
            "ERROR usage: query <type> [max-age=<seconds>] [tag=<tag>] [meta.<key>=<value>] [limit=<n>]",
        ),
        ("query a b", "ERROR unknown option: b"),
        (
            "query a max-age=x",
            "ERROR max-age= takes a whole number of seconds from 1 to 86400",
        ),
        ("types hive", "ERROR usage: types"),
        ("list a b", "ERROR usage: list [<type>]"),
        ("why", "ERROR usage: why <uuid>"),
        ("watch a b", "ERROR usage: watch [<type>]"),
        ("stats now", "ERROR usage: stats"),
        ("ping 1", "ERROR usage: ping"),
        ("help me", "ERROR usage: help"),
        ("quit now", "ERROR usage: quit"),
        (&long_type, "ERROR the type is longer than 63 bytes"),
        (
            "query a\u{a0}b",
            "ERROR the type holds white space or a control character",
        ),
        (
            "register hive localhost 80",
            "ERROR the ip is not an IPv4 or IPv6 address (host names are not accepted)",
        ),
        (
            "register hive 0.0.0.0 80",
            "ERROR the ip is the unspecified address, which nobody can connect to",
        ),
        (
            "register hive :: 80",
            "ERROR the ip is the unspecified address, which nobody can connect to",
        ),
        (
            "register hive 224.0.0.1 80",
            "ERROR the ip is a multicast address",
        ),
        (
            "register hive ff02::1 80",
            "ERROR the ip is a multicast address",
        ),
        (
            "register hive 255.255.255.255 80",
            "ERROR the ip is the broadcast address",
        ),
        (
            "register hive fe80::1 80",
            "ERROR the ip is a link-local address, which means nothing without a zone",
        ),
        (
            "register hive fe80::1%eth0 80",
            "ERROR the ip has a zone suffix, which means nothing on another host",
        ),
        (
            "register hive 127.0.0.1 0",
            "ERROR the port is not a decimal number from 1 to 65535",
        ),
        (
            "register hive 127.0.0.1 65536",
            "ERROR the port is not a decimal number from 1 to 65535",
        ),
        (
            "register hive 127.0.0.1 +80",
            "ERROR the port is not a decimal number from 1 to 65535",
        ),
        ("query hi\0ve", "ERROR the line holds a control character"),
        (
            "query \u{1b}[31m",
            "ERROR the line holds a control character",
        ),
        ("query a\rb", "ERROR the line holds a control character"),
        ("query a\u{85}b", "ERROR the line holds a control character"),
    ];
    for (command, answer) in cases {
        assert_eq!(client.ask(command), answer, "{command:?}");
        assert_eq!(client.ask("query hive"), "[]", "after {command:?}");
    }
    client.send(b"query \xff\xfe\nquery hive\n");
    assert_eq!(client.line(), "ERROR the line is not valid UTF-8");
    assert_eq!(client.line(), "[]");
}

#[test]
fn verbs_match_in_any_case_and_any_blanks_separate_words() {
    let service = Service::start(&[]);
    let input = b"REGISTER hive 127.0.0.1 1\n  Query\t \thive  \t\r\n\n\r\n \t \nqUeRy hive\n";
    let array = r#"[{"ip":"127.0.0.1","port":1}]"#;
    assert_eq!(
        mask_uuids(&transcript(&service, input)),
        format!("<uuid>\n{array}\n{array}\n")
    );
}

#[test]
fn row_10_lf_and_crlf_end_a_line_and_a_lone_cr_does_not() {
    let service = Service::start(&[]);
    assert_eq!(
        transcript(&service, b"query a\r\nquery a\nquery a"),
        "[]\n[]\n[]\n"
    );
    let mut client = service.connect();
    client.send(b"query a\r");
    client.send(b"\n");
    assert_eq!(client.line(), "[]");
    client.send(b"query a\r\r\n");
    assert_eq!(client.line(), "ERROR the line holds a control character");
    client.send(b"query a\r");
    client.end_input();
    assert_eq!(client.text(), "ERROR the line holds a control character\n");
}

#[test]
fn row_05_a_half_close_behind_pipelined_commands_loses_no_reply() {
    let service = Service::start(&[]);
    let commands = 2_000;
    let input = "register hive 127.0.0.1 1\nheartbeat x\n".repeat(commands) + "query nobody";
    let answers = mask_uuids(&transcript(&service, input.as_bytes()));
    assert_eq!(answers, "<uuid>\nNOT FOUND\n".repeat(commands) + "[]\n");
}

#[test]
fn row_01_and_47_input_split_anywhere_is_answered_as_in_one_piece() {
    let service = Service::start(&[]);
    let input = "register cut 127.0.0.1 7\r\n\nquery none\nbogus\nquery \u{1b}\nheartbeat nobody\r\nquery é";
    let whole = mask_uuids(&transcript(&service, input.as_bytes()));
    assert_eq!(whole.lines().count(), 6);
    // One connection for each cut: all get their first part, then all their second.
    let mut clients: Vec<Client> = (0..=input.len()).map(|_| service.connect()).collect();
    for (cut, client) in clients.iter_mut().enumerate() {
        client.send(&input.as_bytes()[..cut]);
    }
    for (cut, client) in clients.iter_mut().enumerate() {
        client.send(&input.as_bytes()[cut..]);
        client.end_input();
        assert_eq!(mask_uuids(&client.text()), whole, "cut at {cut}");
    }
    let mut client = service.connect();
    for byte in input.as_bytes() {
        client.send([*byte]);
    }
    client.end_input();
    assert_eq!(mask_uuids(&client.text()), whole, "byte by byte");
}

#[test]
fn row_06_a_line_of_1024_bytes_is_a_command_and_one_more_byte_ends_the_connection() {
    let service = Service::start(&[]);
    let padded = |len: usize| format!("query hive{}", " ".repeat(len - 10));
    assert_eq!(
        transcript(
            &service,
            format!("{}\n{}\r\n", padded(1024), padded(1024)).as_bytes()
        ),
        "[]\n[]\n"
    );
    let input = format!("query hive\n{}\nregister late 127.0.0.1 1\n", padded(1025));
    assert_eq!(
        transcript(&service, input.as_bytes()),
        "[]\nERROR line too long\n"
    );
    assert_eq!(
        transcript(&service, "x".repeat(1025).as_bytes()),
        "ERROR line too long\n"
    );
    assert_eq!(
        service.connect().ask("query late"),
        "[]",
        "what follows is not run"
    );
}

#[test]
fn a_byte_order_mark_at_the_beginning_and_telnet_negotiation_between_commands_are_dropped() {
    let service = Service::start(&[]);
    // IAC WILL, WONT, DO, DONT, each with an option: one is a line feed, one IAC itself.
    let negotiation = b"\xff\xfb\x18\xff\xfc\x01\xff\xfd\n\xff\xfe\xff";
    let query = b"query hive\r\n";
    let mark = b"\xef\xbb\xbf";
    let input = [&mark[..], negotiation, query, negotiation, query].concat();
    assert_eq!(transcript(&service, &input), "[]\n[]\n");
    let mut client = service.connect();
    for byte in &input {
        client.send([*byte]);
    }
    client.end_input();
    assert_eq!(client.text(), "[]\n[]\n", "byte by byte");

    let elsewhere = [&query[..], mark, query, b"query \xff\xfb\x18\n"].concat();
    assert_eq!(
        transcript(&service, &elsewhere),
        "[]\nERROR unknown command: help lists the commands\nERROR the line is not valid UTF-8\n"
    );
}
