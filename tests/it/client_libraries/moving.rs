//! A Rust client with several servers, which are nodes of one cluster or registries of their own.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::nodes::Cluster;
use crate::common::{Service, free_port, wait_until};
use discovery_service::client::{Client, Error, Notice, Options, Register, Registration, Watcher};

const PLACE: &str = "hive 10.0.0.1 80";
/// What changes a registration.
const CHANGES: [&str; 4] = ["register", "hold", "deregister", "update"];

fn options(servers: &str) -> Options {
    Options::new(servers).timeout(Duration::from_secs(2))
}

/// A registration of [`PLACE`], and the servers that it is registered with.
fn keep(options: &Options) -> (Registration, Receiver<String>) {
    let (sender, servers) = channel();
    let observe = move |notice: Notice| {
        if let Notice::Registered { server, .. } = notice {
            let _ = sender.send(server);
        }
    };
    let how = Register::default();
    let registration = Registration::keep(options, "hive", "10.0.0.1", 80, how, observe);
    (registration.expect("words"), servers)
}

fn next(servers: &Receiver<String>) -> String {
    let next = servers.recv_timeout(Duration::from_secs(20));
    next.expect("it is registered")
}

#[test]
fn a_heartbeat_goes_to_the_next_node_when_one_is_silent_and_nothing_is_registered_anew() {
    let (cluster, servers) = Cluster::of(2);
    let uuid = cluster.register(0, PLACE);
    let mut client = Client::new(&options(&servers));
    assert!(client.heartbeat(&uuid).expect("it answers"));
    assert_eq!(client.server(), Some(&*cluster.address(0)));
    cluster.silence(0, true);
    assert!(client.heartbeat(&uuid).expect("the next answers"));
    assert!(client.heartbeat(&uuid).expect("the next answers"));
    assert_eq!(client.server(), Some(&*cluster.address(1)));
    let heartbeat = format!("heartbeat {uuid}");
    assert_eq!(cluster.heard(1, &["heartbeat"]), [&*heartbeat, &heartbeat]);
    assert_eq!(cluster.heard(0, &["heartbeat"]), [&*heartbeat, &heartbeat]);
    for node in [0, 1] {
        assert_eq!(cluster.heard(node, &CHANGES), [""; 0]);
    }
}

#[test]
fn the_next_node_is_asked_when_one_is_not_ready_or_full_and_not_when_it_refuses_for_good() {
    let (cluster, servers) = Cluster::of(2);
    let uuid = cluster.register(0, PLACE);
    for refusal in [
        "not ready: it loads what the cluster knows",
        "registry full",
    ] {
        cluster.refuse(0, Some(refusal));
        let mut client = Client::new(&options(&servers));
        assert!(client.heartbeat(&uuid).expect("the next answers"));
        let mut client = Client::new(&options(&servers));
        assert!(client.query("hive").expect("the next answers").is_empty());
        let mut client = Client::new(&options(&servers));
        let made = client.register("hive", "10.0.0.2", 80, Register::default());
        assert!(made.is_ok(), "{refusal}: {made:?}");
    }
    cluster.refuse(0, Some("a tag is wrong"));
    let heard = cluster.heard(1, &["heartbeat"]).len();
    let mut client = Client::new(&options(&servers));
    let refused = client.heartbeat(&uuid);
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    assert_eq!(cluster.heard(1, &["heartbeat"]).len(), heard);
}

#[test]
fn a_registration_that_may_have_been_made_is_not_made_at_the_next_server() {
    let (cluster, servers) = Cluster::of(2);
    let mut client = Client::new(&options(&servers));
    client.ping().expect("it answers");
    cluster.silence(0, true);
    let lost = client.register("hive", "10.0.0.1", 80, Register::default());
    assert!(matches!(lost, Err(Error::Timeout { .. })), "{lost:?}");
    assert_eq!(cluster.heard(1, &CHANGES), [""; 0]);
}

