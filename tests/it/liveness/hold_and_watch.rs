//! Deregistering, replacing, holding and watching.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use crate::common::{Client, Service, is_uuid, path, private_file, wait_until};
use serde_json::{Value, json};

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The port of the only change in a delta, and whether it came (1) or went (-1).
fn change(line: &str) -> (i32, u64) {
    let line = parse(line);
    let port = |key: &str| line[key][0]["port"].as_u64();
    match (port("up"), port("down")) {
        (Some(up), None) => (1, up),
        (None, Some(down)) => (-1, down),
        _ => panic!("not one change: {line}"),
    }
}

#[test]
fn a_deregistered_service_is_gone_at_once_and_why_says_so() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let uuid = client.register("hive", "10.0.0.1", 80);
    let live = parse(&client.ask(&format!("why {uuid}")));
    assert_eq!(
        (&live["state"], &live["ip"], &live["held"]),
        (&json!("live"), &json!("10.0.0.1"), &json!(false))
    );
    assert_eq!(client.ask(&format!("deregister {uuid}")), "OK");
    assert_eq!(client.ask("query hive"), "[]");
    assert_eq!(client.ask(&format!("heartbeat {uuid}")), "NOT FOUND");
    assert_eq!(client.ask(&format!("deregister {uuid}")), "NOT FOUND");
    assert_eq!(client.ask("deregister ERROR"), "NOT FOUND");
    let gone = parse(&client.ask(&format!("why {uuid}")));
    assert_eq!(
        (&gone["state"], &gone["reason"]),
        (&json!("gone"), &json!("deregistered"))
    );
    let at = gone["at"].as_str().expect("a time");
    assert!(
        at.len() == "2026-11-23T16:20:15.123Z".len() && at.ends_with('Z'),
        "{at}"
    );
    assert_eq!(
        client.ask("why 3999da30-2a11-463a-be8e-6b2beca7bfe6"),
        "NOT FOUND"
    );
    assert_eq!(client.ask("why nobody"), "NOT FOUND");
}

#[test]
fn a_registration_has_the_ttl_it_asks_for() {
    let service = Service::start(&["--tick", "10"]);
    let mut client = service.connect();
    client.send("register hive 10.0.0.1 1 ttl=1\nregister hive 10.0.0.1 2\n");
    let (short, long) = (client.line(), client.line());
    let ttls = parse(&client.ask("list hive"));
    assert_eq!(
        (&ttls[0]["ttl_ms"], &ttls[1]["ttl_ms"]),
        (&json!(1_000), &json!(30_000))
    );
    wait_until("the short one expires", || {
        (!client.ask("query hive").contains("\"port\":1}")).then_some(())
    });
    assert_eq!(
        parse(&client.ask(&format!("why {short}")))["reason"],
        "expired"
    );
    assert_eq!(client.ask(&format!("heartbeat {long}")), "OK");
    assert_eq!(
        client.ask("query hive max-age=1"),
        r#"[{"ip":"10.0.0.1","port":2}]"#
    );
    wait_until("its heartbeat gets old", || {
        (client.ask("query hive max-age=1") == "[]").then_some(())
    });
    assert_eq!(client.ask("query hive"), r#"[{"ip":"10.0.0.1","port":2}]"#);
}

#[test]
fn register_with_replace_leaves_no_duplicate() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let first = client.register("hive", "10.0.0.1", 80);
    let second = client.register("hive", "10.0.0.1", 80);
    let others = [
        ("hive", "10.0.0.1", 81),
        ("hive", "10.0.0.2", 80),
        ("bee", "10.0.0.1", 80),
    ]
    .map(|(service_type, ip, port)| client.register(service_type, ip, port));
    assert!(is_uuid(&client.ask("register hive 10.0.0.1 80 replace")));
    for uuid in [first, second] {
        assert_eq!(client.ask(&format!("heartbeat {uuid}")), "NOT FOUND");
        assert_eq!(
            parse(&client.ask(&format!("why {uuid}")))["reason"],
            "replaced"
        );
    }
    for uuid in others {
        assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
    }
    assert_eq!(
        client
            .ask("query hive")
            .matches("\"ip\":\"10.0.0.1\",\"port\":80}")
            .count(),
        1
    );
}

