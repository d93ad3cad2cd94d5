//! The verbs that ask a registry, as people and scripts run them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::VERBS;
use crate::common::{
    Finished, Service, Talking, finish, free_port, is_uuid, path, private_file, verb, wait_until,
};

fn ask(service: &Service, arguments: &[&str]) -> Finished {
    finish(verb(service.address(), arguments))
}

/// The standard output of a verb that exits with 0 and prints nothing on standard error.
fn said(service: &Service, arguments: &[&str]) -> String {
    let Finished {
        stdout,
        stderr,
        status,
    } = ask(service, arguments);
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

#[test]
fn each_verb_prints_what_scripts_expect() {
    let service = Service::start(&[]);
    let uuid = said(
        &service,
        &["register", "hive", "10.0.0.1", "80", "--ttl", "60"],
    );
    let uuid = uuid.trim_end();
    assert!(is_uuid(uuid), "{uuid}");
    assert_eq!(said(&service, &["heartbeat", uuid]), "OK\n");
    said(&service, &["register", "hive", "::1", "81"]);
    said(
        &service,
        &["register", "hive", "10.0.0.1", "80", "--replace"],
    );
    assert_eq!(
        said(&service, &["query", "hive"]),
        "[::1]:81\n10.0.0.1:80\n"
    );
    let one = said(&service, &["query", "hive", "--one"]);
    assert!(
        ["[::1]:81\n", "10.0.0.1:80\n"].contains(&one.as_str()),
        "{one}"
    );
    assert_eq!(said(&service, &["types"]), "hive\t2\n");
    assert_eq!(said(&service, &["ping"]), "PONG\n");
    let list = said(&service, &["list", "hive"]);
    let first: Vec<&str> = list.lines().next().expect("a line").split('\t').collect();
    assert_eq!(
        (first.len(), first[0], first[1], first[3], first[4]),
        (7, "hive", "[::1]:81", "30.0s", "heartbeats")
    );
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
        (&["why", nobody, "--json"], "{\"state\":\"unknown\"}\n"),
    ] {
        let no = ask(&service, arguments);
        assert_eq!(
            (no.status, no.stdout.as_str(), no.stderr.as_str()),
            (Some(1), stdout, ""),
            "{arguments:?}"
        );
    }
    let why = ask(&service, &["why", nobody]);
    assert_eq!((why.status, why.stdout.as_str()), (Some(1), ""));
    assert!(
        why.stderr
            .starts_with("discovery: no live registration has this UUID"),
        "{}",
        why.stderr
    );
    let refused = ask(&service, &["register", "hive", "0.0.0.0", "80"]);
    assert_eq!(refused.status, Some(1));
    assert!(
        refused
            .stderr
            .contains("refused: the ip is the unspecified address"),
        "{}",
        refused.stderr
    );
    // An empty list is a list.
    assert_eq!(ask(&service, &["list"]).status, Some(0));
}

#[test]
fn every_verb_prints_json_on_one_line() {
    let service = Service::start(&[]);
    let json = |arguments: &[&str]| -> serde_json::Value {
        let line = said(&service, &[arguments, &["--json"]].concat());
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(&line).expect("JSON")
    };
    let uuid = json(&["register", "hive", "10.0.0.1", "80"])["uuid"]
        .as_str()
        .expect("a UUID")
        .to_owned();
    assert_eq!(json(&["heartbeat", &uuid])["found"], true);
    assert_eq!(
        json(&["query", "hive"]).to_string(),
        r#"[{"ip":"10.0.0.1","port":80}]"#
    );
    assert_eq!(
        json(&["wait", "hive"]).to_string(),
        r#"[{"ip":"10.0.0.1","port":80}]"#
    );
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
        &["list", ""],
        &["list", "a b"],
        &["list", "a\nregister b 10.0.0.1 80"],
        &["why", "a\nping"],
        &["query", &"x".repeat(64)],
        &["register", "hive", "localhost", "80"],
        &["register", "hive", "10.0.0.1", "080"],
        &["ping", "--server", ""],
        &["ping", "--server", "127.0.0.1"],
        &["ping", "--server", "http://127.0.0.1:1"],
        &["ping", "--server", "127.0.0.1:99999"],
        &["--ttl", "5", "query", "hive"],
    ] {
        let wrong = finish(verb("127.0.0.1:1".parse().expect("an address"), arguments));
        assert_eq!(wrong.status, Some(2), "{arguments:?}: {}", wrong.stderr);
        assert!(
            wrong.stderr.starts_with("error: "),
            "{arguments:?}: {}",
            wrong.stderr
        );
    }
}

