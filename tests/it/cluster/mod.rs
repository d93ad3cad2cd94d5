//! The real binary as nodes of a cluster, with a real etcd. Where none is installed the tests are skipped, and
//! say so. `tests/cluster` has every failure, with an etcd that is simulated.

mod faults;
mod mishaps;
mod readiness;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::common::{Client, Service, command, finish, wait_until};
use crate::etcd::Etcd;

/// The newest version that is supported.
const ETCD: &str = "etcd-3.5";

/// A node whose lease is short, so that its death is soon known.
fn node(etcd: &Etcd, name: &str) -> Service {
    node_with(etcd.address, name, &[])
}

fn node_with(etcd: SocketAddr, name: &str, more: &[&str]) -> Service {
    let url = format!("http://{etcd}");
    let mut arguments = vec!["--cluster", &url, "--node-name", name];
    arguments.extend(["--cluster-lease", "5", "--cluster-grace", "3"]);
    arguments.extend(more);
    Service::start(&arguments)
}

/// The records of a type at a node.
fn list(client: &mut Client, service_type: &str) -> Vec<Value> {
    let answer = client.ask(&format!("list {service_type}"));
    serde_json::from_str(&answer).expect("an array")
}

/// Waits until a node says that so many of a type are owned by the node with this name.
fn until_owned(client: &mut Client, service_type: &str, count: usize, by: &str) {
    wait_until(&format!("{count} {service_type} at {by}"), || {
        let records = list(client, service_type);
        let of_node = records.iter().filter(|record| record["node"] == by);
        (of_node.count() == count).then_some(())
    });
}

/// Waits until a node has no registration of the type.
fn until_gone(client: &mut Client, service_type: &str) {
    let query = format!("query {service_type}");
    wait_until("it is gone", || (client.ask(&query) == "[]").then_some(()));
}

