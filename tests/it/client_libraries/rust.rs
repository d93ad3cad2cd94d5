//! The Rust client, against the real service.

use std::time::{Duration, Instant};

use super::scripted::{LAGGED, conversation, scripted};
use crate::common::{Service, free_port, is_uuid, wait_until};
use discovery_service::client::{
    self, Client, Error, Labels, Notice, Options, Reason, Register, Registration, Watcher, Why,
};

fn options(service: &Service) -> Options {
    Options::new(&service.address().to_string())
}

#[test]
fn a_client_asks_and_pipelines() {
    let service = Service::start(&[]);
    let mut client = Client::new(&options(&service));
    let uuid = client
        .register("hive", "10.0.0.1", 80, Register::default())
        .expect("it answers");
    assert!(is_uuid(&uuid));
    assert!(client.heartbeat(&uuid).expect("it answers"));
    assert_eq!(
        client.query("hive").expect("it answers"),
        ["10.0.0.1:80".parse().expect("an address")]
    );
    let commands: Vec<String> = (0..1_000)
        .map(|i| format!("register many 10.0.0.1 {}", i + 1))
        .collect();
    let answers = client.pipeline(&commands).expect("it answers");
    assert!(answers.len() == 1_000 && answers.iter().all(|answer| is_uuid(answer)));
    assert_eq!(
        client
            .pipeline(&["ping", "bogus", "ping"])
            .expect("it answers")[2],
        "PONG"
    );
    assert!(
        client.deregister(&uuid).expect("it answers")
            && !client.deregister(&uuid).expect("it answers")
    );
    let refused = client.register("hive", "0.0.0.0", 80, Register::default());
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    client
        .ping()
        .expect("the connection goes on after a refusal");
    for wrong in ["", "a b", "a\nregister x 10.0.0.1 80"] {
        assert!(
            matches!(client.query(wrong), Err(Error::Argument(_))),
            "{wrong:?}"
        );
    }
    let types = client.types().expect("it answers");
    assert_eq!((&*types[0].service_type, types[0].count), ("many", 1_000));
    let list = client.list(Some("many")).expect("it answers");
    assert_eq!((list.len(), list[999].port.get()), (1_000, 1_000));
    let live = client.why(&answers[0]).expect("it answers");
    assert!(
        matches!(&live, Some(Why::Live(record)) if *record.service_type == *"many"),
        "{live:?}"
    );
    let gone = client.why(&uuid).expect("it answers");
    assert!(
        matches!(&gone, Some(Why::Gone(gone)) if gone.reason == Reason::Deregistered),
        "{gone:?}"
    );
    assert_eq!(client.why("nobody").expect("it answers"), None);
    let stats = client.stats().expect("it answers");
    assert_eq!(stats.registrations, 1_000);
    assert_eq!(stats.commands.get(client::Verb::Why), 3);
}

#[test]
fn a_client_reconnects_after_the_registry_has_restarted() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut service = Service::start(&["--listen", &listen]);
    let mut client = Client::new(&options(&service));
    client.ping().expect("it answers");
    service.signal("TERM");
    service.wait();
    assert!(matches!(client.ping(), Err(Error::Unreachable { .. })));
    let mut service = Service::start(&["--listen", &listen]);
    assert!(client.query("hive").expect("it answers").is_empty());
    service.signal("TERM");
    service.wait();
    let _service = Service::start(&["--listen", &listen]);
    // A register must not be sent twice, so the client finds out first that the connection has ended.
    client
        .register("hive", "10.0.0.1", 80, Register::default())
        .expect("it answers");
}

#[test]
fn a_registration_lives_as_long_as_its_value_and_is_renewed_after_a_restart_of_the_registry() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut service = Service::start(&["--listen", &listen]);
    let options = options(&service);
    let registration = Registration::hold(&options, "hive", "-", 80, Register::default())
        .expect("it is registered");
    let mut client = Client::new(&options);
    assert_eq!(
        client.query("hive").expect("it answers").len(),
        1,
        "when hold returns"
    );
    let first = registration.uuid().expect("it is held");
    service.signal("TERM");
    service.wait();
    let service = Service::start(&["--listen", &listen]);
    wait_until("it is registered again", || {
        (!client.query("hive").expect("it answers").is_empty()).then_some(())
    });
    let second = wait_until("it knows", || {
        registration.uuid().filter(|uuid| *uuid != first)
    });
    assert!(client.heartbeat(&second).expect("it answers"));
    drop(registration);
    assert_eq!(
        client.query("hive").expect("it answers").len(),
        0,
        "when it is dropped"
    );
    drop(service);
    assert!(
        Registration::hold(&options, "hive", "-", 80, Register::default()).is_err(),
        "the first try may fail"
    );
}

