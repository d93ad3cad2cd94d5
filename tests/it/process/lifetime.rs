//! The process: arguments, exit status, signals, standard streams.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Client, Finished, Service, ask_frame, command, finish, free_port, wait_until};

/// The variables that the service reads from the environment.
const VARIABLES: [&str; 10] = [
    "DISCOVERY_LISTEN",
    "DISCOVERY_TTL",
    "DISCOVERY_TICK",
    "DISCOVERY_MAX_SERVICES",
    "DISCOVERY_MAX_CONNECTIONS",
    "DISCOVERY_IDLE_TIMEOUT",
    "DISCOVERY_TOKEN_FILE",
    "DISCOVERY_INSECURE",
    "DISCOVERY_ADVERTISE",
    "DISCOVERY_OWN_ADDRESS",
];

fn run(args: &[&str]) -> Finished {
    let mut command = command();
    command.args(args);
    finish(command)
}

#[test]
fn wrong_usage_exits_with_2_and_a_message_that_names_the_option() {
    let cases: [&[&str]; 11] = [
        &["--no-such-option"],
        &["--ttl", "0"],
        &["--ttl", "86401"],
        &["--ttl", "soon"],
        &["--tick", "9"],
        &["--tick", "60001"],
        &["--max-services", "0"],
        &["--max-connections", "0"],
        &["--idle-timeout", "-5"],
        &["--listen", "localhost:65432"],
        &["--listen"],
    ];
    for args in cases {
        let output = run(args);
        assert_eq!(output.status, Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let message = output.stderr;
        assert!(
            message.contains(args[0]) || message.contains("-5"),
            "{args:?}: {message}"
        );
    }
}

#[test]
fn a_public_address_without_a_token_file_is_refused_and_both_remedies_are_named() {
    let output = run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(output.status, Some(2));
    let message = output.stderr;
    assert!(
        message.contains("--token-file") && message.contains("--insecure"),
        "{message}"
    );
    let service = Service::start(&["--listen", "0.0.0.0:0", "--insecure"]);
    let address = ("127.0.0.1", service.address().port());
    let address = std::net::ToSocketAddrs::to_socket_addrs(&address)
        .expect("it is one")
        .next()
        .expect("one");
    assert_eq!(Client::connect(address).ask("query hive"), "[]");
    // The service does not even listen on the loopback address that is given beside it.
    for public in ["[::]:0", "192.0.2.1:0"] {
        let output = run(&["--listen", "127.0.0.1:0", "--listen", public]);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (Some(2), ""),
            "{public}"
        );
    }
}

#[test]
fn nothing_but_the_listening_lines_goes_to_standard_output() {
    let mut traced = command();
    traced
        .args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"])
        .env("RUST_LOG", "trace");
    let mut service = Service::spawn(traced);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 1);
    client.ask("bogus");
    ask_frame(service.address(), "{}");
    service.signal("TERM");
    let [a, b] = service.addresses() else {
        panic!("two addresses")
    };
    let expected = format!("listening on {a}\nlistening on {b}\n");
    assert_eq!(service.whole_stdout(), expected);
}

