//! The client verbs, as people and scripts run them.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Finished, Service, Talking, finish, free_port, is_uuid, verb};

fn ask(service: &Service, arguments: &[&str]) -> Finished {
    finish(verb(service.address(), arguments))
}

/// The standard output of a verb that says yes and nothing on standard error.
fn said(service: &Service, arguments: &[&str]) -> String {
    let Finished { stdout, stderr, status } = ask(service, arguments);
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

#[test]
fn each_verb_prints_what_scripts_expect() {
    let service = Service::start(&[]);
    let uuid = said(&service, &["register", "hive", "10.0.0.1", "80", "--ttl", "60"]);
    let uuid = uuid.trim_end();
    assert!(is_uuid(uuid), "{uuid}");
    assert_eq!(said(&service, &["heartbeat", uuid]), "OK\n");
    said(&service, &["register", "hive", "::1", "81"]);
    said(&service, &["register", "hive", "10.0.0.1", "80", "--replace"]);
    assert_eq!(said(&service, &["query", "hive"]), "[::1]:81\n10.0.0.1:80\n");
    let one = said(&service, &["query", "hive", "--one"]);
    assert!(["[::1]:81\n", "10.0.0.1:80\n"].contains(&one.as_str()), "{one}");
    assert_eq!(said(&service, &["types"]), "hive\t2\n");
    assert_eq!(said(&service, &["ping"]), "PONG\n");
    let list = said(&service, &["list", "hive"]);
    let first: Vec<&str> = list.lines().next().expect("a line").split('\t').collect();
    assert_eq!((first.len(), first[0], first[1], first[3], first[4]), (6, "hive", "[::1]:81", "30.0s", "heartbeats"));
    assert!(said(&service, &["stats"]).contains("registrations\t2\n"));

    let dash = said(&service, &["register", "dash", "-", "82"]);
    assert_eq!(said(&service, &["query", "dash"]), "127.0.0.1:82\n");
    assert!(said(&service, &["why", dash.trim_end()]).contains("state\tlive\n"));
    assert_eq!(said(&service, &["deregister", dash.trim_end()]), "OK\n");
    assert!(said(&service, &["why", dash.trim_end()]).contains("reason\tderegistered\n"));
}

#[test]
fn no_is_exit_status_1() {
    let service = Service::start(&[]);
    let nobody = "3999da30-2a11-463a-be8e-6b2beca7bfe6";
    for (arguments, stdout) in [
        (&["heartbeat", nobody][..], "NOT FOUND\n"),
        (&["deregister", nobody], "NOT FOUND\n"),
        (&["query", "hive"], ""),
        (&["query", "hive", "--one"], ""),
        (&["query", "hive", "--json"], "[]\n"),
    ] {
        let no = ask(&service, arguments);
        assert_eq!((no.status, no.stdout.as_str(), no.stderr.as_str()), (Some(1), stdout, ""), "{arguments:?}");
    }
    let why = ask(&service, &["why", nobody]);
    assert_eq!((why.status, why.stdout.as_str()), (Some(1), ""));
    assert!(why.stderr.starts_with("discovery: nobody with that UUID"), "{}", why.stderr);
    let refused = ask(&service, &["register", "hive", "0.0.0.0", "80"]);
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("refused: the ip is the unspecified address"), "{}", refused.stderr);
    // An empty list is a list.
    assert_eq!(ask(&service, &["list"]).status, Some(0));
}

