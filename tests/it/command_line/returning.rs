//! `watch` and `wait` while the registry is away, and what they believe when it comes back.

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::run::{Running, is_running};
use crate::common::{
    Captured, Service, Talking, finish, free_port, path, private_file, signal, verb, wait_until,
};

#[test]
fn a_registry_that_comes_back_takes_nobodys_address_away() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut service = Service::start(&["--listen", &listen]);
    let mut runs: Vec<Running> = (0..3).map(|_| Running::start(&listen, &[])).collect();
    let address = service.address();
    let mut counts = Talking::spawn(verb(
        address,
        &["watch", "web", "--exec", "echo $(wc -l)", "--settle", "0.1"],
    ));
    let mut lines = Talking::spawn({
        let mut command = verb(address, &["watch", "web"]);
        command.stderr(Stdio::piped());
        command
    });
    let stderr = Captured::new(lines.child.stderr.take().expect("it is piped"));
    wait_until("all are registered", || {
        (counts.line() == "3").then_some(())
    });
    for _ in 0..3 {
        assert!(lines.line().starts_with("up web "));
    }
    for pause in [200, 1000] {
        service.signal("TERM");
        service.wait();
        // How long the registry is away is a part of the fault.
        std::thread::sleep(Duration::from_millis(pause));
        service = Service::start(&["--listen", &listen]);
        let mut client = service.connect();
        wait_until("all are registered again", || {
            (client.ask("query web").matches("port").count() == 3).then_some(())
        });
        // Both are connected by now or soon.
        wait_until("they watch", || {
            client.ask("stats").contains("\"watchers\":2").then_some(())
        });
    }
    // The next line is the next change, and there was none in between.
    service.connect().register("web", "10.0.0.1", 80);
    assert_eq!(lines.line(), "up web 10.0.0.1:80");
    assert_eq!(counts.line(), "4");
    // One that goes while the registry is away is kept for the grace time, then it is down.
    service.signal("TERM");
    service.wait();
    let gone = runs.pop().expect("there are three");
    drop(gone);
    let service = Service::start(&["--listen", &listen]);
    let back = Instant::now();
    let mut down = [lines.line(), lines.line()];
    down.sort();
    assert!(back.elapsed() >= Duration::from_millis(4500), "{down:?}");
    assert!(
        down.iter().all(|line| line.starts_with("down web ")),
        "{down:?}"
    );
    assert!(down[0].ends_with(" 10.0.0.1:80"), "{down:?}");
    assert!(stderr.text().contains("unconfirmed: "), "{}", stderr.text());
    assert_eq!(counts.line(), "2", "once for both");
    drop(service);
}

#[test]
fn watch_and_wait_wait_for_a_registry_that_is_not_there_yet_and_say_so_once() {
    let listen = format!("127.0.0.1:{}", free_port());
    let address = listen.parse().expect("an address");
    let mut followers: Vec<(Talking, Captured)> = [&["watch", "hive"][..], &["wait", "hive"]]
        .into_iter()
        .map(|arguments| {
            let mut command = verb(address, arguments);
            command.stderr(Stdio::piped());
            let mut follower = Talking::spawn(command);
            let stderr = Captured::new(follower.child.stderr.take().expect("it is piped"));
            (follower, stderr)
        })
        .collect();
    for (_, stderr) in &followers {
        wait_until("it says so", || {
            stderr.text().contains("; trying again").then_some(())
        });
    }
    let service = Service::start(&["--listen", &listen]);
    service.connect().register("hive", "10.0.0.1", 80);
    assert_eq!(followers[0].0.line(), "up hive 10.0.0.1:80");
    assert_eq!(followers[1].0.line(), "10.0.0.1:80");
    assert_eq!(followers[1].0.status(), Some(0));
    for (_, stderr) in &followers {
        let said = stderr.text();
        assert_eq!(said.matches("trying again").count(), 1, "{said}");
    }
}

#[test]
fn a_refused_token_is_tried_again_with_what_the_file_has_then() {
    let right = private_file("right\n");
    let service = Service::start(&["--token-file", path(&right)]);
    let mut client = service.connect();
    assert_eq!(client.ask("auth right"), "OK");
    client.register("hive", "10.0.0.1", 80);
    let tokens = private_file("wrong\n");
    let file = path(&tokens);
    for arguments in [
        &["watch", "hive", "--token-file", file][..],
        &["wait", "hive", "--token-file", file],
    ] {
        std::fs::write(file, "wrong\n").expect("it is ours");
        let mut command = verb(service.address(), arguments);
        command.stderr(Stdio::piped());
        let mut follower = Talking::spawn(command);
        let stderr = Captured::new(follower.child.stderr.take().expect("it is piped"));
        wait_until("it says so", || {
            stderr
                .text()
                .contains("authentication failed")
                .then_some(())
        });
        std::fs::write(file, "right\n").expect("it is ours");
        assert!(follower.line().ends_with("10.0.0.1:80"));
    }
    // Without a file there is nothing to read again.
    let stranger = finish(verb(service.address(), &["watch", "hive"]));
    assert_eq!(stranger.status, Some(1), "{}", stranger.stderr);
}

#[test]
fn a_token_file_may_begin_with_a_byte_order_mark() {
    let marked = private_file("\u{feff}secret\n");
    let plain = private_file("secret\n");
    for (of_service, of_client) in [(&marked, &plain), (&plain, &marked)] {
        let service = Service::start(&["--token-file", path(of_service)]);
        let arguments = ["types", "--token-file", path(of_client)];
        let ended = finish(verb(service.address(), &arguments));
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    }
}

