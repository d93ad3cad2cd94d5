//! Clients of Consul's API for Python and Node.js.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Service, Talking, library, path, private_file, tool};

const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/http_tools/consul_clients/read.py"
);
const NODE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/http_tools/consul_clients/read.js"
);

/// Runs a script that reads the registry with a client and tells what it found, an object a line.
fn assert_reads(mut command: Command, script: &str) {
    let service = Service::start(&["--ttl", "3600"]);
    let tokens = private_file("open-sesame\n");
    let guarded = Service::start(&["--token-file", path(&tokens)]);
    let mut client = service.connect();
    client.ask("register web 10.0.0.1 80 tag=blue tag=v1 meta.zone=a");
    client.ask("register web 2001:db8::1 80 tag=green");
    let port = |service: &Service| service.address().port().to_string();
    command
        .args([script, &port(&service), &port(&guarded), "open-sesame"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut script = Talking::spawn(command);
    let mut told = || -> Value { serde_json::from_str(&script.line()).expect("an object") };
    assert_eq!(
        told(),
        json!({
            "refused without a token": true,
            "with a token": {},
            "services": {"web": ["blue", "green", "v1"]},
            "passing": ["10.0.0.1:80", "2001:db8::1:80"],
            "tags": ["blue", "v1"],
            "meta": {"zone": "a"},
            "status": ["passing", "passing"],
            "blue": ["10.0.0.1:80"],
            "catalog": ["10.0.0.1:80", "2001:db8::1:80"],
            "unknown": [],
            "checks": ["web", "web"],
            "nodes": ["discovery"],
            "datacenters": ["dc1"],
            "datacenter": "dc1",
            "agent": ["10.0.0.1:80", "2001:db8::1:80"],
        })
    );
    // It waits for a change now.
    client.ask("register web 10.0.0.3 80");
    assert_eq!(
        told(),
        json!({
            "index": "greater",
            "passing": ["10.0.0.1:80", "2001:db8::1:80", "10.0.0.3:80"],
        })
    );
    assert_eq!(script.status(), Some(0));
}

fn assert_python_reads(client: &str) {
    let Some(folder) = library(client) else {
        return;
    };
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", folder);
    assert_reads(command, PYTHON);
}

#[test]
fn python_consul_reads_the_registry() {
    assert_python_reads("python-consul");
}

#[test]
fn py_consul_reads_the_registry() {
    assert_python_reads("py-consul");
}

#[test]
fn the_consul_client_for_node_reads_the_registry() {
    let (Some(mut node), Some(_)) = (tool("node"), library("node_modules/consul")) else {
        return;
    };
    node.env("NODE_PATH", library("node_modules").expect("it is there"));
    assert_reads(node, NODE);
}