#[test]
fn a_dash_stands_for_the_address_that_the_connection_comes_from() {
    let service = Service::start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    for (address, ip) in service.addresses().iter().zip(["127.0.0.1", "::1"]) {
        let mut client = Client::connect(*address);
        let service_type = format!("on-{ip}");
        assert!(is_uuid(
            &client.ask(&format!("register {service_type} - 80"))
        ));
        assert!(is_uuid(&client.ask(&format!("hold {service_type} - 81"))));
        assert_eq!(
            client.ask(&format!("query {service_type}")),
            format!(r#"[{{"ip":"{ip}","port":80}},{{"ip":"{ip}","port":81}}]"#)
        );
    }
}

#[test]
fn after_a_restart_of_the_registry_one_round_of_heartbeats_restores_everything() {
    let mut service = Service::start(&[]);
    let mut client = service.connect();
    let uuids: Vec<String> = (1..=100)
        .map(|port| client.register("hive", "10.0.0.1", port))
        .collect();
    let before = client.ask("query hive");
    service.signal("TERM");
    service.wait();
    let service = Service::start(&[]);
    let mut client = service.connect();
    for (port, uuid) in (1..).zip(&uuids) {
        client.send(format!("heartbeat {uuid} hive 10.0.0.1 {port} ttl=60\n"));
    }
    for _ in &uuids {
        assert_eq!(client.line(), "OK");
    }
    assert_eq!(client.ask("query hive"), before);
    assert_eq!(
        client.ask(&format!("heartbeat {}", uuids[7])),
        "OK",
        "under its own UUID"
    );
    assert_eq!(parse(&client.ask("list hive"))[7]["ttl_ms"], 60_000);
}

#[test]
fn the_long_heartbeat_never_confirms_a_registration_of_another_type_or_address() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let uuid = client.register("hive", "10.0.0.1", 80);
    let mut long = |words: &str| client.ask(&format!("heartbeat {words}"));
    for other in ["bee 10.0.0.1 80", "hive 10.0.0.2 80", "hive 10.0.0.1 81"] {
        assert_eq!(
            long(&format!("{uuid} {other}")),
            "ERROR another service has this UUID",
            "{other}"
        );
    }
    assert_eq!(long(&format!("{uuid} hive 10.0.0.1 80 ttl=5")), "OK");
    // A program that counts up its UUIDs meets those of others.
    for guessable in [
        "00000000-0000-0000-0000-000000000000",
        "3999da30-2a11-163a-be8e-6b2beca7bfe6",
    ] {
        assert_eq!(
            long(&format!("{guessable} hive 10.0.0.3 80")),
            "ERROR the uuid is not of version 4: use one that register gave"
        );
    }
    assert_eq!(client.ask("query hive"), r#"[{"ip":"10.0.0.1","port":80}]"#);
    assert_eq!(client.ask("query bee"), "[]");
}

#[test]
fn types_list_and_stats_show_what_is_live_and_never_a_uuid() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(
        (client.ask("types"), client.ask("list")),
        ("[]".to_owned(), "[]".to_owned())
    );
    let uuids = [
        client.register("web", "10.0.0.2", 80),
        client.register("api\"\\", "::1", 81),
        client.register("web", "10.0.0.1", 80),
        client.ask("hold web 10.0.0.3 80"),
    ];
    assert_eq!(
        client.ask("types"),
        r#"[{"type":"api\"\\","count":1},{"type":"web","count":3}]"#
    );
    let list = client.ask("list");
    let rows = parse(&list);
    let ips: Vec<&str> = rows
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| row["ip"].as_str().expect("ip"))
        .collect();
    assert_eq!(
        ips,
        ["::1", "10.0.0.2", "10.0.0.1", "10.0.0.3"],
        "by type, then the oldest first"
    );
    assert_eq!(
        (&rows[1]["held"], &rows[3]["held"]),
        (&json!(false), &json!(true))
    );
    let keys: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "age_ms",
            "heartbeat",
            "held",
            "id",
            "ip",
            "meta",
            "port",
            "tags",
            "ttl_ms",
            "type"
        ]
    );
    assert!(
        client
            .ask("list web")
            .contains(r#","type":"web","ip":"10.0.0.2","port":80,"heartbeat":""#)
    );
    assert_eq!(client.ask("list nothing"), "[]");
    client.ask("nonsense");
    let stats = client.ask("stats");
    for uuid in uuids {
        assert!(
            !list.contains(&uuid) && !stats.contains(&uuid),
            "a UUID is the right to change a registration"
        );
    }
    let stats = parse(&stats);
    for (key, value) in [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("registrations", json!(4)),
        ("types", json!(2)),
        ("connections", json!(1)),
        ("watchers", json!(0)),
        ("errors", json!(1)),
        ("expirations", json!(0)),
        ("refused_connections", json!(0)),
    ] {
        assert_eq!(stats[key], value, "{key}");
    }
    assert_eq!(
        (&stats["commands"]["register"], &stats["commands"]["list"]),
        (&json!(3), &json!(4))
    );
    assert!(
        stats["bytes_in"].as_u64() > Some(100) && stats["bytes_out"].as_u64() > Some(500),
        "{stats}"
    );
    for key in ["uptime_seconds", "stalled_seconds", "worst_turn_us"] {
        assert!(stats[key].is_number(), "{key}");
    }
}

