//! VictoriaMetrics' agent, which finds its targets over HTTP and in Consul.

use std::collections::BTreeSet;

use super::{free_address, targets};
use crate::common::{Running, Service, tool, wait_until};

#[test]
fn vmagent_finds_the_same_services_as_targets_over_http_and_in_consul() {
    let Some(mut vmagent) = tool("vmagent") else {
        return;
    };
    let service = Service::start(&["--ttl", "3600", "--datacenter", "north"]);
    let (registry, address) = (service.address(), free_address());
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!(
        "scrape_configs:\n\
        - {{job_name: http, http_sd_configs: [{{url: 'http://{registry}/sd?tag=blue'}}]}}\n\
        - {{job_name: consul, consul_sd_configs: [{{server: '{registry}', tags: [blue]}}]}}\n"
    );
    std::fs::write(folder.path().join("vmagent.yml"), configuration).expect("it is ours");
    vmagent
        .args(["-promscrape.config=vmagent.yml"])
        .args(["-promscrape.consulSDCheckInterval=1s"])
        .args(["-promscrape.httpSDCheckInterval=1s"])
        .args(["-enableTCP6", "-remoteWrite.tmpDataPath=data"])
        .arg(format!("-remoteWrite.url=http://{}/", free_address()))
        .arg(format!("-httpListenAddr={address}"))
        .current_dir(&folder);
    let _vmagent = Running::spawn(vmagent);

    // The job of each target, its address, and what Consul's API tells about it.
    let wait_for = |expected: &[&str]| {
        wait_until(&format!("the targets are {expected:?}"), || {
            let targets = targets(address, "discoveredLabels")?;
            let found: BTreeSet<String> = targets
                .iter()
                .map(|labels| {
                    let label = |name: &str| labels[name].as_str().unwrap_or("-").to_owned();
                    [
                        "job",
                        "__address__",
                        "__meta_consul_service",
                        "__meta_consul_tags",
                        "__meta_consul_dc",
                        "__meta_consul_health",
                        "__meta_consul_service_metadata_zone",
                    ]
                    .map(label)
                    .join(" ")
                })
                .collect();
            found.iter().eq(expected).then_some(())
        });
    };
    let mut client = service.connect();
    client.ask("register web 127.0.0.1 9 tag=green");
    let first = client.ask("register web 127.0.0.1 1 tag=blue tag=v1 meta.zone=a");
    let second = client.ask("register web ::1 2 tag=blue");
    wait_for(&[
        "consul 127.0.0.1:1 web ,blue,v1, north passing a",
        "consul [::1]:2 web ,blue, north passing -",
        "http 127.0.0.1:1 - - - - -",
        "http [::1]:2 - - - - -",
    ]);
    assert_eq!(client.ask(&format!("deregister {first}")), "OK");
    wait_for(&[
        "consul [::1]:2 web ,blue, north passing -",
        "http [::1]:2 - - - - -",
    ]);
    assert_eq!(client.ask(&format!("deregister {second}")), "OK");
    wait_for(&[]);
}