#[test]
fn every_verb_has_a_help_with_an_example() {
    for name in VERBS {
        let help = finish(verb(
            "127.0.0.1:1".parse().expect("an address"),
            &[name, "--help"],
        ));
        assert_eq!(help.status, Some(0), "{name}");
        assert!(
            help.stdout.contains("Example:\n"),
            "{name}: {}",
            help.stdout
        );
        assert!(
            help.stdout.contains("--server") || name == "completions",
            "{name}: {}",
            help.stdout
        );
    }
    let all = finish(verb(
        "127.0.0.1:1".parse().expect("an address"),
        &["--help"],
    ))
    .stdout;
    assert!(
        VERBS
            .iter()
            .all(|verb| all.contains(&format!("  {verb}\n")))
            && !all.contains("run-"),
        "{all}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = finish(verb(
            "127.0.0.1:1".parse().expect("an address"),
            &["completions", shell],
        ));
        assert!(
            script.status == Some(0) && script.stdout.contains("deregister"),
            "{shell}"
        );
    }
}

#[test]
fn bash_completes_shells_and_the_command_of_run() {
    const COMPLETE: &str = r#"
eval "$($0 completions bash)"
complete -p discovery | grep -o 'F [a-z_]*'
complete_words() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _discovery_or_command discovery "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\n' "${COMPREPLY[@]}" | sort -u
}
complete_words discovery completions z
complete_words discovery run web 80 -- mkd
complete_words discovery run web 80 -- ls /et
complete_words discovery que
complete_words discovery --listen /et
"#;
    let mut command = std::process::Command::new("bash");
    command.args(["-c", COMPLETE, env!("CARGO_BIN_EXE_discovery")]);
    let completed = finish(command);
    let expected = "F _discovery_or_command\nzsh\nmkdir\n/etc\nquery\n/et\n";
    assert_eq!(completed.stdout, expected, "{}", completed.stderr);
}

#[test]
fn several_servers_are_tried_in_turn_until_one_answers() {
    let service = Service::start(&[]);
    service.connect().register("hive", "10.0.0.1", 80);
    let servers = format!("127.0.0.1:{}, {}", free_port(), service.address());
    for arguments in [
        &["ping", "--server", &servers][..],
        &["types", "--server", &servers],
    ] {
        assert_eq!(ask(&service, arguments).status, Some(0), "{arguments:?}");
    }
    let full = Service::start(&["--max-connections", "1"]);
    let mut only = full.connect();
    assert_eq!(only.ask("ping"), "PONG");
    let stopped = Service::start(&[]);
    stopped.signal("STOP");
    for other in [&full, &stopped] {
        let servers = format!("{},{}", other.address(), service.address());
        assert_eq!(
            said(
                &service,
                &["query", "hive", "--server", &servers, "--timeout", "2"]
            ),
            "10.0.0.1:80\n"
        );
    }
    let neither = ask(
        &service,
        &[
            "ping",
            "--server",
            &format!("{},{}", full.address(), stopped.address()),
            "--timeout",
            "0.4",
        ],
    );
    assert_eq!(neither.status, Some(1));
    for (server, reason) in [
        (full, "refused: too many connections"),
        (stopped, "did not answer in time"),
    ] {
        assert!(
            neither
                .stderr
                .contains(&format!("{} {reason}", server.address())),
            "{}",
            neither.stderr
        );
    }
    let named = format!("localhost:{}", service.address().port());
    assert_eq!(said(&service, &["ping", "--server", &named]), "PONG\n");
}

#[test]
fn the_first_token_of_the_file_is_sent() {
    let right = private_file("\nsecret\nother\n");
    let wrong = private_file("open-barley\n");
    let right = path(&right);
    let service = Service::start(&["--token-file", right]);
    assert_eq!(said(&service, &["types", "--token-file", right]), "");
    let stranger = ask(&service, &["types"]);
    assert!(
        stranger.status == Some(1) && stranger.stderr.contains("--token-file"),
        "{}",
        stranger.stderr
    );
    let wrong = ask(&service, &["types", "--token-file", path(&wrong)]);
    assert!(
        wrong.stderr.contains("authentication failed"),
        "{}",
        wrong.stderr
    );
    let none = ask(&service, &["types", "--token-file", "/nonexistent"]);
    assert!(
        none.status == Some(1) && none.stderr.contains("cannot use the token file"),
        "{}",
        none.stderr
    );
    assert_eq!(
        said(&service, &["ping"]),
        "PONG\n",
        "a health check needs no token"
    );
}

#[test]
fn no_is_exit_status_1_even_when_the_output_is_closed() {
    let service = Service::start(&[]);
    for (arguments, status) in [
        (&["query", "hive", "--json"][..], 1),
        (&["heartbeat", "nobody"], 1),
        (&["ping"], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = verb(service.address(), arguments);
        let output = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| child.wait_with_output());
        let output = output.expect("it runs");
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(status), vec![]),
            "{arguments:?}"
        );
    }
}

