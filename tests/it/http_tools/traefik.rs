//! Traefik, a reverse proxy that finds services in Consul.

use std::net::SocketAddr;

use super::{free_address, get, server};
use crate::common::{Running, Service, tool, wait_until};

/// Traefik, and where it takes requests.
struct Traefik {
    address: SocketAddr,
    running: Running,
}

impl Traefik {
    fn start(registry: SocketAddr, how: &[&str]) -> Option<Self> {
        let mut command = tool("traefik")?;
        let address = free_address();
        command
            .arg(format!("--entrypoints.web.address={address}"))
            .arg(format!(
                "--providers.consulcatalog.endpoint.address={registry}"
            ))
            .args(["--global.checknewversion=false", "--log.level=ERROR"])
            .args(how);
        Some(Traefik {
            address,
            running: Running::spawn(command),
        })
    }

    /// Waits until a request for this host is answered so.
    fn wait_for(&self, host: &str, status: u16, body: &str) {
        wait_until(&format!("{host} is {status} {body}"), || {
            let answer = get(self.address, host, "/")?;
            (answer == (status, body.to_owned())).then_some(())
        });
    }

    /// Waits until what is registered under this name is no longer reached.
    fn wait_until_gone(&self, host: &str) {
        self.wait_for(host, 404, "404 page not found\n");
    }
}

const POLLS: &[&str] = &["--providers.consulcatalog.refreshinterval=1s"];
// Without a change it would not look again in this test.
const WATCHES: &[&str] = &[
    "--providers.consulcatalog.watch=true",
    "--providers.consulcatalog.refreshinterval=1h",
];

fn assert_routes(how: &[&str]) {
    let service = Service::start(&["--ttl", "3600"]);
    let Some(traefik) = Traefik::start(service.address(), how) else {
        return;
    };
    traefik.wait_until_gone("web");
    let (one, two) = (server("one"), server("two"));
    // Each is registered as long as its process lives: it ends, and so does its connection.
    let mut web = service.connect();
    web.ask(&format!("hold web 127.0.0.1 {}", one.port()));
    traefik.wait_for("web", 200, "one");
    let mut other = service.connect();
    let tag = "tag=traefik.http.routers.other.rule=Host(`another.name`)";
    other.ask(&format!("hold other 127.0.0.1 {} {tag}", two.port()));
    traefik.wait_for("another.name", 200, "two");
    traefik.wait_for("web", 200, "one");

    drop(web);
    traefik.wait_until_gone("web");
    traefik.wait_for("another.name", 200, "two");
    drop(other);
    traefik.wait_until_gone("another.name");
}

#[test]
fn traefik_that_polls_routes_to_what_is_registered_and_not_to_what_has_died() {
    assert_routes(POLLS);
}

#[test]
fn traefik_that_watches_routes_to_what_is_registered_and_not_to_what_has_died() {
    assert_routes(WATCHES);
}

#[test]
fn traefik_keeps_its_routes_while_the_registry_is_down() {
    let service = Service::start(&["--ttl", "3600"]);
    let Some(traefik) = Traefik::start(service.address(), POLLS) else {
        return;
    };
    let port = server("one").port();
    service.connect().register("web", "127.0.0.1", port);
    traefik.wait_for("web", 200, "one");
    drop(service);
    wait_until("it has asked in vain", || {
        let said = traefik.running.said();
        (said.matches("connection refused").count() >= 2).then_some(())
    });
    traefik.wait_for("web", 200, "one");
}