#[test]
fn every_verb_speaks_json_to_programs() {
    let service = Service::start(&[]);
    let json = |arguments: &[&str]| -> serde_json::Value {
        let line = said(&service, &[arguments, &["--json"]].concat());
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(&line).expect("JSON")
    };
    let uuid = json(&["register", "hive", "10.0.0.1", "80"])["uuid"].as_str().expect("a UUID").to_owned();
    assert_eq!(json(&["heartbeat", &uuid])["found"], true);
    assert_eq!(json(&["query", "hive"]).to_string(), r#"[{"ip":"10.0.0.1","port":80}]"#);
    assert_eq!(json(&["wait", "hive"]).to_string(), r#"[{"ip":"10.0.0.1","port":80}]"#);
    assert_eq!(json(&["types"])[0]["count"], 1);
    assert_eq!(json(&["list"])[0]["type"], "hive");
    assert_eq!(json(&["why", &uuid])["state"], "live");
    assert_eq!(json(&["stats"])["registrations"], 1);
    assert_eq!(json(&["ping"])["pong"], true);
    assert_eq!(json(&["deregister", &uuid])["found"], true);
}

#[test]
fn wrong_usage_is_exit_status_2_with_the_form() {
    for arguments in [
        &["bogus"][..],
        &["register"],
        &["register", "hive", "10.0.0.1", "0"],
        &["register", "hive", "10.0.0.1", "65536"],
        &["register", "hive", "10.0.0.1", "80", "--ttl", "0"],
        &["query"],
        &["query", "a", "b"],
        &["query", "a", "--one", "--bogus"],
        &["ping", "--timeout", "soon"],
        &["wait", "a", "--timeout", "0"],
        &["run", "web", "80"],
        &["run", "web", "http", "--", "true"],
        &["completions", "ksh"],
        &["--ttl", "5", "query", "hive"],
    ] {
        let wrong = finish(verb("127.0.0.1:1".parse().expect("an address"), arguments));
        assert_eq!(wrong.status, Some(2), "{arguments:?}: {}", wrong.stderr);
        assert!(wrong.stderr.starts_with("error: "), "{arguments:?}: {}", wrong.stderr);
    }
}

#[test]
fn every_verb_has_a_help_with_an_example() {
    let verbs = [
        "register",
        "heartbeat",
        "deregister",
        "query",
        "list",
        "types",
        "stats",
        "why",
        "watch",
        "wait",
        "run",
        "ping",
    ];
    for name in verbs.into_iter().chain(["completions"]) {
        let help = finish(verb("127.0.0.1:1".parse().expect("an address"), &[name, "--help"]));
        assert_eq!(help.status, Some(0), "{name}");
        assert!(help.stdout.contains("Example:\n"), "{name}: {}", help.stdout);
        assert!(help.stdout.contains("--server") || name == "completions", "{name}: {}", help.stdout);
    }
    let all = finish(verb("127.0.0.1:1".parse().expect("an address"), &["--help"])).stdout;
    assert!(verbs.iter().all(|verb| all.contains(&format!("  {verb}\n"))) && !all.contains("run-"), "{all}");
    for shell in ["bash", "zsh", "fish"] {
        let script = finish(verb("127.0.0.1:1".parse().expect("an address"), &["completions", shell]));
        assert!(script.status == Some(0) && script.stdout.contains("deregister"), "{shell}");
    }
}

/// A server that does what a test says with the first connection, and keeps it.
fn impostor(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
            kept.push(stream);
        }
    });
    address
}

