//! What a node says before it has loaded the state of its cluster.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{ETCD, node, node_with, until_owned};
use crate::common::{Captured, Service, command, free_port, signal, wait_until};
use crate::etcd::Etcd;
use crate::http::client::HttpClient;

/// A node that does not wait for its etcd, which is not there.
fn lonely(more: &[&str]) -> Service {
    let etcd = ([127, 0, 0, 1], free_port()).into();
    let arguments = [&["--cluster-wait", "0"], more].concat();
    node_with(etcd, "a", &arguments)
}

#[test]
fn a_node_that_has_not_loaded_the_cluster_says_so_at_every_face() {
    let service = lonely(&[]);
    for path in [
        "/health",
        "/api/query?type=web",
        "/api/list",
        "/api/types",
        "/sd",
        "/v1/catalog/services",
        "/v1/health/service/web",
    ] {
        let answer = HttpClient::connect(&service).get(path);
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
    }
    let answer = HttpClient::connect(&service).get("/api/list");
    assert_eq!(answer.json()["code"], "not_ready");

    let mut client = service.connect();
    assert_eq!(client.ask("ping"), "PONG");
    let begin = Instant::now();
    let answer = client.ask("query web");
    assert!(answer.starts_with("ERROR not ready"), "{answer}");
    assert!(begin.elapsed() >= Duration::from_secs(2), "it has waited");
    let stranger = "00000000-0000-4000-8000-000000000000";
    assert_eq!(client.ask(&format!("heartbeat {stranger}")), "NOT FOUND");

    // Who has ended its input is answered all the same, as `nc -N` is.
    for command in [
        "query web",
        "query web\n",
        "heartbeat 00000000-0000-4000-8000-000000000000\n",
    ] {
        let mut client = service.connect();
        client.send(command);
        client.end_input();
        let answer = client.line().to_owned();
        let is_right = answer.starts_with("ERROR not ready") || answer == "NOT FOUND";
        assert!(is_right, "{command:?}: {answer}");
    }

    // What is its own it serves.
    let uuid = client.register("web", "10.0.0.1", 80);
    assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
    let stats: Value = serde_json::from_str(&client.ask("stats")).expect("an object");
    assert_eq!(stats["cluster"]["ready"], false);
    assert_eq!(stats["cluster"]["state"], "away");
}

#[test]
fn dns_fails_while_a_node_has_not_loaded_the_cluster() {
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::RecordType;

    let service = lonely(&["--dns-listen", "127.0.0.1:0"]);
    let answer = crate::dns::look_up(&service, "web.service.internal.", RecordType::SRV);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn who_waits_is_answered_as_soon_as_the_cluster_is_loaded() {
    let Some(mut etcd) = Etcd::start(ETCD) else {
        return;
    };
    let a = node(&etcd, "a");
    let mut at_a = a.connect();
    let uuid = at_a.register("web", "10.0.0.1", 80);
    let c = node(&etcd, "c");
    let mut reader = c.connect();
    until_owned(&mut reader, "web", 1, "a");
    etcd.kill();
    let b = node_with(etcd.address, "b", &["--cluster-wait", "0"]);
    let mut waiting = b.connect();
    waiting.send(format!("heartbeat {uuid}\n"));
    let mut asking = b.connect();
    asking.send("query web\n");
    etcd.run();
    // It tries again within a few seconds; until then who has waited is refused.
    let mut fresh = b.connect();
    wait_until("it is loaded", || {
        fresh.ask("query web").starts_with('[').then_some(())
    });
    let (heard, asked) = (waiting.line(), asking.line());
    assert!(["OK", "NOT FOUND"].contains(&heard.as_str()), "{heard}");
    assert!(
        asked.starts_with("[{") || asked.starts_with("ERROR not ready"),
        "{asked}"
    );
    assert!(fresh.ask("query web").contains("10.0.0.1"));
}

#[test]
fn a_node_listens_when_it_has_loaded_the_cluster_or_its_time_to_wait_is_over() {
    let etcd = format!("http://127.0.0.1:{}", free_port());
    let begin = Instant::now();
    let service = Service::start(&["--cluster", &etcd, "--cluster-wait", "1"]);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    drop(service);
    // A signal ends the wait.
    let mut waiting = command();
    waiting.args([
        "--listen",
        "127.0.0.1:0",
        "--cluster",
        &etcd,
        "--cluster-wait",
        "60",
    ]);
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().expect("it runs");
    let log = Captured::new(waiting.stderr.take().expect("it is piped"));
    wait_until("it has tried", || {
        log.text().contains("cluster:").then_some(())
    });
    signal(waiting.id(), "TERM");
    let ended = wait_until("it ends", || waiting.try_wait().expect("it is ours"));
    assert_eq!(ended.code(), Some(0));
}
