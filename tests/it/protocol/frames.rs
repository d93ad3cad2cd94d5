//! JSON frames, byte for byte, over real sockets.

use crate::common::{
    Client, Frame, Service, ask_frame, exchange, frame, is_uuid, path, private_file, raw_frame,
};
use serde_json::json;

#[test]
fn register_heartbeat_and_query_answer_as_documented() {
    let service = Service::start(&[]);
    let address = service.address();
    let registered = ask_frame(
        address,
        r#"{"action": "register", "type": "hive", "ip": "127.0.0.1", "port": 65433}"#,
    );
    assert_eq!(registered.header["content-type"], "text/plain");
    let uuid = registered.content;
    assert!(is_uuid(&uuid), "{uuid}");
    for key in ["uuid", "service_uuid"] {
        let answer = ask_frame(
            address,
            &format!(r#"{{"action": "heartbeat", "{key}": "{uuid}"}}"#),
        );
        assert_eq!(
            (
                answer.header["content-type"].as_str(),
                answer.content.as_str()
            ),
            (Some("text/plain"), "OK")
        );
    }
    let unknown = ask_frame(address, r#"{"action": "heartbeat", "uuid": "ERROR"}"#);
    assert_eq!(unknown.content, "NOT FOUND");
    let found = ask_frame(address, r#"{"action": "query", "type": "hive"}"#);
    assert_eq!(found.header["content-type"], "text/json");
    let once: String = serde_json::from_str(&found.content).expect("a JSON string");
    assert_eq!(once, r#"[{"ip":"127.0.0.1","port":65433}]"#);
    let twice: serde_json::Value = serde_json::from_str(&once).expect("a JSON array");
    assert_eq!(twice, json!([{"ip": "127.0.0.1", "port": 65433}]));
    assert_eq!(
        ask_frame(address, r#"{"action": "query", "type": "nobody"}"#).content,
        r#""[]""#
    );
}

#[test]
fn an_answer_is_exactly_these_bytes() {
    let service = Service::start(&[]);
    let answer = exchange(
        service.address(),
        &frame(r#"{"action": "heartbeat", "uuid": "x"}"#),
    );
    let header = r#"{"byteorder": "little", "content-type": "text/plain", "content-encoding": "utf-8", "content-length": 9}"#;
    assert_eq!(answer, raw_frame(header, b"NOT FOUND"));
}

#[test]
fn text_and_frames_share_one_registry() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let by_text = client.register("hive", "10.0.0.1", 1);
    let by_frame = ask_frame(
        service.address(),
        r#"{"port": 2, "ip": "2001:DB8::1", "unknown": [{"deep": null}], "type": "hive", "action": "register"}"#,
    );
    assert_eq!(client.ask(&format!("heartbeat {}", by_frame.content)), "OK");
    let answer = ask_frame(
        service.address(),
        &format!(r#"{{"action": "heartbeat", "uuid": "{by_text}"}}"#),
    );
    assert_eq!(answer.content, "OK");
    assert_eq!(
        client.ask("query hive"),
        r#"[{"ip":"10.0.0.1","port":1},{"ip":"2001:db8::1","port":2}]"#
    );
}

#[test]
fn one_frame_is_answered_and_further_input_is_dropped() {
    let service = Service::start(&[]);
    let query = frame(r#"{"action": "query", "type": "late"}"#);
    let register = frame(r#"{"action": "register", "type": "late", "ip": "10.0.0.1", "port": 1}"#);
    let answer = exchange(
        service.address(),
        &[query, register.clone(), register].concat(),
    );
    assert_eq!(Frame::parse(&answer).content, r#""[]""#);
    assert_eq!(service.connect().ask("query late"), "[]");
}

#[test]
fn row_16_the_first_byte_decides_the_format_for_good() {
    let service = Service::start(&[]);
    let register = r#"{"action": "register", "type": "late", "ip": "10.0.0.1", "port": 1}"#;
    let mut client = service.connect();
    assert_eq!(client.ask("query hive"), "[]");
    client.send(frame(register));
    client.send(b"\nquery late\n");
    assert_eq!(client.line(), "ERROR the line holds a control character");
    assert_eq!(client.line(), "[]");
    let answer = exchange(
        service.address(),
        &[
            &frame(r#"{"action": "query", "type": "a"}"#)[..],
            b"register late 10.0.0.1 1\n",
        ]
        .concat(),
    );
    assert_eq!(Frame::parse(&answer).content, r#""[]""#);
    assert_eq!(client.ask("query late"), "[]");
}

#[test]
fn row_11_12_13_15_every_malformed_frame_is_answered_with_its_reason_and_the_connection_ends() {
    let service = Service::start(&[]);
    let query = br#"{"action": "query", "type": "hive"}"#;
    let header = |edit: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut keys = serde_json::Map::new();
        keys.insert("byteorder".into(), json!("little"));
        keys.insert("content-type".into(), json!("text/json"));
        keys.insert("content-encoding".into(), json!("utf-8"));
        keys.insert("content-length".into(), json!(query.len()));
        edit(&mut keys);
        raw_frame(&serde_json::Value::from(keys).to_string(), query)
    };
    let with = |key: &'static str, value: serde_json::Value| {
        header(&move |keys| {
            keys.insert(key.into(), value.clone());
        })
    };
    let without = |key: &'static str| {
        header(&|keys| {
            keys.remove(key);
        })
    };
    let length = "the content-length is not an integer of 0 or more";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![0, 0], "the header is empty"),
        (raw_frame("junk", b""), "the header is not a JSON object"),
        (raw_frame("[]", b""), "the header is not a JSON object"),
        (
            raw_frame("\"text\"", b""),
            "the header is not a JSON object",
        ),
        (
            raw_frame("{\"a\": \"\\ud800\"}", b""),
            "the header is not a JSON object",
        ),
        (
            raw_frame("{\"a\": NaN}", b""),
            "the header is not a JSON object",
        ),
        (raw_frame("{} {}", b""), "the header is not a JSON object"),
        (
            raw_frame(
                &format!("{{\"a\": {}1{}}}", "[".repeat(900), "]".repeat(900)),
                b"",
            ),
            "the header is not a JSON object",
        ),
        (
            raw_frame(r#"{"a": 1, "a": 2}"#, b""),
            "a key is given twice",
        ),
        (
            raw_frame(r#"{"content-length": 1, "content\u002dlength": 2}"#, b""),
            "a key is given twice",
        ),
        (without("content-type"), "the header has no content-type"),
        (
            without("content-encoding"),
            "the header has no content-encoding",
        ),
        (
            without("content-length"),
            "the header has no content-length",
        ),
        (with("byteorder", json!(1)), "the byteorder is not a string"),
        (
            with("content-type", json!(null)),
            "the header has no content-type",
        ),
        (
            with("content-type", json!("binary/custom")),
            "the content-type is not text/json",
        ),
        (
            with("content-type", json!(["text/json"])),
            "the content-type is not a string",
        ),
        (
            with("content-encoding", json!("utf-16")),
            "the content-encoding is not utf-8",
        ),
        (
            with("content-encoding", json!("rot13")),
            "the content-encoding is not utf-8",
        ),
        (with("content-length", json!(-1)), length),
        (with("content-length", json!(35.0)), length),
        (with("content-length", json!("35")), length),
        (with("content-length", json!(true)), length),
        (
            with("content-length", json!(null)),
            "the header has no content-length",
        ),
        (
            with("content-length", json!(4097)),
            "the content is longer than 4096 bytes",
        ),
        (
            with("content-length", json!(1_u64 << 63)),
            "the content is longer than 4096 bytes",
        ),
        (
            with("content-length", json!(0)),
            "the content is not a JSON object",
        ),
        (frame("[1]"), "the content is not a JSON object"),
        (frame(&"[".repeat(4096)), "the content is not a JSON object"),
        (
            frame("{\"action\": \"query\", \"type\": \"\\udc00\"}"),
            "the content is not a JSON object",
        ),
        (
            frame(r#"{"action": "query", "type": "a", "type": "b"}"#),
            "a key is given twice",
        ),
        (
            frame(r#"{"action": "query", "type": "a", "x": 1, "x": 1}"#),
            "a key is given twice",
        ),
        (frame("{}"), "the content has no action"),
        (frame(r#"{"action": 7}"#), "the action is not a string"),
        (
            frame(r#"{"action": "watch"}"#),
            "watch needs a text connection",
        ),
        (
            frame(r#"{"action": "hold", "type": "a", "ip": "127.0.0.1", "port": 80}"#),
            "hold needs a text connection",
        ),
        (
            frame(r#"{"action": "help"}"#),
            "unknown action: use register, heartbeat, deregister, update, query, types, list, why, stats or ping",
        ),
        (frame(r#"{"action": null}"#), "the content has no action"),
        (
            frame(r#"{"action": "query", "type": "a", "x": null, "x": null}"#),
            "a key is given twice",
        ),
        (frame(r#"{"action": "WHY"}"#), "the content has no uuid"),
        (
            frame(r#"{"action": "deregister"}"#),
            "the content has no uuid",
        ),
        (
            frame(r#"{"action": "list", "type": 1}"#),
            "the type is not a string",
        ),
        (frame(r#"{"action": "query"}"#), "the content has no type"),
        (
            frame(r#"{"action": "query", "type": 1}"#),
            "the type is not a string",
        ),
        (
            frame(r#"{"action": "query", "type": ""}"#),
            "the type is empty",
        ),
        (
            frame(r#"{"action": "query", "type": "a b"}"#),
            "the type holds white space or a control character",
        ),
        (
            frame(r#"{"action": "query", "type": "a\u0000"}"#),
            "the type holds white space or a control character",
        ),
        (
            frame(r#"{"action": "heartbeat"}"#),
            "the content has no uuid",
        ),
        (
            frame(r#"{"action": "heartbeat", "uuid": 1}"#),
            "the uuid is not a string",
        ),
        (
            frame(r#"{"action": "register", "type": "a", "port": 1}"#),
            "the content has no ip",
        ),
        (
            frame(r#"{"action": "register", "type": "a", "ip": "10.0.0.1"}"#),
            "the content has no port",
        ),
        (
            frame(r#"{"action": "register", "type": "a", "ip": "10.0.0.1", "port": null}"#),
            "the content has no port",
        ),
        (
            frame(r#"{"action": "register", "type": "a", "ip": "host", "port": 1}"#),
            "the ip is not an IPv4 or IPv6 address (host names are not accepted)",
        ),
    ];
    for (bytes, reason) in cases {
        let answer = Frame::parse(&exchange(service.address(), &bytes));
        assert_eq!(
            answer.content,
            "ERROR",
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(answer.header["content-type"], "text/plain");
        assert_eq!(
            answer.header["error"],
            reason,
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    for port in [
        "0", "65536", "-1", "80.0", "8e1", "true", "[]", "\"\"", "\"080\"", "\"+80\"", "\"0x50\"",
    ] {
        let content =
            format!(r#"{{"action": "register", "type": "a", "ip": "10.0.0.1", "port": {port}}}"#);
        let answer = ask_frame(service.address(), &content);
        assert_eq!(
            answer.header["error"], "the port is not a decimal number from 1 to 65535",
            "{port}"
        );
    }
    assert_eq!(
        service.connect().ask("query a"),
        "[]",
        "nothing was registered"
    );
}

#[test]
fn a_bad_header_is_refused_before_its_content_arrives() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.send(raw_frame(
        r#"{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": 99999}"#,
        b"",
    ));
    assert_eq!(Frame::parse(&client.rest()).content, "ERROR");
}

#[test]
fn row_13_the_byteorder_changes_nothing() {
    let service = Service::start(&[]);
    let content = br#"{"action": "query", "type": "a"}"#;
    let ask = |byteorder: serde_json::Value, encoding: &str| {
        let mut header = json!({"content-type": "text/json", "content-encoding": encoding,
            "content-length": content.len(), "more": [1, {"a": "b"}]});
        if byteorder != "missing" {
            header["byteorder"] = byteorder;
        }
        let bytes = raw_frame(&header.to_string(), content);
        Frame::parse(&exchange(service.address(), &bytes)).content
    };
    for byteorder in ["little", "big", "middle", "missing"] {
        assert_eq!(ask(byteorder.into(), "utf-8"), r#""[]""#, "{byteorder}");
    }
    assert_eq!(ask(json!(null), "utf-8"), r#""[]""#);
    for encoding in ["UTF-8", "utf8", "UTF8", "Utf-8"] {
        assert_eq!(ask("little".into(), encoding), r#""[]""#, "{encoding}");
    }
}

#[test]
fn actions_match_in_any_case_a_port_may_be_its_digits_and_null_is_absent() {
    let service = Service::start(&[]);
    let ask = |content: &str| ask_frame(service.address(), content).content;
    let registered = ask(
        r#"{"action": "Register", "type": "hive", "ip": "10.0.0.1", "port": "65433",
            "ttl": null, "replace": null, "token": null, "more": null}"#,
    );
    assert!(is_uuid(&registered), "{registered}");
    let both = format!(
        r#"{{"action": "HEARTBEAT", "uuid": null, "service_uuid": "{registered}", "ip": null}}"#
    );
    assert_eq!(ask(&both), "OK");
    assert_eq!(
        ask(r#"{"action": "QUERY", "type": "hive", "max-age": null}"#),
        r#""[{\"ip\":\"10.0.0.1\",\"port\":65433}]""#
    );
    let all = ask(r#"{"action": "list", "type": null}"#);
    assert!(all.contains("10.0.0.1"), "{all}");
}

#[test]
fn options_are_obeyed_in_frames_and_a_wrong_value_is_an_error() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let ask = |content: &str| ask_frame(service.address(), content).content;
    let register = |options: &str| {
        ask(&format!(
            r#"{{"action": "register", "type": "hive", "ip": "10.0.0.1", "port": 80{options}}}"#
        ))
    };
    let doubles = [
        register(r#", "ttl": 86400"#),
        register(r#", "replace": false"#),
    ];
    assert!(client.ask("list hive").contains(r#""ttl_ms":86400000"#));
    let replacing = register(r#", "replace": true"#);
    for double in &doubles {
        assert_eq!(client.ask(&format!("heartbeat {double}")), "NOT FOUND");
    }
    let why = ask(&format!(r#"{{"action": "why", "uuid": "{}"}}"#, doubles[0]));
    assert!(why.contains(r#""reason":"replaced""#), "{why}");
    assert_eq!(client.ask(&format!("heartbeat {replacing}")), "OK");
    assert_eq!(ask(r#"{"action": "why", "uuid": "x"}"#), "NOT FOUND");

    let long = |uuid: &str, port: &str| {
        ask_frame(
            service.address(),
            &format!(
                r#"{{"action": "heartbeat", "uuid": "{uuid}", "type": "late", "ip": "10.0.0.2",
                    "port": {port}, "ttl": 77}}"#
            ),
        )
    };
    let own = "3999da30-2a11-463a-be8e-6b2beca7bfe6";
    assert_eq!(long(own, "81").content, "OK", "it registers again");
    let listed = client.ask("list late");
    assert!(listed.contains(r#""ttl_ms":77000"#), "{listed}");
    assert_eq!(long(own, r#""81""#).content, "OK");
    assert_eq!(
        long(own, "82").header["error"],
        "another service has this UUID"
    );
    assert_eq!(
        long("00000000-0000-0000-0000-000000000000", "81").header["error"],
        "the uuid is not of version 4: use one that register gave"
    );
    for key in ["max-age", "max_age"] {
        let query = format!(r#"{{"action": "query", "type": "late", "{key}": 86400}}"#);
        assert!(ask(&query).contains("10.0.0.2"), "{key}");
    }

    const SECONDS: &str = "takes a whole number of seconds from 1 to 86400";
    let register = r#""action": "register", "type": "no", "ip": "10.0.0.1", "port": 80"#;
    let revive = r#""action": "heartbeat", "uuid": "x", "type": "no", "ip": "10.0.0.1""#;
    let query = r#""action": "query", "type": "no""#;
    let mut cases = vec![
        (
            format!(r#"{{{register}, "replace": 1}}"#),
            "replace is not true or false".to_owned(),
        ),
        (
            format!(r#"{{{register}, "replace": "true"}}"#),
            "replace is not true or false".to_owned(),
        ),
        (
            format!(r#"{{{query}, "max-age": 5, "max_age": 5}}"#),
            "max-age is given twice".to_owned(),
        ),
        (
            format!(r#"{{{query}, "max_age": 0}}"#),
            format!("max_age {SECONDS}"),
        ),
        (
            format!("{{{revive}}}"),
            "the content has no port".to_owned(),
        ),
        (
            format!(r#"{{{revive}, "port": 80}}"#),
            "the uuid is not a UUID".to_owned(),
        ),
        (
            r#"{"action": "heartbeat", "uuid": "x", "port": 80}"#.to_owned(),
            "the content has no type".to_owned(),
        ),
    ];
    for wrong in ["0", "86401", "-1", "1.5", "\"5\"", "true", "[]"] {
        cases.push((
            format!(r#"{{{register}, "ttl": {wrong}}}"#),
            format!("ttl {SECONDS}"),
        ));
        cases.push((
            format!(r#"{{{revive}, "port": 80, "ttl": {wrong}}}"#),
            format!("ttl {SECONDS}"),
        ));
        cases.push((
            format!(r#"{{{query}, "max-age": {wrong}}}"#),
            format!("max-age {SECONDS}"),
        ));
    }
    for (content, reason) in cases {
        let answer = ask_frame(service.address(), &content);
        assert_eq!(answer.content, "ERROR", "{content}");
        assert_eq!(answer.header["error"], *reason, "{content}");
    }
    assert_eq!(client.ask("query no"), "[]");
}

#[test]
fn input_that_ends_inside_a_frame_is_refused() {
    let service = Service::start(&[]);
    let whole = frame(r#"{"action": "query", "type": "a"}"#);
    for len in [1, 2, 50, whole.len() - 1] {
        let mut client = service.connect();
        client.send(&whole[..len]);
        client.end_input();
        let answer = Frame::parse(&client.rest());
        assert_eq!(
            (answer.content.as_str(), answer.header["error"].as_str()),
            ("ERROR", Some("the input ended inside a frame"))
        );
    }
}

#[test]
fn row_47_frames_split_anywhere_are_answered_as_in_one_piece() {
    let service = Service::start(&[]);
    let inputs = [
        frame(r#"{"action": "query", "type": "nobody"}"#),
        frame(r#"{"action": "register", "type": "a", "ip": "::", "port": 1}"#),
        raw_frame(r#"{"byteorder": "little"}"#, b""),
    ];
    for input in inputs {
        let whole = exchange(service.address(), &input);
        let mut clients: Vec<Client> = (0..=input.len()).map(|_| service.connect()).collect();
        for (cut, client) in clients.iter_mut().enumerate() {
            client.send(&input[..cut]);
        }
        for (cut, client) in clients.iter_mut().enumerate() {
            client.send(&input[cut..]);
            assert_eq!(client.rest(), whole, "cut at {cut}");
        }
        let mut client = service.connect();
        for byte in &input {
            client.send([*byte]);
        }
        assert_eq!(client.rest(), whole, "byte by byte");
    }
}

#[test]
fn the_other_actions_answer_like_their_text_commands() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let uuid = client.register("hive", "10.0.0.1", 80);
    client.register("a\"b", "::1", 81);
    for action in ["types", "list"] {
        let answer = ask_frame(service.address(), &format!(r#"{{"action": "{action}"}}"#));
        assert_eq!(answer.header["content-type"], "text/json");
        // These change from moment to moment.
        let masked = |text: &str| {
            let mut rows: serde_json::Value =
                serde_json::from_str(text).expect("once-encoded JSON");
            for row in rows.as_array_mut().expect("an array") {
                for key in ["age_ms", "heartbeat"] {
                    row.as_object_mut().expect("an object").remove(key);
                }
            }
            rows
        };
        assert_eq!(
            masked(&answer.content),
            masked(&client.ask(action)),
            "{action}"
        );
    }
    let of_type = ask_frame(service.address(), r#"{"action": "list", "type": "hive"}"#).content;
    assert!(
        of_type.contains("10.0.0.1") && !of_type.contains("::1"),
        "{of_type}"
    );
    let stats = ask_frame(service.address(), r#"{"action": "stats"}"#);
    let stats: serde_json::Value = serde_json::from_str(&stats.content).expect("JSON");
    assert_eq!(stats["registrations"], 2);
    let ping = ask_frame(service.address(), r#"{"action": "ping"}"#);
    assert_eq!(
        (ping.content.as_str(), &ping.header["content-type"]),
        ("PONG", &"text/plain".into())
    );
    let deregister = format!(r#"{{"action": "deregister", "uuid": "{uuid}"}}"#);
    assert_eq!(ask_frame(service.address(), &deregister).content, "OK");
    assert_eq!(
        ask_frame(service.address(), &deregister).content,
        "NOT FOUND"
    );
    assert_eq!(client.ask("query hive"), "[]");
}

#[test]
fn a_refusal_in_a_frame_has_a_stable_code_beside_its_reason() {
    let full = Service::start(&["--max-services", "1"]);
    full.connect().register("a", "10.0.0.1", 1);
    let tokens = private_file("secret\n");
    let guarded = Service::start(&["--token-file", path(&tokens)]);
    let other_format = |key: &str, value: &str| {
        let mut header = json!({"content-type": "text/json", "content-encoding": "utf-8",
            "content-length": 0});
        header[key] = value.into();
        raw_frame(&header.to_string(), b"")
    };
    let cases = [
        (&full, frame(r#"{"action": "query"}"#), "invalid"),
        (
            &full,
            frame(r#"{"action": "query", "type": "a", "max-age": 0}"#),
            "invalid",
        ),
        (&full, raw_frame("junk", b""), "invalid"),
        (&full, frame(r#"{"action": "hold"}"#), "unsupported"),
        (&full, frame(r#"{"action": "jump"}"#), "unsupported"),
        (
            &full,
            other_format("content-type", "text/html"),
            "unsupported",
        ),
        (
            &full,
            other_format("content-encoding", "utf-16"),
            "unsupported",
        ),
        (&full, vec![0, 0], "invalid"),
        (
            &full,
            raw_frame(
                r#"{"content-type": "text/json", "content-encoding": "utf-8", "content-length": 4097}"#,
                b"",
            ),
            "too_large",
        ),
        (
            &full,
            frame(r#"{"action": "register", "type": "a", "ip": "-", "port": 1}"#),
            "full",
        ),
        (&guarded, frame(r#"{"action": "types"}"#), "unauthenticated"),
        (
            &guarded,
            frame(r#"{"action": "types", "token": "wrong"}"#),
            "unauthenticated",
        ),
    ];
    for (service, bytes, code) in cases {
        let mut client = service.connect();
        client.send(&bytes);
        client.end_input();
        let answer = Frame::parse(&client.rest());
        assert_eq!(answer.content, "ERROR");
        assert!(answer.header["error"].is_string(), "{:?}", answer.header);
        assert_eq!(answer.header["code"], code, "{:?}", answer.header);
    }
}

#[test]
fn a_frame_with_its_length_in_the_other_byte_order_is_told_so_at_once() {
    let service = Service::start(&[]);
    let mut swapped = frame(r#"{"action": "register", "type": "a", "ip": "10.0.0.1", "port": 1}"#);
    swapped.swap(0, 1);
    swapped.extend(b"\nregister a 10.0.0.1 1\n");
    const LINE: &str = "ERROR a frame begins with the length of its header: 2 bytes, big-endian\n";
    for cut in [0, 1, 2, 50] {
        let mut client = service.connect();
        client.send(&swapped[..cut]);
        client.try_send(&swapped[cut..]);
        assert_eq!(client.text(), LINE, "cut at {cut}");
    }
    assert_eq!(service.connect().ask("query a"), "[]", "nothing is run");
}

#[test]
fn frames_carry_tags_metadata_and_limits_with_white_space_in_them() {
    let service = Service::start(&[]);
    let ask = |content: &str| ask_frame(service.address(), content).content;
    let uuid = ask(
        r#"{"action":"register","type":"hive","ip":"10.0.0.1","port":80,"tags":["a b","c"],"meta":{"k":"v w"}}"#,
    );
    assert!(is_uuid(&uuid), "{uuid}");
    let listed: serde_json::Value =
        serde_json::from_str(&ask(r#"{"action":"list"}"#)).expect("JSON");
    assert_eq!(listed[0]["tags"], json!(["a b", "c"]));
    assert_eq!(listed[0]["meta"], json!({"k": "v w"}));
    let found = |query: &str| ask(query).matches("port").count();
    for (query, count) in [
        (
            r#"{"action":"query","type":"hive","tags":["a b"],"meta":{"k":"v w"}}"#,
            1,
        ),
        (r#"{"action":"query","type":"hive","tags":["a"]}"#, 0),
        (
            r#"{"action":"query","type":"hive","limit":1,"tags":null}"#,
            1,
        ),
    ] {
        assert_eq!(found(query), count, "{query}");
    }
    let update = format!(r#"{{"action":"update","uuid":"{uuid}","tags":["d"]}}"#);
    assert_eq!(ask(&update), "OK");
    assert_eq!(found(r#"{"action":"query","type":"hive","tags":["d"]}"#), 1);
    for wrong in [
        r#"{"action":"query","type":"hive","tags":"d"}"#,
        r#"{"action":"query","type":"hive","tags":[1]}"#,
        r#"{"action":"query","type":"hive","meta":["k"]}"#,
        r#"{"action":"query","type":"hive","meta":{"k":1}}"#,
        r#"{"action":"query","type":"hive","meta":{"k":"a","k":"a"}}"#,
        r#"{"action":"query","type":"hive","limit":0}"#,
        r#"{"action":"query","type":"hive","limit":"1"}"#,
    ] {
        assert_eq!(ask(wrong), "ERROR", "{wrong}");
    }
}