#[test]
fn a_watch_goes_on_at_the_next_node_when_one_is_not_ready_and_tells_no_down() {
    let (cluster, servers) = Cluster::of(2);
    cluster.register(0, PLACE);
    // Nothing is kept that is not confirmed at once.
    let mut watcher = Watcher::new(&options(&servers), Some("hive")).grace(Duration::ZERO);
    let mut next = || watcher.next().expect("it is endless");
    assert_eq!(next().expect("a snapshot").up.len(), 1);
    cluster.register(1, "hive 10.0.0.2 80");
    cluster.refuse(0, Some("not ready: it loads what the cluster knows"));
    cluster.hang_up(0);
    assert!(matches!(next(), Err(Error::Broken { .. })));
    let update = next().expect("the next node answers");
    assert_eq!(cluster.heard(0, &["watch"]).len(), 2);
    let told = (update.services.len(), update.up.len(), update.down);
    assert_eq!(told, (2, 1, vec![]));
}

#[test]
fn a_hold_takes_its_own_place_at_the_next_node_and_goes_home_without_a_down() {
    let (cluster, servers) = Cluster::of(2);
    cluster.silence(0, true);
    let (registration, at) = keep(&options(&servers));
    assert_eq!(next(&at), cluster.address(1));
    let uuid = registration.uuid().expect("it is registered");
    cluster.silence(0, false);
    // The later node does not know yet that its place has been taken.
    cluster.deliver();
    cluster.slow_down();
    assert_eq!(next(&at), cluster.address(0));
    let home = registration.uuid().expect("it is registered");
    assert_ne!(home, uuid);
    // It is proved there, however long it takes.
    let heartbeats = || cluster.heard(0, &["heartbeat"]).len();
    let proved = heartbeats() + 2;
    wait_until("it is proved", || (heartbeats() >= proved).then_some(()));
    assert_eq!(cluster.known(1), [&*uuid], "the connection is open");
    cluster.deliver();
    assert_eq!(cluster.known(1), [&*home]);
    let proved = heartbeats() + 2;
    wait_until("it is proved", || (heartbeats() >= proved).then_some(()));
    for node in [0, 1] {
        assert_eq!(cluster.heard(node, &["deregister"]), [""; 0]);
    }
    assert_eq!(cluster.down(), [""; 0]);
    registration.deregister();
    assert_eq!(cluster.down(), [PLACE]);
}

#[test]
fn a_silent_server_is_left_for_the_next_within_the_ttl() {
    const TTL: Duration = Duration::from_secs(3);
    for is_cluster in [true, false] {
        let (cluster, servers) = Cluster::of(2);
        let other = Service::start(&[]);
        let servers = match is_cluster {
            true => servers,
            false => format!("{},{}", cluster.address(0), other.address()),
        };
        // With the default time limit, which is longer than the TTL.
        let (registration, at) = keep(&Options::new(&servers));
        assert_eq!(next(&at), cluster.address(0));
        let uuid = registration.uuid().expect("it is registered");
        cluster.slow_down();
        cluster.silence(0, true);
        let begun = Instant::now();
        assert_ne!(next(&at), cluster.address(0));
        let taken = begun.elapsed();
        assert!(taken < 2 * TTL, "{taken:?}, and the machine is busy");
        if is_cluster {
            let here = registration.uuid().expect("it is registered");
            assert_ne!(here, uuid);
            assert_eq!(cluster.known(1), [here], "it has taken the place");
            let heartbeats = || cluster.heard(1, &["heartbeat"]).len();
            wait_until("it is proved", || (heartbeats() > 1).then_some(()));
            assert_eq!(
                cluster.known(0),
                [uuid],
                "a slow node still takes it for held"
            );
            assert_eq!(cluster.down(), [""; 0]);
            assert_eq!(cluster.heard(1, &["deregister"]), [""; 0]);
        }
    }
}

#[test]
fn a_hold_that_comes_back_is_taken_over_before_its_earlier_one_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let listen = format!("127.0.0.1:{}", free_port());
    let start = || Service::start(&["--listen", &listen, "--state", &state]);
    let mut service = start();
    let (registration, at) = keep(&options(&listen));
    next(&at);
    let id = |service: &Service| {
        let list = service.connect().ask("list hive");
        list.split("\"id\":\"")
            .nth(1)
            .map(|rest| rest[..16].to_owned())
    };
    let before = id(&service).expect("it is listed");
    service.signal("KILL");
    service.wait();
    let service = start();
    next(&at);
    assert_eq!(id(&service), Some(before), "watchers are told nothing");
    drop(registration);
}