#[test]
fn wait_counts_addresses_and_not_registrations() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.register("dup", "10.0.0.1", 80);
    client.register("dup", "10.0.0.1", 80);
    let waiting = ["wait", "dup", "--count", "2", "--timeout", "0.5"];
    let ended = finish(verb(service.address(), &waiting));
    assert_eq!(ended.status, Some(1), "{}", ended.stdout);
    assert!(ended.stderr.contains("1 of 2 are live"), "{}", ended.stderr);
    client.register("dup", "10.0.0.2", 80);
    let ended = finish(verb(service.address(), &waiting));
    assert_eq!(ended.stdout, "10.0.0.1:80\n10.0.0.2:80\n");
}

#[test]
fn an_exec_command_past_its_time_is_ended_and_the_next_change_is_handled() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let mut command = verb(
        service.address(),
        &["watch", "web", "--exec-timeout", "0.3", "--exec"],
    );
    command
        .arg("echo $DISCOVERY_TYPE $DISCOVERY_SERVER $(wc -l); sleep 600; echo late")
        .stderr(Stdio::piped());
    let mut watch = Talking::spawn(command);
    let stderr = Captured::new(watch.child.stderr.take().expect("it is piped"));
    let server = service.address();
    assert_eq!(watch.line(), format!("web {server} 0"));
    client.register("web", "10.0.0.1", 80);
    assert_eq!(watch.line(), format!("web {server} 1"));
    wait_until("it says so", || {
        stderr
            .text()
            .contains("has not ended within 0.3 s")
            .then_some(())
    });
}

#[test]
fn an_exec_command_ends_with_watch() {
    let service = Service::start(&[]);
    let command = "sleep 600 & echo $!; wait";
    let mut watch = Talking::spawn(verb(service.address(), &["watch", "--exec", command]));
    let sleeper = watch.line().parse().expect("a process id");
    signal(watch.child.id(), "TERM");
    assert_eq!(watch.status(), None, "it ends by the signal");
    assert!(!is_running(sleeper), "before watch ends");
}

#[test]
fn an_exec_command_runs_once_the_list_has_been_still() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let mut watch = Talking::spawn(verb(
        service.address(),
        &["watch", "web", "--exec", "echo $(wc -l)", "--settle", "1"],
    ));
    wait_until("it watches", || {
        client.ask("stats").contains("\"watchers\":1").then_some(())
    });
    for port in 1..=5 {
        client.register("web", "10.0.0.1", port);
    }
    assert_eq!(watch.line(), "5", "once, for all changes");
}

#[test]
fn an_exec_command_that_reads_nothing_holds_nobody_up() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.register_many(20_000);
    let arguments = ["watch", "hive", "--exec-timeout", "0.3", "--exec"];
    let mut command = verb(service.address(), &arguments);
    command.arg("echo run; exec sleep 600");
    let mut watch = Talking::spawn(command);
    assert_eq!(watch.line(), "run");
    client.register("hive", "10.0.0.9", 80);
    assert_eq!(watch.line(), "run");
}

/// A registry that sends these lines to whoever watches.
fn fake(lines: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(lines.as_bytes()).expect("it reads");
        std::thread::park_timeout(Duration::from_secs(20));
    });
    address
}

#[test]
fn a_snapshot_in_parts_is_one_snapshot_and_changes_may_stand_between_them() {
    let lines = concat!(
        r#"{"index":1,"services":[{"id":"0","type":"a","ip":"10.0.0.1","port":1}],"part":1,"more":true}"#,
        "\n",
        r#"{"index":2,"up":[{"type":"a","ip":"10.0.0.2","port":2}],"down":[{"type":"a","ip":"10.0.0.9","port":9,"reason":"expired"}]}"#,
        "\n",
        r#"{"index":2}"#,
        "\n",
        r#"{"index":3,"up":[],"down":[{"type":"a","ip":"10.0.0.1","port":1}]}"#,
        "\n",
        r#"{"index":3,"services":[{"type":"a","ip":"10.0.0.3","port":3}],"part":2,"more":true}"#,
        "\n",
        r#"{"index":3,"services":[{"type":"a","ip":"10.0.0.4","port":4}],"part":3}"#,
        "\n",
        r#"{"index":4,"up":[],"down":[{"type":"a","ip":"10.0.0.7","port":7}]}"#,
        "\n",
        r#"{"index":5,"up":[{"type":"a","ip":"10.0.0.5","port":5}],"down":[]}"#,
        "\n",
        r#"{"index":6,"services":[{"type":"a","ip":"10.0.0.6","port":6}],"part":1,"more":true}"#,
        "\n",
        r#"{"index":6,"services":[],"part":2}"#,
        "\n",
    );
    let mut watch = Talking::spawn(verb(fake(lines), &["watch", "--json"]));
    let services = |line: &str, key: &str| -> Vec<u64> {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let services = line[key].as_array().unwrap_or_else(|| panic!("{line}"));
        services
            .iter()
            .filter_map(|row| row["port"].as_u64())
            .collect()
    };
    assert_eq!(services(&watch.line(), "services"), [2, 3, 4]);
    assert_eq!(services(&watch.line(), "up"), [5]);
    let last = watch.line();
    assert_eq!(services(&last, "up"), [6]);
    assert_eq!(services(&last, "down"), [2, 3, 4, 5]);
}

#[test]
fn a_later_part_without_a_first_is_nonsense() {
    let line = r#"{"index":1,"services":[],"part":2}"#;
    let ended = finish(verb(
        fake("{\"index\":1,\"services\":[],\"part\":2}\n"),
        &["watch"],
    ));
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains(line), "{}", ended.stderr);
}