/// A verb that keeps running, and what it prints.
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
    let line = json.line();
    assert!(line.starts_with(r#"{"index":"#), "{line}");
    assert!(
        line.ends_with(r#","services":[{"type":"hive","ip":"10.0.0.1","port":80}]}"#),
        "{line}"
    );
    let uuid = client.register("hive", "::1", 81);
    assert_eq!(watch.line(), "up hive [::1]:81");
    let line = json.line();
    assert!(
        line.ends_with(r#","up":[{"type":"hive","ip":"::1","port":81}],"down":[]}"#),
        "{line}"
    );
    client.ask(&format!("deregister {uuid}"));
    assert_eq!(watch.line(), "down hive [::1]:81");
    service.signal("TERM");
    service.wait();
    let service = Service::start(&["--listen", &listen]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.3", 83);
    // What was removed while the registry was down is reported now.
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
    assert_eq!(
        [watch.line(), watch.line(), watch.line()],
        ["10.0.0.1:80", "10.0.0.2:80", "--"]
    );
}

#[test]
fn an_exec_command_that_falls_behind_gets_what_is_live_now() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    // The file is not removed, so that no command waits for it any more.
    let go = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("verbs-go");
    let _ = std::fs::remove_file(&go);
    let slow = format!(
        "wc -l; for i in $(seq 500); do [ -e '{}' ] && exit; sleep 0.01; done",
        go.display()
    );
    let mut watch = following(&service, &["watch", "hive", "--exec", &slow]);
    assert_eq!(watch.line().trim(), "0");
    for port in 1..=50 {
        client.register("hive", "10.0.0.1", port);
    }
    std::fs::write(&go, "").expect("a file");
    assert_eq!(
        watch.line().trim(),
        "50",
        "in one run, not one after the other"
    );
}

#[test]
fn watch_and_wait_say_that_the_registry_is_away_and_that_it_is_back() {
    let listen = format!("127.0.0.1:{}", free_port());
    for arguments in [
        &["watch", "hive"][..],
        &["wait", "hive", "--count", "2"],
        &["watch", "--exec", "cat"],
    ] {
        let mut service = Service::start(&["--listen", &listen]);
        let mut command = verb(listen.parse().expect("an address"), arguments);
        let mut follower = Talking::spawn({
            command.stderr(Stdio::piped());
            command
        });
        wait_until("it watches", || {
            service
                .connect()
                .ask("stats")
                .contains("\"watchers\":1")
                .then_some(())
        });
        service.signal("TERM");
        service.wait();
        let mut messages =
            BufReader::new(follower.child.stderr.take().expect("it is piped")).lines();
        let mut said = || messages.next().expect("a message").expect("text");
        let message = said();
        assert!(
            message.contains(&listen) && message.ends_with("; trying again"),
            "{arguments:?}: {message}"
        );
        let _service = Service::start(&["--listen", &listen]);
        // It says so although no service has changed.
        assert_eq!(said(), "discovery: the registry is back", "{arguments:?}");
    }
}

/// `watch` on a terminal of 7 lines until it has shown 10.0.0.1:80.
fn in_terminal(service: &Service, term: &str) -> std::process::Command {
    const SCRIPT: &str = "import fcntl, os, pty, signal, struct, sys, termios\n\
        signal.alarm(20)\n\
        ours, theirs = pty.openpty()\n\
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack('HHHH', 7, 80, 0, 0))\n\
        pid = os.fork()\n\
        if pid == 0: os.login_tty(theirs) if hasattr(os, 'login_tty') else os.dup2(theirs, 1); os.execvp(sys.argv[1], sys.argv[1:])\n\
        seen = b''\n\
        while b'10.0.0.1:80' not in seen or seen[-1:] not in b'\\nJ': seen += os.read(ours, 4096)\n\
        print(repr(seen)); os.kill(pid, 9)\n";
    let mut command = std::process::Command::new("python3");
    command.args([
        "-c",
        SCRIPT,
        env!("CARGO_BIN_EXE_discovery"),
        "watch",
        "hive",
    ]);
    command
        .env("DISCOVERY_SERVER", service.address().to_string())
        .env("TERM", term);
    command
}

#[test]
fn watch_draws_a_table_on_a_terminal() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 80);
    for (no_colour, bold) in [("", true), ("1", false)] {
        let mut command = in_terminal(&service, "xterm");
        command.env("NO_COLOR", no_colour);
        let screen = finish(command).stdout;
        assert!(
            screen.contains("1 live") && screen.contains("TYPE  ADDRESS"),
            "{screen}"
        );
        assert_eq!(
            screen.contains("\\x1b[1m"),
            bold,
            "NO_COLOR={no_colour:?}: {screen}"
        );
        // Earlier output is scrolled up, not overwritten.
        assert!(
            screen.starts_with(&format!("b'{}\\x1b[H", "\\r\\n".repeat(7))),
            "{screen}"
        );
    }
}

#[test]
fn watch_prints_lines_on_a_dumb_terminal() {
    let service = Service::start(&[]);
    service.connect().register("hive", "10.0.0.1", 80);
    for term in ["dumb", ""] {
        let screen = finish(in_terminal(&service, term)).stdout;
        assert_eq!(screen, "b'up hive 10.0.0.1:80\\r\\n'\n", "TERM={term:?}");
    }
}

#[test]
fn wait_returns_when_enough_are_live_and_gives_up_at_its_timeout() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let mut wait = following(&service, &["wait", "hive", "--count", "2"]);
    client.register("hive", "10.0.0.1", 80);
    client.register("hive", "10.0.0.2", 80);
    assert_eq!([wait.line(), wait.line()], ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(wait.status(), Some(0));
    let in_vain = ask(
        &service,
        &["wait", "hive", "--count", "3", "--timeout", "0.2"],
    );
    assert_eq!(in_vain.status, Some(1));
    assert!(
        in_vain.stderr.contains("2 of 3 are live"),
        "{}",
        in_vain.stderr
    );
    // With a time limit it waits for the registry too.
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let early = verb(
        listen.parse().expect("an address"),
        &["wait", "hive", "--timeout", "15"],
    )
    .stderr(Stdio::piped())
    .spawn();
    let late = Service::start(&["--listen", &listen]);
    late.connect().register("hive", "10.0.0.1", 80);
    assert_eq!(
        early.expect("it runs").wait().expect("it is ours").code(),
        Some(0)
    );
}

#[test]
fn wait_tries_the_next_registry_within_its_timeout() {
    let stopped = Service::start(&[]);
    stopped.signal("STOP");
    let service = Service::start(&[]);
    service.connect().register("hive", "10.0.0.1", 80);
    let servers = format!("{},{}", stopped.address(), service.address());
    let begun = Instant::now();
    assert_eq!(
        said(
            &service,
            &["wait", "hive", "--timeout", "60", "--server", &servers]
        ),
        "10.0.0.1:80\n"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn watch_ends_when_its_output_is_closed() {
    let service = Service::start(&[]);
    service.connect().register("hive", "10.0.0.1", 80);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "\"$0\" watch hive | head -n 1"])
        .arg(env!("CARGO_BIN_EXE_discovery"));
    command.env("DISCOVERY_SERVER", service.address().to_string());
    let begun = Instant::now();
    assert_eq!(finish(command).stdout, "up hive 10.0.0.1:80\n");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "not only when it expires: {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_reader_that_stops_after_one_line_does_no_harm() {
    let service = Service::start(&[]);
    service.connect().register_many(20_000);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "\"$0\" query hive | head -n 1"])
        .arg(env!("CARGO_BIN_EXE_discovery"));
    command.env("DISCOVERY_SERVER", service.address().to_string());
    let first = finish(command);
    assert_eq!(
        (first.stdout.as_str(), first.stderr.as_str()),
        ("10.0.0.1:80\n", "")
    );
}

