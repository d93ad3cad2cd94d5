//! The log: what it says, and that the loop never waits for it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::{
    Captured, Client, Service, Talking, command, path, private_file, signal, wait_until,
};

/// Registrations whose log lines are more than any standard error of these tests holds.
const FLOOD: usize = 6_000;

/// How soon a client is answered while nobody reads the log.
const PROMPT: Duration = Duration::from_secs(2);

/// What a line says before the number of lines that are missing.
const DROPPED: &str = "log lines dropped, because standard error could not take them at once: ";

/// Starts the service, which logs each registration and each connection that is closed, and nothing
/// about pauses.
fn start(stderr: OwnedFd) -> (Talking, SocketAddr) {
    start_by(command(), stderr)
}

fn start_by(mut command: Command, stderr: impl Into<Stdio>) -> (Talking, SocketAddr) {
    command
        .args(["--listen", "127.0.0.1:0", "--tick", "60000"])
        .env("RUST_LOG", "debug")
        .stderr(stderr);
    let mut service = Talking::spawn(command);
    let announced = service.line();
    let address = announced
        .strip_prefix("listening on ")
        .unwrap_or_else(|| panic!("{announced:?}"));
    (service, address.parse().expect("an address"))
}

/// Makes the service log more than fits, and returns the client that did it.
fn flood(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    for _ in 0..FLOOD / 1_000 {
        client.register_many(1_000);
    }
    let asked = Instant::now();
    assert_eq!(Client::connect(address).ask("ping"), "PONG");
    assert!(asked.elapsed() < PROMPT, "took {:?}", asked.elapsed());
    client
}

/// How many lines `stats` says were dropped.
fn dropped(client: &mut Client) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&client.ask("stats")).expect("JSON");
    stats["log_lines_dropped"].as_u64().expect("a number")
}

fn ends_with_0(mut service: Talking) {
    signal(service.child.id(), "TERM");
    assert_eq!(service.status(), Some(0));
}

/// A standard error, and its other end that nobody reads.
struct Ends {
    stderr: OwnedFd,
    reader: File,
}

impl Ends {
    fn new(stderr: impl Into<OwnedFd>, reader: impl Into<OwnedFd>) -> Self {
        Ends {
            stderr: stderr.into(),
            reader: reader.into().into(),
        }
    }

    fn pipe() -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        Ends::new(writer, reader)
    }

    fn unix_socket() -> Self {
        let (stderr, reader) = UnixStream::pair().expect("sockets");
        Ends::new(stderr, reader)
    }

    fn tcp_socket() -> Self {
        const BUFFER_LEN: usize = 8 * 1024;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stderr = TcpStream::connect(address).expect("it listens");
        let (reader, _) = listener.accept().expect("it is connected");
        socket2::SockRef::from(&stderr)
            .set_send_buffer_size(BUFFER_LEN)
            .and_then(|()| socket2::SockRef::from(&reader).set_recv_buffer_size(BUFFER_LEN))
            .expect("an option");
        Ends::new(stderr, reader)
    }

    fn terminal() -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal)
            .and_then(|()| unlockpt(&terminal))
            .expect("it is ours");
        let name = ptsname(&terminal, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let stderr = open(name, flags, Mode::empty()).expect("it is ours");
        Ends::new(stderr, terminal)
    }

    /// A terminal at which Ctrl-S is pressed.
    fn press_ctrl_s(&self) {
        (&self.reader).write_all(b"\x13").expect("it takes keys");
        wait_until("the terminal stops", || {
            let at_once = Timespec::default();
            let mut fds = [PollFd::new(&self.stderr, PollFlags::OUT)];
            (poll(&mut fds, Some(&at_once)) == Ok(0)).then_some(())
        });
    }

    fn press_ctrl_q(&self) {
        (&self.reader).write_all(b"\x11").expect("it takes keys");
    }
}

/// Nobody reads standard error, or only later: the service answers and ends all the same, and no line is
/// cut, or missing without a word.
fn is_never_waited_for(ends: fn() -> Ends, block: fn(&Ends), go_on: fn(&Ends)) {
    let blocked = ends();
    let (service, address) = start(blocked.stderr.try_clone().expect("a descriptor"));
    block(&blocked);
    let _client = flood(address);
    ends_with_0(service);

    let blocked = ends();
    let (service, address) = start(blocked.stderr.try_clone().expect("a descriptor"));
    block(&blocked);
    let mut client = flood(address);
    assert!(dropped(&mut client) > 0);
    go_on(&blocked);
    let mut log = Captured::new(blocked.reader);
    let mut registered = FLOOD;
    wait_until("the log goes on", || {
        client.register_many(1);
        registered += 1;
        log.text().contains(DROPPED).then_some(())
    });
    drop(client);
    ends_with_0(service);
    drop(blocked.stderr);
    check(&log.whole(), registered);
}

