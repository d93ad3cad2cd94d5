//! Prometheus and its linter.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{free_address, get, targets};
use crate::common::{Running, Service, tool, wait_until};

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let Some(mut promtool) = tool("promtool") else {
        return;
    };
    let service = Service::start(&["--metrics-types"]);
    let mut client = service.connect();
    client.register("web", "10.0.0.1", 80);
    client.register("q\"uote\\", "10.0.0.1", 81);
    let (status, metrics) = get(service.address(), "localhost", "/metrics").expect("an answer");
    assert_eq!(status, 200);
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = promtool.stderr(Stdio::piped()).spawn().expect("it runs");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(metrics.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Prometheus, which asks this service every second.
struct Prometheus {
    address: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

impl Prometheus {
    fn start(service: &Service) -> Option<Self> {
        let mut command = tool("prometheus")?;
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let configuration = format!(
            "global: {{scrape_interval: 1s}}\n\
            scrape_configs:\n\
            - job_name: services\n  \
              http_sd_configs: [{{url: 'http://{}/sd', refresh_interval: 1s}}]\n  \
              relabel_configs:\n  \
              - {{source_labels: [__meta_discovery_type], target_label: type}}\n  \
              - {{source_labels: [__meta_discovery_tags], target_label: tags}}\n  \
              - {{source_labels: [__meta_discovery_meta_zone], target_label: zone}}\n",
            service.address()
        );
        std::fs::write(folder.path().join("prometheus.yml"), configuration).expect("it is ours");
        command
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(&folder);
        Some(Prometheus {
            address,
            _running: Running::spawn(command),
            _folder: folder,
        })
    }

    /// Waits until the targets have these labels and health.
    fn wait_for(&self, expected: &[(Value, &str)]) {
        wait_until(&format!("the targets are {expected:?}"), || {
            let labels = targets(self.address, "labels")?;
            let health = targets(self.address, "health")?;
            let found = labels.iter().zip(&health).map(|(labels, health)| {
                let health = health.as_str().expect("a string");
                (labels.clone(), health)
            });
            found.eq(expected.iter().cloned()).then_some(())
        });
    }

    /// How often it has failed to learn the targets.
    fn failures(&self) -> Option<u64> {
        let (_, metrics) = get(self.address, "localhost", "/metrics")?;
        let name = "prometheus_sd_http_failures_total ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
        line.parse().ok()
    }
}

#[test]
fn prometheus_scrapes_what_is_registered_and_keeps_it_while_the_registry_is_down() {
    // What it finds and scrapes is the registry itself.
    let service = Service::start(&["--ttl", "3600"]);
    let Some(prometheus) = Prometheus::start(&service) else {
        return;
    };
    let address = service.address();
    let mut client = service.connect();
    let register = format!(
        "register registry 127.0.0.1 {} tag=a tag=b meta.zone=north",
        address.port()
    );
    let labels = json!({
        "instance": address.to_string(),
        "job": "services",
        "type": "registry",
        "tags": ",a,b,",
        "zone": "north",
    });
    prometheus.wait_for(&[]);
    let uuid = client.ask(&register);
    prometheus.wait_for(&[(labels.clone(), "up")]);
    assert_eq!(client.ask(&format!("deregister {uuid}")), "OK");
    prometheus.wait_for(&[]);

    client.ask(&register);
    prometheus.wait_for(&[(labels.clone(), "up")]);
    let failed = prometheus.failures().expect("it runs");
    drop(service);
    wait_until("it has asked twice in vain", || {
        (prometheus.failures()? >= failed + 2).then_some(())
    });
    prometheus.wait_for(&[(labels, "down")]);
}