#[test]
fn open_prints_where_the_page_is_and_on_a_desktop_has_it_opened() {
    let service = Service::start(&[]);
    let page = format!("http://{}/", service.address());
    let folder = tempfile::tempdir().expect("a folder");
    let opened = folder.path().join("opened");
    let opener = folder.path().join("xdg-open");
    std::fs::write(
        &opener,
        "#!/bin/sh\necho \"$1\" >\"$OPENED.new\"; mv \"$OPENED.new\" \"$OPENED\"\n",
    )
    .expect("it is ours");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&opener, executable).expect("it is ours");
    for display in ["", ":0"] {
        let path = std::env::var("PATH").expect("there is one");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_discovery"));
        command
            .args(["open", "--server", &service.address().to_string()])
            .env("PATH", format!("{}:{path}", folder.path().display()))
            .env("OPENED", &opened)
            .env("DISPLAY", display)
            .env_remove("WAYLAND_DISPLAY");
        assert_eq!(finish(command).stdout, format!("{page}\n"));
        if display.is_empty() {
            assert!(!opened.exists(), "there is no desktop");
        }
    }
    wait_until("the desktop opens it", || opened.exists().then_some(()));
    let said = std::fs::read_to_string(&opened).expect("it is there");
    assert_eq!(said.trim_end(), page);
}