#[test]
fn help_and_version_exit_with_0() {
    let help = run(&["--help"]);
    assert_eq!(help.status, Some(0));
    let said = [
        "--listen",
        "--ttl",
        "--tick",
        "--max-services",
        "--max-connections",
        "--idle-timeout",
        "--token-file",
        "--insecure",
        "127.0.0.1:65432",
        "nc -N",
    ];
    for word in said.into_iter().chain(VARIABLES) {
        assert!(help.stdout.contains(word), "{word} is not in the help");
    }
    let version = run(&["--version"]);
    assert_eq!(version.status, Some(0));
    assert_eq!(
        version.stdout,
        concat!("discovery ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn row_46_an_address_that_cannot_be_bound_exits_with_1_and_one_clear_line() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("it has an address").to_string();
    let cases = [
        (
            vec!["--listen", &address],
            format!("cannot listen on {address}: Address already in use\n"),
        ),
        (
            vec!["--listen", "192.0.2.1:7000", "--insecure"],
            "cannot listen on 192.0.2.1:7000: Cannot assign requested address\n".to_owned(),
        ),
    ];
    for (args, message) in cases {
        let output = run(&args);
        assert_eq!(output.status, Some(1), "{args:?}");
        assert_eq!(output.stderr, message);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn several_addresses_and_ipv6_are_announced_and_served() {
    let service = Service::start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let [v4, v6] = service.addresses() else {
        panic!("two addresses")
    };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    Client::connect(*v4).register("hive", "10.0.0.1", 1);
    assert_eq!(
        Client::connect(*v6).ask("query hive"),
        r#"[{"ip":"10.0.0.1","port":1}]"#
    );
}

#[test]
fn options_come_from_the_environment_and_arguments_override_it() {
    let mut from_environment = command();
    from_environment
        .env("DISCOVERY_LISTEN", "127.0.0.1:0")
        .env("DISCOVERY_MAX_SERVICES", "1");
    let service = Service::spawn(from_environment);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 1);
    assert_eq!(
        client.ask("register hive 10.0.0.1 2"),
        "ERROR registry full"
    );

    let mut both = command();
    both.args(["--listen", "127.0.0.1:0", "--max-services", "2"])
        .env("DISCOVERY_MAX_SERVICES", "1");
    let service = Service::spawn(both);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 1);
    client.register("hive", "10.0.0.1", 2);

    let wrong = [
        ("DISCOVERY_LISTEN", "localhost"),
        ("DISCOVERY_TTL", "0"),
        ("DISCOVERY_TICK", "9"),
        ("DISCOVERY_MAX_SERVICES", "0"),
        ("DISCOVERY_MAX_CONNECTIONS", "0"),
        ("DISCOVERY_IDLE_TIMEOUT", "-5"),
    ];
    for (name, value) in wrong {
        // If the variable were ignored, the service would start.
        let mut refused = command();
        refused
            .env("DISCOVERY_LISTEN", "127.0.0.1:0")
            .env(name, value);
        assert_eq!(finish(refused).status, Some(2), "{name}={value}");
    }
    let mut insecure = command();
    insecure
        .env("DISCOVERY_INSECURE", "1")
        .args(["--listen", "0.0.0.0:0"]);
    Service::spawn(insecure);
    let mut off = command();
    off.env("DISCOVERY_INSECURE", "0")
        .args(["--listen", "0.0.0.0:0"]);
    assert_eq!(finish(off).status, Some(2));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let mut emptied = command();
    emptied.args(["--listen", "127.0.0.1:0"]);
    for name in VARIABLES {
        emptied.env(name, "");
    }
    assert_eq!(Service::spawn(emptied).connect().ask("query hive"), "[]");
}

#[test]
fn a_hyphen_from_this_host_means_what_is_advertised_and_a_public_listener_is_advertised() {
    let registered = |args: &[&str], ip: &str| {
        let service = Service::start(args);
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, service.address().port()).into());
        assert!(crate::common::is_uuid(
            &client.ask(&format!("register web {ip} 80"))
        ));
        let first = client.ask("query web");
        let uuid = "3999da30-2a11-463a-be8e-6b2beca7bfe6";
        for _ in 0..2 {
            let long = format!("heartbeat {uuid} revived {ip} 80");
            assert_eq!(client.ask(&long), "OK", "it is the same address each time");
        }
        assert_eq!(client.ask("query revived"), first);
        client.ask(&format!("hold held {ip} 80"));
        assert_eq!(client.ask("query held"), first);
        (first, service)
    };
    let answer = |ip: &str| format!(r#"[{{"ip":"{ip}","port":80}}]"#);
    let (loopback, service) = registered(&["--listen", "127.0.0.1:0"], "-");
    assert_eq!(loopback, answer("127.0.0.1"));
    assert!(
        !service.log().contains("cannot reach"),
        "nobody is elsewhere"
    );
    let advertised = ["--listen", "127.0.0.1:0", "--advertise", "192.0.2.7"];
    assert_eq!(registered(&advertised, "-").0, answer("192.0.2.7"));
    assert_eq!(registered(&advertised, "10.0.0.1").0, answer("10.0.0.1"));

    // The address that this host would use to reach others, if it has one; nothing is sent.
    let probe = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let outward = probe
        .connect("198.41.0.4:1")
        .and_then(|()| probe.local_addr());
    let own = outward.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    let wildcard = ["--listen", "0.0.0.0:0", "--insecure"];
    let (first, service) = registered(&wildcard, "-");
    assert_eq!(first, answer(&own.to_string()));
    if own.is_loopback() {
        return;
    }
    assert!(service.log().contains(&format!("advertise={own}")));
    assert!(!service.log().contains("cannot reach"));
    let listener = format!("{own}:0");
    let both = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        &listener,
        "--insecure",
    ];
    assert_eq!(registered(&both, "-").0, answer(&own.to_string()));
}

#[test]
fn a_loopback_address_is_warned_of_once_where_others_can_connect() {
    let service = Service::start(&["--listen", "0.0.0.0:0", "--insecure"]);
    let mut client = Client::connect((Ipv4Addr::LOCALHOST, service.address().port()).into());
    for _ in 0..3 {
        client.register("web", "127.0.0.1", 80);
        client.register("web", "::1", 80);
        client.register("web", "10.0.0.1", 80);
    }
    client.register("web", "127.0.0.1", 81);
    let warnings = || {
        let log = service.log();
        log.lines()
            .filter(|line| line.contains("cannot reach"))
            .count()
    };
    wait_until("it is warned of", || (warnings() >= 3).then_some(()));
    assert_eq!(client.ask("ping"), "PONG");
    assert_eq!(warnings(), 3);
    assert!(service.log().contains("127.0.0.1 81"));
}

