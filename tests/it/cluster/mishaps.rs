//! What operators do to the etcd of whole nodes: passwords, leases that are revoked, keys that are deleted,
//! backups that are restored.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{ETCD, list, node, node_with, until_gone, until_owned};
use crate::common::{Client, Service, path, private_file, wait_until};
use crate::etcd::{Etcd, VERSIONS, require_password};

/// All keys below `/discovery/`.
const ALL: &str = r#"{"key":"L2Rpc2NvdmVyeS8=","range_end":"L2Rpc2NvdmVyeTA="}"#;

/// All keys below `/discovery/v1/reg/`.
const REGISTRATIONS: &str =
    r#"{"key":"L2Rpc2NvdmVyeS92MS9yZWcv","range_end":"L2Rpc2NvdmVyeS92MS9yZWcw"}"#;

/// Two nodes that own a registration each, somebody who asks at each, and a watcher at the second one.
struct Pair {
    _nodes: [Service; 2],
    clients: [Client; 2],
    watcher: Client,
}

impl Pair {
    fn new(etcd: &Etcd) -> Self {
        let nodes = [node(etcd, "a"), node(etcd, "b")];
        let mut clients = [nodes[0].connect(), nodes[1].connect()];
        clients[0].ask("register web 10.0.0.1 80");
        clients[1].ask("register web 10.0.0.2 80");
        until_owned(&mut clients[0], "web", 1, "b");
        until_owned(&mut clients[1], "web", 1, "a");
        let mut watcher = nodes[1].connect();
        watcher.send("watch web\n");
        watcher.line();
        Pair {
            _nodes: nodes,
            clients,
            watcher,
        }
    }

    /// Registers one more at the first node and removes it again at the second one: what the watcher was
    /// told as gone before that.
    fn told_as_gone(&mut self) -> Vec<String> {
        let uuid = self.clients[0].ask("register web 10.0.0.99 80");
        let [_, at_b] = &mut self.clients;
        wait_until("it is known", || {
            let records = list(at_b, "web");
            let is_there = records.iter().any(|record| record["ip"] == "10.0.0.99");
            is_there.then_some(())
        });
        assert_eq!(at_b.ask(&format!("deregister {uuid}")), "OK");
        let mut gone = Vec::new();
        loop {
            let update: Value = serde_json::from_str(&self.watcher.line()).expect("an update");
            for down in update["down"].as_array().expect("a list") {
                if down["ip"] == "10.0.0.99" {
                    return gone;
                }
                gone.push(down["ip"].as_str().expect("an address").to_owned());
            }
        }
    }
}

/// The addresses of what etcd has.
fn written(etcd: &Etcd) -> BTreeSet<String> {
    let answer = etcd.ask("/v3/kv/range", REGISTRATIONS);
    let pairs = answer["kvs"].as_array().cloned().unwrap_or_default();
    let address = |pair: &Value| {
        let value = STANDARD.decode(pair["value"].as_str().expect("a value"));
        let record: Value = serde_json::from_slice(&value.expect("base64")).expect("a record");
        record["a"].as_str().expect("an address").to_owned()
    };
    pairs.iter().map(address).collect()
}

fn until_written(etcd: &Etcd, numbers: &[u8]) {
    let address = |number: &u8| format!("10.0.0.{number}:80");
    let expected: BTreeSet<String> = numbers.iter().map(address).collect();
    wait_until("all that lives is in etcd", || {
        (written(etcd) == expected).then_some(())
    });
}

#[test]
fn with_each_version_of_etcd_what_is_registered_at_one_node_is_deregistered_at_another() {
    for etcd in VERSIONS.into_iter().filter_map(Etcd::start) {
        let (a, b) = (node(&etcd, "a"), node(&etcd, "b"));
        let (mut at_a, mut at_b) = (a.connect(), b.connect());
        let uuid = at_a.ask("register web 10.0.0.1 80 ttl=30").to_owned();
        until_owned(&mut at_b, "web", 1, "a");
        assert_eq!(at_b.ask(&format!("deregister {uuid}")), "OK");
        until_gone(&mut at_a, "web");
        assert_eq!(at_a.ask(&format!("heartbeat {uuid}")), "NOT FOUND");
    }
}