#[test]
fn a_server_that_is_away_slow_or_another_is_told_apart_within_the_timeout() {
    let away: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().expect("an address");
    for (address, message) in [
        (away, "cannot reach the registry at"),
        (impostor(b""), "did not answer in time"),
        (impostor(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is not the registry: it said \"HTTP/1.1 400"),
        (impostor(b"\x1b[31m\n"), "is not the registry: it said \"\\u{1b}[31m\""),
        (impostor(b"{}\n"), "is not the registry"),
        (impostor(b"[{\"ip\":1}]\n"), "is not the registry"),
    ] {
        for arguments in [&["query", "hive"][..], &["watch"], &["ping"]] {
            let mut command = verb(address, arguments);
            command.args(["--timeout", "0.3"]);
            let begun = Instant::now();
            let failed = finish(command);
            assert!(begun.elapsed() < Duration::from_secs(4), "{arguments:?} {message}");
            assert_eq!(failed.status, Some(1), "{arguments:?} {message}: {}", failed.stderr);
            let told = failed.stderr.contains(message) && failed.stderr.contains(&address.to_string());
            assert!(told && failed.stderr.lines().count() == 1, "{arguments:?}: {}", failed.stderr);
        }
    }
    let wait = finish(verb(away, &["wait", "hive"]));
    assert!(wait.status == Some(1) && wait.stderr.contains("cannot reach the registry"), "{}", wait.stderr);
}

#[test]
fn several_servers_are_tried_in_turn() {
    let service = Service::start(&[]);
    let servers = format!("127.0.0.1:{}, {}", free_port(), service.address());
    for arguments in [&["ping", "--server", &servers][..], &["types", "--server", &servers]] {
        assert_eq!(ask(&service, arguments).status, Some(0), "{arguments:?}");
    }
    let named = format!("localhost:{}", service.address().port());
    assert_eq!(said(&service, &["ping", "--server", &named]), "PONG\n");
}

#[test]
fn a_token_is_shown_from_its_file() {
    let folder = std::env::temp_dir();
    let path = |name: &str| folder.join(format!("discovery-verbs-{}-{name}", std::process::id()));
    std::fs::write(path("right"), "\nsecret\nother\n").expect("a file");
    std::fs::write(path("wrong"), "open-barley\n").expect("a file");
    let right = path("right");
    let right = right.to_str().expect("text");
    let service = Service::start(&["--token-file", right]);
    assert_eq!(said(&service, &["types", "--token-file", right]), "");
    let stranger = ask(&service, &["types"]);
    assert!(stranger.status == Some(1) && stranger.stderr.contains("--token-file"), "{}", stranger.stderr);
    let wrong = ask(&service, &["types", "--token-file", path("wrong").to_str().expect("text")]);
    assert!(wrong.stderr.contains("authentication failed"), "{}", wrong.stderr);
    let none = ask(&service, &["types", "--token-file", "/nonexistent"]);
    assert!(none.status == Some(1) && none.stderr.contains("cannot use the token file"), "{}", none.stderr);
    assert_eq!(said(&service, &["ping"]), "PONG\n", "a health check needs none");
    for name in ["right", "wrong"] {
        std::fs::remove_file(path(name)).expect("it is there");
    }
}

/// A verb that goes on, and what it prints.
fn following(service: &Service, arguments: &[&str]) -> Talking {
    Talking::spawn(verb(service.address(), arguments))
}

#[test]
fn watch_prints_a_line_for_each_change_and_survives_a_restart_of_the_registry() {
    let port = free_port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let mut service = Service::start(&["--listen", &listen]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 80);
    let mut watch = following(&service, &["watch", "hive"]);
    let mut json = following(&service, &["watch", "--json"]);
    assert_eq!(watch.line(), "up hive 10.0.0.1:80");
    assert_eq!(json.line(), r#"{"index":1,"services":[{"ip":"10.0.0.1","port":80,"type":"hive"}]}"#);
    let uuid = client.register("hive", "::1", 81);
    assert_eq!(watch.line(), "up hive [::1]:81");
    assert_eq!(json.line(), r#"{"down":[],"index":2,"up":[{"ip":"::1","port":81,"type":"hive"}]}"#);
    client.ask(&format!("deregister {uuid}"));
    assert_eq!(watch.line(), "down hive [::1]:81");
    service.signal("TERM");
    service.wait();
    let service = Service::start(&["--listen", &listen]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.3", 83);
    // What went while nobody could tell is told now.
    let mut told = [watch.line(), watch.line()];
    told.sort();
    assert_eq!(told, ["down hive 10.0.0.1:80", "up hive 10.0.0.3:83"]);
}

#[test]
fn watch_runs_a_command_at_each_change_with_the_present_list() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let mut watch = following(&service, &["watch", "hive", "--exec", "sort; echo --"]);
    assert_eq!(watch.line(), "--");
    client.register("hive", "10.0.0.2", 80);
    assert_eq!([watch.line(), watch.line()], ["10.0.0.2:80", "--"]);
    client.register("hive", "10.0.0.1", 80);
    assert_eq!([watch.line(), watch.line(), watch.line()], ["10.0.0.1:80", "10.0.0.2:80", "--"]);
}

#[test]
fn watch_draws_a_table_on_a_terminal() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 80);
    let in_terminal = "import os, pty, signal, sys\n\
        signal.alarm(20)\n\
        pid, fd = pty.fork()\n\
        if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])\n\
        seen = b''\n\
        while b'10.0.0.1:80' not in seen: seen += os.read(fd, 4096)\n\
        print(repr(seen)); os.kill(pid, 9)\n";
    for (no_colour, bold) in [("", true), ("1", false)] {
        let mut command = std::process::Command::new("python3");
        command.args(["-c", in_terminal, env!("CARGO_BIN_EXE_discovery"), "watch", "hive"]);
        command.env("DISCOVERY_SERVER", service.address().to_string()).env("NO_COLOR", no_colour).env("TERM", "xterm");
        let screen = finish(command).stdout;
        assert!(screen.contains("1 live") && screen.contains("TYPE  ADDRESS"), "{screen}");
        assert_eq!(screen.contains("\\x1b[1m"), bold, "NO_COLOR={no_colour:?}: {screen}");
    }
}

#[test]
fn wait_returns_when_enough_are_live_and_gives_up_when_told_to() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let mut wait = following(&service, &["wait", "hive", "--count", "2"]);
    client.register("hive", "10.0.0.1", 80);
    client.register("hive", "10.0.0.2", 80);
    assert_eq!([wait.line(), wait.line()], ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(wait.status(), Some(0));
    let in_vain = ask(&service, &["wait", "hive", "--count", "3", "--timeout", "0.2"]);
    assert_eq!(in_vain.status, Some(1));
    assert!(in_vain.stderr.contains("2 of 3 are live"), "{}", in_vain.stderr);
    // With a time limit it waits for the registry too.
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let early =
        verb(listen.parse().expect("an address"), &["wait", "hive", "--timeout", "15"]).stderr(Stdio::piped()).spawn();
    let late = Service::start(&["--listen", &listen]);
    late.connect().register("hive", "10.0.0.1", 80);
    assert_eq!(early.expect("it runs").wait().expect("it is ours").code(), Some(0));
}

#[test]
fn whoever_reads_only_the_first_line_does_no_harm() {
    let service = Service::start(&[]);
    service.connect().register_many(20_000);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "\"$0\" query hive | head -n 1"]).arg(env!("CARGO_BIN_EXE_discovery"));
    command.env("DISCOVERY_SERVER", service.address().to_string());
    let first = finish(command);
    assert_eq!((first.stdout.as_str(), first.stderr.as_str()), ("10.0.0.1:80\n", ""));
}