#[test]
fn with_own_address_callers_on_this_host_register_any_address() {
    let mut own = command();
    own.env("DISCOVERY_OWN_ADDRESS", "yes")
        .args(["--listen", "0.0.0.0:0", "--insecure"]);
    let service = Service::spawn(own);
    wait_until("the line at start says so", || {
        let said = service.log().contains("own-address=required");
        said.then_some(())
    });
    let port = service.address().port();
    // The address that this host would use to reach others, if it has one; nothing is sent.
    let probe = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let outward = probe
        .connect("192.0.2.1:1")
        .and_then(|()| probe.local_addr());
    let own = outward.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    for (number, ip) in (1..).zip([IpAddr::V4(Ipv4Addr::LOCALHOST), own]) {
        let mut client = Client::connect(SocketAddr::new(ip, port));
        client.register("hive", "10.0.0.1", number);
        client.register("hive", "10.0.0.2", number);
    }
}

#[test]
fn only_a_clear_yes_in_the_environment_opens_a_public_address() {
    for yes in ["1", "true", "YES", "on"] {
        let mut open = command();
        open.env("DISCOVERY_INSECURE", yes)
            .args(["--listen", "0.0.0.0:0"]);
        Service::spawn(open);
    }
    for other in ["0", "false", "No", "off", "", "maybe", "2", "ture"] {
        let mut refused = command();
        refused
            .env("DISCOVERY_INSECURE", other)
            .args(["--listen", "192.0.2.1:7000"]);
        assert_eq!(finish(refused).status, Some(2), "{other:?}");
    }
}

#[test]
fn sigint_and_sigterm_end_an_idle_service_at_once_with_0() {
    for name in ["INT", "TERM"] {
        let mut service = Service::start(&[]);
        let mut idle = service.connect();
        assert_eq!(idle.ask("query hive"), "[]");
        let begun = Instant::now();
        service.signal(name);
        assert_eq!(service.wait().code(), Some(0), "SIG{name}");
        assert!(
            begun.elapsed() < Duration::from_millis(1_500),
            "an idle connection causes no delay"
        );
        assert_eq!(idle.text(), "", "the connection is closed without a reset");
    }
}

#[test]
fn row_39_sigterm_answers_what_has_arrived() {
    let mut service = Service::start(&[]);
    let mut client = service.connect();
    let commands = 20_000;
    client.register("hive", "10.0.0.1", 1);
    client.send("query hive\n".repeat(commands));
    service.signal("TERM");
    let answers = client.text();
    let line = "[{\"ip\":\"10.0.0.1\",\"port\":1}]\n";
    assert_eq!(
        answers,
        line.repeat(answers.len() / line.len()),
        "whole answers, and nothing else"
    );
    assert_eq!(
        answers.len(),
        line.len() * commands,
        "what had arrived is answered"
    );
    drop(client);
    assert_eq!(service.wait().code(), Some(0));
    assert!(
        std::net::TcpStream::connect(service.address()).is_err(),
        "no new connections"
    );
}

/// Queries whose answers, 72 kB each, are far more than the buffers of both ends hold.
const BUSY_QUERIES: usize = 200;

/// A service with a connection on which more answers wait than its peer reads.
fn busy() -> (Service, Client) {
    let service = Service::start(&[]);
    let mut client = service.connect();
    for port in 1..=2_000 {
        client.register("hive", "10.0.0.1", port);
    }
    client.send("query hive\n".repeat(BUSY_QUERIES));
    wait_until("answers wait", || {
        (ask_frame(service.address(), "{}").content == "ERROR").then_some(())
    });
    (service, client)
}

