//! Several registries, and registrations that somebody else takes away.

use std::time::{Duration, Instant};

use super::run::{Running, is_registered};
use crate::common::{Service, Talking, finish, free_port, verb, wait_until};

/// Asks with these servers, as a person does.
fn said(servers: &str, arguments: &[&str]) -> String {
    let mut command = verb("127.0.0.1:1".parse().expect("an address"), arguments);
    finish({
        command.args(["--server", servers]);
        command
    })
    .stdout
}

#[test]
fn a_program_goes_home_and_readers_find_it_wherever_it_is() {
    let listen = format!("127.0.0.1:{}", free_port());
    let start_first = || Service::start(&["--listen", &listen, "--ttl", "3"]);
    let mut first = start_first();
    let second = Service::start(&["--ttl", "3"]);
    let servers = format!("{},{}", first.address(), second.address());
    let running = Running::start(&servers, &[]);
    let mut at_first = first.connect();
    wait_until("it is registered", || {
        is_registered(&mut at_first, running.port).then_some(())
    });
    first.signal("TERM");
    first.wait();
    let mut at_second = second.connect();
    wait_until("it is registered at the other", || {
        is_registered(&mut at_second, running.port).then_some(())
    });
    // The first is up again and empty: what it says is not believed before the second is asked.
    let first = start_first();
    let address = format!("127.0.0.1:{}\n", running.port);
    let watch = ["watch", "web", "--server", &servers];
    let mut watch = Talking::spawn(verb(first.address(), &watch));
    assert_eq!(said(&servers, &["query", "web"]), address);
    assert_eq!(said(&servers, &["wait", "web", "--timeout", "5"]), address);
    assert!(said(&servers, &["list", "web"]).contains(address.trim_end()));
    assert_eq!(said(&servers, &["types"]), "web\t1\n");
    assert_eq!(watch.line(), format!("up web {}", address.trim_end()));
    let mut at_first = first.connect();
    wait_until("it has gone home", || {
        let is_home = is_registered(&mut at_first, running.port);
        (is_home && !is_registered(&mut at_second, running.port)).then_some(())
    });
    // The watcher goes along, and is told of no change.
    at_first.register("web", "10.0.0.1", 80);
    assert_eq!(watch.line(), "up web 10.0.0.1:80");
}

#[test]
fn a_program_leaves_a_silent_registry_within_its_ttl_and_goes_home() {
    const TTL: Duration = Duration::from_secs(3);
    let first = Service::start(&["--ttl", "3"]);
    let second = Service::start(&["--ttl", "3"]);
    let servers = format!("{},{}", first.address(), second.address());
    let mut at_first = first.connect();
    let mut running = Running::start(&servers, &[]);
    running.ready();
    wait_until("it is registered", || {
        is_registered(&mut at_first, running.port).then_some(())
    });
    first.signal("STOP");
    let begun = Instant::now();
    let mut at_second = second.connect();
    wait_until("it is registered at the other", || {
        is_registered(&mut at_second, running.port).then_some(())
    });
    let taken = begun.elapsed();
    assert!(taken < 2 * TTL, "{taken:?}, and the machine is busy");
    let address = format!("127.0.0.1:{}\n", running.port);
    assert_eq!(said(&servers, &["query", "web"]), address);
    first.signal("CONT");
    wait_until("it has gone home", || {
        let is_home = at_first.ask("query web").matches("\"port\"").count() == 1;
        (is_home && !is_registered(&mut at_second, running.port)).then_some(())
    });
    running.signal("TERM");
    assert_eq!(running.run.status(), Some(3));
    assert_eq!(at_first.ask("query web"), "[]");
}

#[test]
fn a_heartbeat_and_a_deregister_find_the_registry_that_knows_the_uuid() {
    let first = Service::start(&[]);
    let second = Service::start(&[]);
    let servers = format!("{},{}", first.address(), second.address());
    let uuid = second.connect().register("web", "10.0.0.1", 80);
    assert_eq!(said(&servers, &["heartbeat", &uuid]), "OK\n");
    assert!(said(&servers, &["why", &uuid]).contains("state\tlive\n"));
    assert_eq!(said(&servers, &["deregister", &uuid]), "OK\n");
    assert_eq!(said(&servers, &["heartbeat", &uuid]), "NOT FOUND\n");
}

#[test]
fn a_program_that_was_replaced_says_so_once_and_comes_back_when_its_address_is_free() {
    let service = Service::start(&["--ttl", "1"]);
    let mut client = service.connect();
    let (mut running, _) = Running::registered(&service, &mut client, &[]);
    let command = format!("register web 127.0.0.1 {} replace ttl=3", running.port);
    let replaced = Instant::now();
    let usurper = client.ask(&command);
    let held =
        |client: &mut crate::common::Client| client.ask("list web").contains("\"held\":true");
    assert!(!held(&mut client));
    wait_until("it is registered again", || held(&mut client).then_some(()));
    assert!(
        replaced.elapsed() >= Duration::from_millis(2900),
        "not while somebody else is there"
    );
    assert_eq!(client.ask(&format!("heartbeat {usurper}")), "NOT FOUND");
    running.signal("TERM");
    assert_eq!(running.run.status(), Some(3));
    let said = running.stderr();
    assert_eq!(
        said.matches("has taken the place of web").count(),
        1,
        "{said}"
    );
}

#[test]
fn a_program_that_somebody_has_deregistered_registers_again() {
    use discovery_service::client::{Client, Options, Register, Registration};
    let service = Service::start(&["--ttl", "1"]);
    let options = Options::new(&service.address().to_string());
    let registration = Registration::hold(&options, "web", "10.0.0.1", 80, Register::default())
        .expect("it answers");
    let first = registration.uuid().expect("it is registered");
    let mut client = Client::new(&options);
    assert!(client.deregister(&first).expect("it answers"));
    let second = wait_until("it is registered again", || {
        registration.uuid().filter(|uuid| *uuid != first)
    });
    assert!(client.heartbeat(&second).expect("it answers"));
    let address = registration.address().expect("it is registered");
    assert_eq!(address.to_string(), "10.0.0.1:80");
}