/// Every line is whole, and each that is missing was counted.
fn check(log: &str, registered: usize) {
    let (mut lines, mut dropped, mut registrations) = (0, 0, BTreeSet::new());
    for line in log.lines() {
        let (time, said) = line
            .split_once("Z ")
            .unwrap_or_else(|| panic!("no line of the log: {line:?}"));
        assert_eq!(time.len(), "2026-11-23T16:20:15.123".len(), "{line:?}");
        if let Some(said) = said.strip_prefix("WARN  ") {
            let count = said
                .strip_prefix(DROPPED)
                .unwrap_or_else(|| panic!("{line:?}"));
            dropped += count.parse::<usize>().expect("a number");
            continue;
        }
        lines += 1;
        if let Some((said, _uuid)) = said.split_once(" as ") {
            registrations.insert(said);
        }
    }
    assert!(dropped > 0 && log.ends_with('\n'), "{log}");
    assert_eq!(registrations.len(), 1, "whole lines: {registrations:?}");
    // The start, two connections that were closed, and the end.
    assert_eq!(lines + dropped, registered + 4);
}

#[test]
fn row_51_a_full_pipe_is_never_waited_for() {
    is_never_waited_for(Ends::pipe, |_| {}, |_| {});
}

#[test]
fn row_51_a_full_socket_is_never_waited_for() {
    is_never_waited_for(Ends::unix_socket, |_| {}, |_| {});
    is_never_waited_for(Ends::tcp_socket, |_| {}, |_| {});
}

#[test]
fn row_51_a_terminal_that_nobody_reads_is_never_waited_for() {
    is_never_waited_for(Ends::terminal, |_| {}, |_| {});
}

#[test]
fn row_51_a_terminal_stopped_by_ctrl_s_is_never_waited_for() {
    is_never_waited_for(Ends::terminal, Ends::press_ctrl_s, Ends::press_ctrl_q);
}

#[test]
fn row_51_a_standard_error_that_is_closed_gone_or_full_for_good_does_no_harm() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let Ends { stderr: gone, .. } = Ends::pipe();
    for stderr in [full.expect("a device that takes nothing").into(), gone] {
        let (service, address) = start(stderr);
        let mut client = flood(address);
        assert!(dropped(&mut client) >= FLOOD as u64);
        ends_with_0(service);
    }
    let mut closed = std::process::Command::new("sh");
    closed.args([
        "-c",
        "exec \"$0\" \"$@\" 2>&-",
        env!("CARGO_BIN_EXE_discovery"),
    ]);
    let (service, address) = start_by(closed, Stdio::null());
    let _client = flood(address);
    ends_with_0(service);
}

/// The first line of the log, once the time and the level are off.
fn first_line(service: &Service) -> String {
    let line = wait_until("it logs", || {
        let log = service.log();
        log.split_once('\n').map(|(line, _)| line.to_owned())
    });
    let (_, said) = line.split_once("Z INFO  ").expect("an info");
    said.to_owned()
}

#[test]
fn at_start_one_line_names_version_addresses_and_limits() {
    let version = env!("CARGO_PKG_VERSION");
    let service = Service::start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let [v4, v6] = service.addresses() else {
        panic!("two addresses")
    };
    assert_eq!(
        first_line(&service),
        format!(
            "discovery {version} is ready: listen={v4},{v6} ttl=30s tick=1s max-services=1000000 \
             max-connections=10000 idle-timeout=300s tokens=none own-address=off \
             advertise=loopback"
        )
    );
}

#[test]
fn the_line_at_start_names_the_limits_in_force_and_not_those_that_were_asked_for() {
    let tokens = private_file("a-token-of-the-test\n");
    let mut limited = std::process::Command::new("sh");
    limited.args([
        "-c",
        "ulimit -n 200 && exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_discovery"),
    ]);
    limited.args(["--listen", "127.0.0.1:0", "--ttl", "5", "--tick", "250"]);
    limited.args(["--max-services", "7", "--idle-timeout", "0"]);
    limited.args(["--token-file", path(&tokens)]);
    let service = Service::spawn(limited);
    let log = wait_until("it logs", || {
        Some(service.log()).filter(|log| log.contains("is ready"))
    });
    let limits = "ttl=5s tick=250ms max-services=7 max-connections=119 idle-timeout=off tokens=required own-address=off advertise=loopback\n";
    assert!(log.contains(limits), "{log}");
    assert!(!log.contains("a-token-of-the-test"), "{log}");
}

#[test]
fn a_level_that_does_not_exist_is_warned_of_and_info_is_used() {
    let log_of = |asked: &str| {
        let mut command = command();
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("RUST_LOG", asked);
        let mut service = Service::spawn(command);
        service.connect().register("hive", "10.0.0.1", 1);
        service.signal("TERM");
        service.whole_log()
    };
    for wrong in ["verbose", "info,chatty"] {
        let log = log_of(wrong);
        let (first, _) = log.split_once('\n').expect("lines");
        let word = wrong.rsplit(',').next().expect("a word");
        assert!(
            first.contains("WARN  RUST_LOG is ignored, and the level is info: ")
                && first.contains(word),
            "{log}"
        );
        assert!(
            log.contains("INFO  stopping\n") && !log.contains("DEBUG"),
            "{log}"
        );
    }
    for module in ["discovery_service=debug", "discovery_service"] {
        let log = log_of(module);
        assert!(!log.contains("WARN") && log.contains("DEBUG"), "{log}");
    }
}