#[test]
fn what_is_registered_at_one_node_is_known_at_all_and_any_node_takes_its_heartbeat() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (a, b, c) = (node(&etcd, "a"), node(&etcd, "b"), node(&etcd, "c"));
    let (mut at_a, mut at_b, mut at_c) = (a.connect(), b.connect(), c.connect());
    let mut watcher = c.connect();
    watcher.send("watch web\n");
    assert!(watcher.line().ends_with(r#""services":[]}"#));
    let uuid = at_a
        .ask("register web 10.0.0.1 80 tag=blue meta.zone=1")
        .to_owned();
    let told = watcher.line();
    assert!(told.contains(r#""ip":"10.0.0.1""#), "{told}");
    until_owned(&mut at_b, "web", 1, "a");
    let [record] = &list(&mut at_b, "web")[..] else {
        panic!("it is once there");
    };
    let [own] = &list(&mut at_a, "web")[..] else {
        panic!("it is once there");
    };
    assert_eq!((&record["id"], &record["tags"]), (&own["id"], &own["tags"]));
    assert_eq!(record["heartbeat"], Value::Null, "only its node knows");
    assert!(own["heartbeat"].is_string());
    // The key in etcd is no right.
    let key = etcd_key(&etcd);
    assert_eq!(at_b.ask(&format!("heartbeat {key}")), "NOT FOUND");

    assert_eq!(at_b.ask(&format!("heartbeat {uuid}")), "OK");
    until_owned(&mut at_c, "web", 1, "b");
    until_owned(&mut at_a, "web", 1, "b");
    assert_eq!(at_c.ask(&format!("update {uuid} tag=green")), "OK");
    until_owned(&mut at_a, "web", 1, "c");
    assert_eq!(list(&mut at_a, "web")[0]["tags"][0], "green");
    let told = watcher.line();
    assert!(
        told.contains("green") && told.contains(r#""down":[]"#),
        "{told}"
    );

    assert_eq!(at_a.ask(&format!("deregister {uuid}")), "OK");
    until_gone(&mut at_b, "web");
    until_gone(&mut at_c, "web");
    let told = watcher.line();
    assert!(told.contains(r#""reason":"deregistered""#), "{told}");
    assert_eq!(at_b.ask(&format!("heartbeat {uuid}")), "NOT FOUND");
    assert!(at_c.ask(&format!("why {uuid}")).contains("deregistered"));
}

/// The key of the only registration in etcd, in the form of a UUID.
fn etcd_key(etcd: &Etcd) -> String {
    let (from, end) = (
        STANDARD.encode("/discovery/v1/reg/"),
        STANDARD.encode("/discovery/v1/reg0"),
    );
    let range = format!(r#"{{"key":"{from}","range_end":"{end}"}}"#);
    let answer = etcd.ask("/v3/kv/range", &range);
    let key = answer["kvs"][0]["key"].as_str().expect("a key");
    let key = String::from_utf8(STANDARD.decode(key).expect("base64")).expect("UTF-8");
    let (_, digits) = key.rsplit_once('/').expect("a path");
    digits.parse::<uuid::Uuid>().expect("32 digits").to_string()
}

#[test]
fn a_hold_that_comes_to_another_node_takes_its_own_place() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let (mut at_a, mut at_b) = (a.connect(), b.connect());
    let first = at_a.ask("hold web 10.0.0.1 80");
    let mut reader = b.connect();
    until_owned(&mut reader, "web", 1, "a");
    // Its heartbeat elsewhere takes nothing over: the connection holds it.
    assert_eq!(reader.ask(&format!("heartbeat {first}")), "OK");
    until_owned(&mut reader, "web", 1, "a");

    let second = at_b.ask("hold web 10.0.0.1 80");
    assert_ne!(first, second);
    assert_eq!(list(&mut reader, "web").len(), 1);
    let mut reader = a.connect();
    until_owned(&mut reader, "web", 1, "b");
    assert_eq!(list(&mut reader, "web").len(), 1, "it does not stand twice");
    assert_eq!(at_a.ask(&format!("heartbeat {first}")), "NOT FOUND");
    drop(at_b);
    until_gone(&mut reader, "web");
}

#[test]
fn row_61_what_is_held_at_a_node_that_stops_is_taken_over_by_its_holder_without_a_gap() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (mut a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let (mut at_a, mut reader) = (a.connect(), b.connect());
    at_a.ask("hold web 10.0.0.1 80");
    at_a.ask("hold other 10.0.0.2 80");
    until_owned(&mut reader, "web", 1, "a");
    until_owned(&mut reader, "other", 1, "a");
    let mut watcher = b.connect();
    watcher.send("watch\n");
    watcher.line();
    // Somebody who does not read what it has asked for: the node has the time to tell of what ends.
    let mut slow = a.connect();
    slow.try_send("help\n".repeat(20_000));
    a.signal("TERM");
    let begin = Instant::now();
    assert!(a.wait().success());
    assert!(begin.elapsed() >= Duration::from_secs(1), "it has waited");
    // Its lease is over by now, and what was under it stays for its TTL.
    wait_until("the lease is over", || {
        let stats: Value = serde_json::from_str(&reader.ask("stats")).expect("an object");
        (stats["cluster"]["orphaned"] == 2).then_some(())
    });
    let mut at_b = b.connect();
    at_b.ask("hold web 10.0.0.1 80");
    let told = watcher.line();
    assert!(
        told.contains(r#""up":[{"#) && told.contains(r#""reason":"replaced""#),
        "{told}"
    );
    assert_eq!(list(&mut reader, "web").len(), 1);
    assert_eq!(list(&mut reader, "other").len(), 1);
}

#[test]
fn a_node_that_starts_tells_the_oldest_first_as_the_others_do() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let (mut at_a, mut at_b) = (a.connect(), b.connect());
    for count in 1..=8 {
        at_a.ask(&format!("register web 10.0.0.1 {count}"));
        // Each is created at a revision of its own.
        until_owned(&mut at_b, "web", count, "a");
    }
    let c = node(&etcd, "c");
    let all = at_a.ask("query web").to_owned();
    assert_eq!(c.connect().ask("query web"), all);
    assert_eq!(at_b.ask("query web"), all);
}

#[test]
fn a_registration_that_replaces_does_so_at_every_node() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let (mut at_a, mut at_b) = (a.connect(), b.connect());
    let first = at_a.register("web", "10.0.0.1", 80);
    until_owned(&mut at_b, "web", 1, "a");
    let mut watcher = a.connect();
    watcher.send("watch web\n");
    watcher.line();
    at_b.ask("register web 10.0.0.1 80 replace");
    until_owned(&mut at_a, "web", 1, "b");
    assert_eq!(list(&mut at_a, "web").len(), 1);
    // So `run` learns that somebody else is there now, and waits.
    let why = at_a.ask(&format!("why {first}"));
    assert!(why.contains(r#""reason":"replaced""#), "{why}");
    let told = watcher.line();
    assert!(told.contains(r#""reason":"replaced""#), "{told}");
    let second = at_a.register("web", "10.0.0.1", 81);
    until_owned(&mut at_b, "web", 1, "a");
    assert_eq!(at_b.ask(&format!("deregister {second}")), "OK");
    let why = wait_until("it is removed", || {
        let why = at_a.ask(&format!("why {second}"));
        (!why.contains("live")).then_some(why)
    });
    assert!(why.contains(r#""reason":"deregistered""#), "{why}");
    assert_eq!(at_a.ask(&format!("heartbeat {first}")), "NOT FOUND");
}

#[test]
fn what_was_answered_by_a_node_that_stops_is_in_etcd() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let (mut a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let (mut at_a, mut at_b) = (a.connect(), b.connect());
    at_a.ask("register web 10.0.0.1 80");
    until_owned(&mut at_b, "web", 1, "a");
    let ports = 81..=400;
    for port in ports.clone() {
        at_a.send(format!("register web 10.0.0.1 {port}\n"));
    }
    for _ in ports {
        assert_eq!(at_a.line().len(), 36);
    }
    a.signal("TERM");
    assert!(a.wait().success());
    until_owned(&mut at_b, "web", 321, "a");
    let range =
        r#"{"key":"L2Rpc2NvdmVyeS92MS9ub2RlLw==","range_end":"L2Rpc2NvdmVyeS92MS9ub2RlMA=="}"#;
    let nodes = etcd.ask("/v3/kv/range", range);
    let values = nodes["kvs"].as_array().expect("two nodes").iter();
    let text = |pair: &Value| {
        let value = STANDARD.decode(pair["value"].as_str().expect("a value"));
        String::from_utf8(value.expect("base64")).expect("UTF-8")
    };
    let told: Vec<String> = values.map(text).collect();
    let leaving = told
        .iter()
        .filter(|value| value.contains("leaving"))
        .count();
    assert_eq!((told.len(), leaving), (2, 1), "{told:?}");
}

#[test]
fn a_node_does_not_join_a_cluster_of_another_name() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let _first = node(&etcd, "a");
    let name = r#"{"key":"L2Rpc2NvdmVyeS92MS9jbHVzdGVy"}"#;
    wait_until("it has its name", || {
        let answer = etcd.ask("/v3/kv/range", name);
        answer.get("kvs").map(drop)
    });
    let mut other = command();
    let url = format!("http://{}", etcd.address);
    other.args(["--listen", "127.0.0.1:0", "--cluster", &url]);
    other.args(["--cluster-name", "other"]);
    let ended = finish(other);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.stderr.contains("belongs to the cluster \"default\""),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.is_empty(), "it has not listened");
}

#[test]
fn without_a_change_not_one_byte_goes_to_etcd_for_a_heartbeat() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let a = node(&etcd, "a");
    let mut client = a.connect();
    let uuid = client.ask("register web 10.0.0.1 80");
    let revision = || etcd.ask("/v3/kv/range", r#"{"key":"YQ=="}"#)["header"]["revision"].clone();
    let settled = wait_until("it is written", || {
        let before = revision();
        std::thread::sleep(Duration::from_millis(100));
        (before == revision()).then_some(before)
    });
    for _ in 0..1_000 {
        assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
    }
    assert_eq!(revision(), settled);
}