#[test]
fn row_39_sigterm_writes_pending_output_to_a_slow_reader() {
    let (mut service, mut client) = busy();
    service.signal("TERM");
    wait_until("it stops", || {
        service.log().contains("stopping").then_some(())
    });
    assert_eq!(service.ended(), None, "answers wait");
    let answers = client.text();
    let first = answers.split_inclusive('\n').next().expect("an answer");
    assert_eq!(first.matches("port").count(), 2_000);
    assert!(
        answers == first.repeat(BUSY_QUERIES),
        "every answer, each whole: {} bytes",
        answers.len()
    );
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn row_39_a_second_signal_exits_at_once_and_a_peer_that_never_reads_does_not_prevent_the_exit() {
    let (mut service, _client) = busy();
    service.signal("TERM");
    wait_until("it stops", || {
        service.log().contains("stopping").then_some(())
    });
    assert_eq!(service.ended(), None, "answers wait");
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
    let log = service.whole_log();
    assert!(log.contains("stopped at once by a second signal"), "{log}");

    // How long it waits, the simulation knows.
    let (mut service, _client) = busy();
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn row_40_closed_standard_streams_do_no_harm() {
    let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    for closed in [">&-", "2>&-", ">&- 2>&- <&-"] {
        let address = free();
        let script = format!(
            "exec {} --listen {address} {closed}",
            env!("CARGO_BIN_EXE_discovery")
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env("RUST_LOG", "trace")
            .spawn()
            .expect("sh runs");
        let connected = wait_until("it listens", || std::net::TcpStream::connect(address).ok());
        drop(connected);
        let answer = ask_frame(address, r#"{"action": "query", "type": "hive"}"#);
        assert_eq!(answer.content, r#""[]""#, "{closed}");
        crate::common::signal(child.id(), "TERM");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{closed}");
    }
}

#[test]
fn row_40_standard_streams_that_are_broken_pipes_do_no_harm() {
    let broken_pipe = || {
        std::io::pipe()
            .map(|(_reader, writer)| writer)
            .expect("a pipe")
    };
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut child = command()
        .args(["--listen", &address.to_string()])
        .env("RUST_LOG", "trace")
        .stdout(broken_pipe())
        .stderr(broken_pipe())
        .spawn()
        .expect("it runs");
    wait_until("it listens", || std::net::TcpStream::connect(address).ok());
    assert_eq!(Client::connect(address).ask("query hive"), "[]");
    crate::common::signal(child.id(), "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn row_07_and_44_the_log_shows_no_whole_uuid_and_no_control_character() {
    let mut traced = command();
    traced
        .args(["--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "trace");
    let service = Service::spawn(traced);
    let mut client = service.connect();
    let uuid = client.register("evil\u{202e}\"name", "10.0.0.1", 1);
    client.ask(&format!("heartbeat {uuid}"));
    let by_frame = ask_frame(
        service.address(),
        r#"{"action": "register", "type": "f", "ip": "10.0.0.1", "port": 1}"#,
    )
    .content;
    ask_frame(
        service.address(),
        &format!(r#"{{"action": "heartbeat", "uuid": "{by_frame}"}}"#),
    );
    ask_frame(
        service.address(),
        r#"{"action": "query", "type": "a\nFORGED"}"#,
    );
    ask_frame(service.address(), r#"{"action": "\nFORGED\u001b[31m"}"#);
    client.ask("query \u{1b}[31mred\u{7}");
    client.ask("\u{1b}]0;title\u{7}");
    client.send(b"a\xff\n");
    client.line();
    drop(client);
    let log = wait_until("it logs", || {
        Some(service.log()).filter(|log| log.contains("registered"))
    });
    assert!(!log.contains(&uuid) && !log.contains(&by_frame), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    assert!(
        log.contains(&uuid[..8]),
        "a part of it tells registrations apart: {log}"
    );
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
}

#[test]
fn row_40_an_invalid_rust_log_is_ignored_even_when_the_warning_cannot_be_written() {
    let mut wrong = command();
    wrong
        .args(["--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "mio=loud");
    let service = Service::spawn(wrong);
    wait_until("it warns", || {
        service
            .log()
            .contains("WARN  RUST_LOG is ignored")
            .then_some(())
    });

    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device that is always full");
    let mut child = command()
        .args(["--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "mio=loud")
        .stdout(Stdio::piped())
        .stderr(full)
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("it is piped"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("standard output is text");
    assert!(line.starts_with("listening on "), "{line:?}");
    crate::common::signal(child.id(), "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_default_log_level_is_info_and_rust_log_changes_it() {
    let logged = |level: Option<&str>| {
        let mut command = command();
        command.args(["--listen", "127.0.0.1:0"]);
        if let Some(level) = level {
            command.env("RUST_LOG", level);
        }
        let mut service = Service::spawn(command);
        service.connect().register("hive", "10.0.0.1", 1);
        service.signal("TERM");
        service.wait();
        wait_until("the log is read", || {
            Some(service.log()).filter(|log| level == Some("off") || !log.is_empty())
        })
    };
    let info = logged(None);
    assert!(info.contains("INFO") && !info.contains("DEBUG"), "{info}");
    let empty = logged(Some(""));
    assert!(
        empty.contains("INFO") && !empty.contains("DEBUG"),
        "an empty variable counts as unset: {empty}"
    );
    assert!(logged(Some("debug")).contains("DEBUG"));
    assert_eq!(logged(Some("off")), "");
}