#[test]
fn a_background_registration_reports_to_its_observer() {
    let listen = format!("127.0.0.1:{}", free_port());
    let (sender, notices) = std::sync::mpsc::channel();
    let observe = move |notice: Notice| {
        sender
            .send(matches!(notice, Notice::Registered { .. }))
            .expect("the test listens")
    };
    let options = Options::new(&listen).timeout(Duration::from_secs(1));
    let registration = Registration::keep(
        &options,
        "hive",
        "10.0.0.1",
        80,
        Register::default(),
        observe,
    )
    .expect("words");
    assert!(
        !notices.recv().expect("a notice"),
        "no registry is running yet"
    );
    let service = Service::start(&["--listen", &listen]);
    wait_until("it is registered", || {
        notices.recv().expect("a notice").then_some(())
    });
    let begun = Instant::now();
    registration.deregister();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(service.connect().ask("query hive"), "[]");
    let away = Registration::keep(
        &Options::new("127.0.0.1:1"),
        "hive",
        "10.0.0.1",
        80,
        Register::default(),
        |_: Notice| {},
    )
    .expect("words");
    let begun = Instant::now();
    drop(away);
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "an unreachable registry causes no delay"
    );
}

#[test]
fn who_is_replaced_in_the_moment_after_it_has_registered_waits_until_the_address_is_free() {
    let (server, commands) = conversation(&[
        "3999da30-2a11-463a-be8e-6b2beca7bfe6\n",
        "{\"state\":\"gone\",\"reason\":\"replaced\",\"at\":\"2026-11-27T10:00:00.000Z\",\
         \"last_heartbeat\":\"2026-11-27T10:00:00.000Z\"}\n",
        "NOT FOUND\n",
        "{\"state\":\"gone\",\"reason\":\"replaced\",\"at\":\"2026-11-27T10:00:00.000Z\",\
         \"last_heartbeat\":\"2026-11-27T10:00:00.000Z\"}\n",
        "[]\n",
    ]);
    let options = Options::new(&server);
    let _registration = Registration::hold(&options, "web", "10.0.0.1", 80, Register::default())
        .expect("it was registered");
    let expected = ["hold web", "why", "heartbeat", "why", "query web"];
    for expected in expected {
        let command = commands
            .recv_timeout(Duration::from_secs(20))
            .expect("a command");
        assert!(command.starts_with(expected), "{command}");
    }
}

#[test]
fn a_watcher_is_consistent_across_restarts() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut service = Service::start(&["--listen", &listen]);
    let options = options(&service);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 80);
    let mut watcher = Watcher::new(&options, Some("hive"));
    let first = watcher.next().expect("it is endless").expect("a state");
    assert_eq!(
        (first.services.len(), first.up.len(), first.down.len()),
        (1, 1, 0)
    );
    client.register("hive", "10.0.0.1", 80);
    let twice = watcher.next().expect("it is endless").expect("a change");
    assert_eq!(
        (twice.services.len(), twice.up.len()),
        (2, 1),
        "two registrations are two services"
    );
    client.register("other", "10.0.0.1", 80);
    assert!(
        watcher.next_within(Duration::from_millis(100)).is_none(),
        "no change of its type"
    );
    service.signal("TERM");
    service.wait();
    assert!(
        watcher
            .next()
            .expect("it is endless")
            .is_err_and(|error| error.is_transient())
    );
    let service = Service::start(&["--listen", &listen]);
    service.connect().register("hive", "10.0.0.2", 81);
    let update = wait_until("it is told", || watcher.next().expect("it is endless").ok());
    let mut known = update.services.clone();
    let mut update = update;
    while known.len() != 1 || known[0].address.port() != 81 {
        update = watcher.next().expect("it is endless").expect("a change");
        known = update.services.clone();
    }
    assert_eq!(update.services[0].address.to_string(), "10.0.0.2:81");
}

#[test]
fn a_watcher_knows_a_registration_by_its_id_whatever_is_told_of_it_again() {
    let service = Service::start(&[]);
    let options = Options::new(&service.address().to_string());
    let mut client = Client::new(&options);
    let register = |client: &mut Client, port| {
        let uuid = client.register("hive", "10.0.0.1", port, Register::default());
        uuid.expect("it is there")
    };
    let uuid = register(&mut client, 80);
    let mut watcher = Watcher::new(&options, Some("hive"));
    let mut live = || -> Vec<u16> {
        let update = watcher.next().expect("it goes on").expect("it is there");
        let ports = update.services.iter().map(|one| one.address.port());
        ports.collect()
    };
    assert_eq!(live(), [80]);
    let mut tags = Labels::default();
    tags.add_tag("blue").expect("it is a tag");
    for labels in [&tags, &Labels::default()] {
        assert!(client.update(&uuid, labels).expect("it is there"));
    }
    let other = register(&mut client, 81);
    assert_eq!(live(), [80, 81], "a change of tags is no second service");
    assert!(client.deregister(&uuid).expect("it is there"));
    assert_eq!(live(), [81], "none of it is left");
    assert!(client.deregister(&other).expect("it is there"));
    assert!(live().is_empty());
}