#[test]
fn ping_and_help_answer_and_quit_closes() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask("PING"), "PONG");
    let help = client.ask("help");
    let usages = help.strip_prefix("commands: ").expect("what follows");
    let usages = usages.split(", ").map(|usage| usage.split(' ').next());
    let verbs: Vec<&str> = usages.flatten().collect();
    for verb in [
        "register",
        "heartbeat",
        "hold",
        "query",
        "list",
        "types",
        "why",
        "watch",
        "stats",
        "quit",
        "auth",
    ] {
        assert!(verbs.contains(&verb), "{help}");
    }
    client.send("ping\nquit\nping\n");
    assert_eq!(
        client.text(),
        "PONG\n",
        "answered, then closed without a reset"
    );
}

#[test]
fn without_a_token_only_ping_is_answered() {
    let tokens = private_file("secret\n");
    let service = Service::start(&["--token-file", path(&tokens)]);
    let mut client = service.connect();
    assert_eq!(client.ask("ping"), "PONG");
    let verbs = [
        "hold hive - 80",
        "watch",
        "types",
        "list",
        "stats",
        "help",
        "quit",
        "why x",
        "deregister x",
        "query a",
    ];
    for verb in verbs {
        assert_eq!(client.ask(verb), "ERROR authentication required", "{verb}");
    }
    assert_eq!(client.ask("auth secret"), "OK");
    assert_eq!(client.ask("types"), "[]");
    let frame = crate::common::ask_frame(service.address(), r#"{"action": "ping"}"#);
    assert_eq!(frame.content, "PONG");
}

/// A process that holds a registration until it is killed.
fn holder(service: &Service, port: u16) -> std::process::Child {
    let code = "import socket,sys,time\n\
        s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        s.sendall(b'hold hive 10.0.0.1 ' + sys.argv[2].encode() + b'\\n')\n\
        s.recv(100)\n\
        time.sleep(600)\n";
    let args = [service.address().port().to_string(), port.to_string()];
    Command::new("python3")
        .args(["-c", code])
        .args(args)
        .stdin(Stdio::null())
        .spawn()
        .expect("Python 3 is there")
}

#[test]
fn row_49_watchers_are_told_at_once_however_a_holder_dies() {
    let service = Service::start(&[]);
    let (mut watcher, mut client) = (service.connect(), service.connect());
    assert!(watcher.ask("watch hive").ends_with(r#","services":[]}"#));

    let mut killed = holder(&service, 1);
    assert_eq!(change(&watcher.line()), (1, 1));
    killed.kill().expect("it runs");
    killed.wait().expect("it is ours");
    assert_eq!(change(&watcher.line()), (-1, 1), "kill -9");

    let mut reset = service.connect();
    let uuid = reset.ask("hold hive 10.0.0.1 2");
    assert_eq!(change(&watcher.line()), (1, 2));
    assert_eq!(parse(&client.ask("list hive"))[0]["held"], true);
    reset.reset();
    assert_eq!(change(&watcher.line()), (-1, 2), "a reset");
    assert_eq!(
        parse(&client.ask(&format!("why {uuid}")))["reason"],
        "connection closed"
    );

    let mut ends = service.connect();
    ends.ask("hold hive 10.0.0.1 3");
    assert_eq!(change(&watcher.line()), (1, 3));
    ends.end_input();
    assert_eq!(change(&watcher.line()), (-1, 3), "the end of its input");

    let mut quits = service.connect();
    quits.send("hold hive 10.0.0.1 4\nhold hive 10.0.0.1 5\n");
    quits.line();
    let up = parse(&watcher.line());
    let both = up["up"].as_array().map(Vec::len) == Some(2) || change(&watcher.line()).0 == 1;
    assert!(both, "{up}");
    quits.send("quit\n");
    let down = parse(&watcher.line());
    assert_eq!(
        down["down"].as_array().map(Vec::len),
        Some(2),
        "all that it held, in one line: {down}"
    );
    assert_eq!(client.ask("query hive"), "[]");
}

#[test]
fn a_watcher_that_has_lagged_gets_a_snapshot_when_it_reads_again() {
    let service = Service::start(&["--idle-timeout", "1"]);
    let (mut watcher, mut client) = (service.connect(), service.connect());
    watcher.ask("watch");
    // Far more than the buffers of two sockets hold.
    const ROUNDS: u16 = 400;
    let before = service.status_kb("RssAnon");
    for round in 0..ROUNDS {
        let lines: String = (1..=250)
            .map(|port| format!("register hive 10.0.{}.1 {port}\n", round % 200))
            .collect();
        client.send(lines);
        for _ in 0..250 {
            client.line();
        }
    }
    let grown = service.status_kb("RssAnon").saturating_sub(before);
    assert!(grown < 100_000 * 128 / 1024 + 20_000, "{grown} kB more");
    client.ask("register done 10.0.0.1 1");
    let mut known = HashSet::new();
    let mut states = 0;
    let (mut is_whole, mut has_end) = (false, false);
    while !(is_whole && has_end) {
        let line = parse(&watcher.line());
        let rows = |key: &str| line[key].as_array().cloned().unwrap_or_default();
        if line["services"].is_array() {
            if line["part"].as_u64().unwrap_or(1) == 1 {
                states += 1;
                known.clear();
            }
            is_whole = line["more"] != true;
        }
        for row in rows("services").into_iter().chain(rows("up")) {
            has_end |= row["type"] == "done";
            known.insert(row["id"].to_string());
        }
        for row in rows("down") {
            known.remove(&row["id"].to_string());
        }
    }
    assert_eq!(known.len(), usize::from(ROUNDS) * 250 + 1);
    assert!(states >= 1, "it lagged and got a snapshot");
}

#[test]
fn the_log_names_late_heartbeats_and_refused_registrations() {
    let service = Service::start(&["--max-services", "1", "--tick", "10"]);
    let mut client = service.connect();
    let mut uuids = vec![client.ask("register hive 10.0.0.1 80 ttl=60")];
    let full = client.ask("register hive 10.0.0.1 81");
    assert_eq!(full, "ERROR registry full");
    client.ask(&format!("deregister {}", uuids[0]));
    // On a slow machine the last tenth of its TTL may pass before the heartbeat comes; then another
    // registration is as good.
    wait_until("a heartbeat in the last tenth of the TTL", || {
        let rows = parse(&client.ask("list hive"));
        match rows[0]["age_ms"].as_u64() {
            None => uuids.push(client.ask("register hive 10.0.0.1 80 ttl=2")),
            Some(..1_800) => {}
            Some(_) => {
                let uuid = uuids.last().expect("it is registered");
                return (client.ask(&format!("heartbeat {uuid}")) == "OK").then_some(());
            }
        }
        None
    });
    let log = wait_until("both lines in the log", || {
        let lines = [
            "within 10 % of its TTL of 2000 ms",
            "all 1 of --max-services",
        ];
        let log = service.log();
        lines.iter().all(|line| log.contains(line)).then_some(log)
    });
    assert!(!uuids.iter().any(|uuid| log.contains(uuid)), "{log}");
}

#[test]
fn a_service_that_stops_sends_its_watchers_no_removals() {
    let mut service = Service::start(&[]);
    let (mut watcher, mut holder) = (service.connect(), service.connect());
    watcher.ask("watch");
    holder.ask("hold hive 10.0.0.1 80");
    assert_eq!(change(&watcher.line()), (1, 80));
    service.signal("TERM");
    assert_eq!(watcher.text(), "");
    assert!(service.wait().success());
}
