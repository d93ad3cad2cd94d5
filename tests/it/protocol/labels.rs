//! Tags and metadata, and the public name of a registration.

use serde_json::{Value, json};

use crate::common::{Client, Service};

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The ports that a query answers.
fn ports(client: &mut Client, query: &str) -> Vec<u64> {
    let answer = parse(&client.ask(query));
    let rows = answer.as_array().expect("an array").iter();
    rows.map(|row| row["port"].as_u64().expect("a port"))
        .collect()
}

#[test]
fn a_registration_has_tags_and_metadata_in_every_answer_and_can_be_given_others() {
    let service = Service::start(&[]);
    let (mut client, mut watcher) = (service.connect(), service.connect());
    watcher.ask("watch hive");
    let uuid = client.ask("register hive 10.0.0.1 80 tag=blue tag=\"a\" tag=blue meta.v=2 ttl=60");
    let told = parse(&watcher.line());
    let up = &told["up"][0];
    assert_eq!(up["tags"], json!(["blue", "\"a\""]));
    assert_eq!(up["meta"], json!({"v": "2"}));
    let listed = parse(&client.ask("list hive"))[0].clone();
    assert_eq!(listed["id"], up["id"], "the same name everywhere");
    assert_eq!(listed["tags"], up["tags"]);
    assert_eq!(listed["meta"], up["meta"]);
    let mut live = parse(&client.ask(&format!("why {uuid}")));
    live.as_object_mut().expect("an object").remove("state");
    assert_eq!(live["id"], listed["id"]);

    assert_eq!(client.ask(&format!("update {uuid} meta.v=3")), "OK");
    let told = parse(&watcher.line());
    let changed = &told["up"][0];
    assert_eq!(changed["id"], listed["id"], "the same registration");
    assert_eq!(changed["meta"], json!({"v": "3"}));
    assert!(changed["tags"].is_null(), "all others are gone");
    assert_eq!(told["down"], json!([]));
    assert_eq!(client.ask(&format!("update {uuid}")), "OK");
    let told = parse(&watcher.line());
    assert!(told["up"][0]["meta"].is_null());
    let listed = parse(&client.ask("list"))[0].clone();
    assert_eq!((&listed["tags"], &listed["meta"]), (&json!([]), &json!({})));

    assert_eq!(client.ask(&format!("deregister {uuid}")), "OK");
    let told = parse(&watcher.line());
    assert_eq!(told["down"][0]["id"], listed["id"]);
    assert_eq!(told["down"][0]["reason"], "deregistered");
    assert_eq!(client.ask(&format!("update {uuid} tag=a")), "NOT FOUND");
    assert_eq!(client.ask("update ERROR tag=a"), "NOT FOUND");
    let revived = format!("heartbeat {uuid} hive 10.0.0.1 80 tag=back");
    assert_eq!(client.ask(&revived), "OK");
    let told = parse(&watcher.line());
    assert_eq!(told["up"][0]["id"], listed["id"], "a UUID has one name");
    assert_eq!(told["up"][0]["tags"], json!(["back"]));
}

#[test]
fn a_query_finds_those_that_have_all_tags_and_pairs() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    for (port, labels) in [
        (1, ""),
        (2, "tag=a"),
        (3, "tag=a tag=b meta.v=1"),
        (4, "tag=b meta.v=1 meta.w=1"),
        (5, "tag=a tag=b meta.v=2"),
    ] {
        client.ask(&format!("register hive 10.0.0.1 {port} {labels}"));
    }
    for (filter, expected) in [
        ("", &[1, 2, 3, 4, 5][..]),
        ("tag=a", &[2, 3, 5]),
        ("tag=b tag=a", &[3, 5]),
        ("meta.v=1", &[3, 4]),
        ("tag=a meta.v=1", &[3]),
        ("meta.v=1 meta.w=1 max-age=9", &[4]),
        ("tag=A", &[]),
        ("meta.w=", &[]),
    ] {
        let found = ports(&mut client, &format!("query hive {filter}"));
        assert_eq!(found, expected, "{filter}");
    }
    let mut drawn: Vec<u64> = Vec::new();
    for _ in 0..200 {
        let some = ports(&mut client, "query hive tag=a limit=2");
        assert_eq!(some.len(), 2);
        assert!(some.is_sorted());
        drawn.extend(some);
    }
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn, [2, 3, 5], "each has its chance");
    assert_eq!(ports(&mut client, "query hive limit=9"), [1, 2, 3, 4, 5]);
}

#[test]
fn a_hold_takes_the_options_of_a_registration() {
    let service = Service::start(&[]);
    let (mut holder, mut client) = (service.connect(), service.connect());
    client.ask("register hive 10.0.0.1 80");
    client.ask("register hive 10.0.0.1 81");
    holder.ask("hold hive 10.0.0.1 80 replace ttl=7 tag=a meta.k=v");
    let listed = parse(&client.ask("list hive"));
    let rows = listed.as_array().expect("an array");
    assert_eq!(rows.len(), 2, "one was replaced: {listed}");
    let held = &rows[1];
    assert_eq!((&held["port"], &held["held"]), (&json!(80), &json!(true)));
    assert_eq!(held["ttl_ms"], 7_000);
    assert_eq!(
        (&held["tags"], &held["meta"]),
        (&json!(["a"]), &json!({"k": "v"}))
    );
}

#[test]
fn a_draw_of_a_large_type_gives_each_its_chance_too() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    for port in 1..=10_000 {
        client.send(format!("register hive 10.0.0.1 {port}\n"));
    }
    (0..10_000).for_each(|_| drop(client.line()));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let drawn = ports(&mut client, "query hive limit=4");
        assert_eq!(drawn.len(), 4);
        let all = parse(&client.ask("query hive limit=4096"));
        assert_eq!(all.as_array().map(Vec::len), Some(4_096));
        seen.extend(drawn);
    }
    assert!(seen.len() > 100, "{} of 200 differ", seen.len());
}