#[test]
fn a_node_reads_its_password_again_on_sighup_and_needs_no_more_than_its_prefix() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    require_password(&etcd, "node", "secret", "/discovery/");
    let (wrong, right) = (private_file("wr0ng\n"), private_file("secret\n"));
    let start = |name: &str, password: &str| {
        let user = [
            "--cluster-user",
            "node",
            "--cluster-password-file",
            password,
        ];
        node_with(
            etcd.address,
            name,
            &[&user[..], &["--cluster-wait", "0"]].concat(),
        )
    };
    let (a, b) = (start("a", path(&wrong)), start("b", path(&right)));
    let (mut at_a, mut at_b) = (a.connect(), b.connect());
    let uuid = at_b.ask("register web 10.0.0.1 80").to_owned();
    wait_until("the log says so", || {
        let log = a.log();
        (log.contains("cluster:") && log.contains("etcd at")).then_some(())
    });
    assert!(at_a.ask("query web").starts_with("ERROR not ready"));
    std::fs::write(&wrong, "secret\n").expect("it is ours");
    a.signal("HUP");
    until_owned(&mut at_a, "web", 1, "b");
    assert_eq!(at_a.ask(&format!("heartbeat {uuid}")), "OK");
    until_owned(&mut at_b, "web", 1, "a");
    for log in [a.log(), b.log()] {
        assert!(!log.contains("wr0ng") && !log.contains("secret"), "{log}");
    }
}

#[test]
fn row_61_an_operator_who_revokes_all_leases_removes_nothing() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let mut pair = Pair::new(&etcd);
    let leases = etcd.ask("/v3/lease/leases", "{}");
    let leases = leases["leases"].as_array().expect("a list").clone();
    assert_eq!(leases.len(), 2);
    for lease in leases {
        let id = lease["ID"].as_str().expect("a number");
        etcd.ask("/v3/lease/revoke", &format!(r#"{{"ID":"{id}"}}"#));
    }
    until_written(&etcd, &[1, 2]);
    assert!(pair.told_as_gone().is_empty());
}

#[test]
fn row_61_an_operator_who_deletes_all_keys_removes_nothing_and_one_key_goes() {
    let Some(etcd) = Etcd::start(ETCD) else {
        return;
    };
    let mut pair = Pair::new(&etcd);
    etcd.ask("/v3/kv/deleterange", ALL);
    until_written(&etcd, &[1, 2]);
    assert!(pair.told_as_gone().is_empty());
    // The markers of the leases stay: these registrations were meant.
    etcd.ask("/v3/kv/deleterange", REGISTRATIONS);
    for client in &mut pair.clients {
        until_gone(client, "web");
    }
}

#[test]
fn row_61_an_etcd_that_is_restored_brings_nothing_back_to_whole_nodes() {
    let Some(mut etcd) = Etcd::start(ETCD) else {
        return;
    };
    let mut pair = Pair::new(&etcd);
    let gone = pair.clients[0].ask("register web 10.0.0.3 80").to_owned();
    until_written(&etcd, &[1, 2, 3]);
    etcd.kill();
    let backup = etcd.back_up();
    etcd.run();
    assert_eq!(pair.clients[1].ask(&format!("deregister {gone}")), "OK");
    pair.clients[0].ask("register web 10.0.0.4 80");
    until_owned(&mut pair.clients[1], "web", 2, "a");
    until_written(&etcd, &[1, 2, 4]);
    etcd.restore(backup);
    etcd.run();
    until_written(&etcd, &[1, 2, 4]);
    for client in &mut pair.clients {
        wait_until("it has what lives", || {
            let is_gone = |record: &Value| record["ip"] == "10.0.0.3";
            let records = list(client, "web");
            (records.len() == 3 && !records.iter().any(is_gone)).then_some(())
        });
    }
    assert!(pair.told_as_gone().iter().all(|ip| ip == "10.0.0.3"));
}