#[test]
fn a_change_between_the_parts_of_a_snapshot_may_tell_what_a_part_tells_too() {
    let lines = r#"{"index":7,"part":1,"more":true,"services":[{"id":"01","type":"a","ip":"10.0.0.1","port":1}]}
{"index":8,"up":[{"id":"02","type":"a","ip":"10.0.0.1","port":2},{"id":"01","type":"a","ip":"10.0.0.1","port":1,"tags":["b"]}],"down":[{"id":"03","type":"a","ip":"10.0.0.1","port":2,"reason":"expired"}]}
{"index":8,"part":2,"services":[{"id":"02","type":"a","ip":"10.0.0.1","port":2},{"id":"04","type":"a","ip":"10.0.0.1","port":2}]}
{"index":9,"up":[],"down":[{"id":"04","type":"a","ip":"10.0.0.1","port":2,"reason":"expired"}]}
"#;
    let mut watcher = Watcher::new(&Options::new(&scripted(lines)), None);
    let mut ports = Vec::new();
    while ports != [1, 2] {
        let update = watcher.next().expect("it goes on").expect("it is one");
        ports = update
            .services
            .iter()
            .map(|one| one.address.port())
            .collect();
        assert!(ports == [1, 2] || ports == [1, 2, 2], "{ports:?}");
    }
}

#[test]
fn a_watcher_that_reads_a_malformed_line_ends_with_an_error() {
    let lines = concat!(
        r#"{"index":1,"services":[]}"#,
        "\n",
        r#"{"index":2,"up":[{"type":"a","ip":"::1","port":1}],"down":[{"type":"a","ip":"::1"}]}"#,
        "\n"
    );
    let mut watcher = Watcher::new(&Options::new(&scripted(lines)), None);
    assert!(
        watcher
            .next()
            .expect("a state")
            .expect("no error")
            .services
            .is_empty()
    );
    assert!(matches!(
        watcher.next(),
        Some(Err(Error::Unexpected { .. }))
    ));
    assert!(
        watcher.next().is_none(),
        "nothing of the malformed line is applied"
    );
}

#[test]
fn a_watcher_keeps_to_its_timeout_during_updates_that_change_nothing() {
    let service = Service::start(&[]);
    let mut watcher = Watcher::new(&options(&service), Some("hive"));
    watcher.next().expect("it is endless").expect("a state");
    let mut client = service.connect();
    let uuid = client.register("hive", "10.0.0.1", 80);
    assert_eq!(
        watcher
            .next()
            .expect("it is endless")
            .expect("a change")
            .up
            .len(),
        1
    );
    assert_eq!(client.ask(&format!("deregister {uuid}")), "OK");
    assert_eq!(
        watcher
            .next()
            .expect("it is endless")
            .expect("a change")
            .down
            .len(),
        1
    );
    let flickering = std::thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            // Both in one turn, so that the delta is empty.
            client.send(format!(
                "heartbeat {uuid} hive 10.0.0.1 80\nderegister {uuid}\n"
            ));
            assert_eq!([client.line(), client.line()], ["OK", "OK"]);
        }
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(200) {
        let _ = watcher.next_within(Duration::from_millis(100));
        let _ = watcher.latest_within(Duration::from_millis(100));
    }
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    flickering.join().expect("it is answered");
}

#[test]
fn a_registration_ends_when_its_observer_panics() {
    let service = Service::start(&[]);
    let observe =
        |notice: Notice| assert!(matches!(notice, Notice::Lost(_)), "the observer panics");
    let registration = Registration::keep(
        &options(&service),
        "hive",
        "-",
        80,
        Register::default(),
        observe,
    )
    .expect("words");
    let mut client = service.connect();
    wait_until("it was held", || {
        client.ask("stats").contains("\"hold\":1").then_some(())
    });
    wait_until("it is gone again", || {
        (client.ask("query hive") == "[]").then_some(())
    });
    assert_eq!(registration.uuid(), None);
    let begun = Instant::now();
    drop(registration);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_watcher_that_has_lagged_yields_the_difference() {
    let mut watcher = Watcher::new(&Options::new(&scripted(LAGGED)), Some("a"));
    let mut told = || {
        let update = watcher.next().expect("it is endless").expect("a change");
        let texts = |services: &[client::Service]| {
            services
                .iter()
                .map(|s| s.address.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        format!(
            "{}: +[{}] -[{}] [{}]",
            update.index,
            texts(&update.up),
            texts(&update.down),
            texts(&update.services)
        )
    };
    assert_eq!(
        told(),
        "7: +[10.0.0.1:1 10.0.0.1:1] -[] [10.0.0.1:1 10.0.0.1:1]"
    );
    assert_eq!(told(), "8: +[[::1]:2] -[10.0.0.1:1] [10.0.0.1:1 [::1]:2]");
    assert_eq!(
        told(),
        "90: +[10.0.0.3:3] -[10.0.0.1:1] [10.0.0.3:3 [::1]:2]"
    );
    assert_eq!(
        told(),
        "92: +[] -[[::1]:2] [10.0.0.3:3]",
        "the same services in another order are no change"
    );
}
