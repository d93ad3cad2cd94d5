//! `discovery run`: a program that is registered while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{
    Captured, Client, Service, Talking, finish, free_port, path, private_file, signal, verb,
    wait_until,
};

/// A program that listens, prints each signal that it gets, and exits with 3 at SIGTERM.
pub(super) const PROGRAM: &str = "\
import os, signal, socket, sys
signals = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT]
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('ready', os.getpid(), flush=True)
while True:
    number = signal.sigwait(signals)
    print('got', signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM: sys.exit(3)
";

/// A `run` with the program under it.
pub(super) struct Running {
    pub(super) run: Talking,
    pub(super) port: u16,
}

impl Running {
    pub(super) fn start(server: &str, options: &[&str]) -> Self {
        let port = free_port();
        let text = port.to_string();
        let mut command = verb(
            "127.0.0.1:1".parse().expect("an address"),
            &["run", "web", &text, "--server", server],
        );
        command
            .args(options)
            .args(["--", "python3", "-c", PROGRAM, &text])
            .stderr(Stdio::piped());
        Running {
            run: Talking::spawn(command),
            port,
        }
    }

    /// One that is registered with this service, and the process id of its program.
    pub(super) fn registered(
        service: &Service,
        client: &mut Client,
        options: &[&str],
    ) -> (Self, u32) {
        let mut running = Self::start(&service.address().to_string(), options);
        let pid = running.ready();
        wait_until("it is registered", || {
            is_registered(client, running.port).then_some(())
        });
        (running, pid)
    }

    /// Waits until the program is ready; returns its process id.
    pub(super) fn ready(&mut self) -> u32 {
        let line = self.run.line();
        line.strip_prefix("ready ")
            .and_then(|pid| pid.parse().ok())
            .unwrap_or_else(|| panic!("{line}"))
    }

    pub(super) fn signal(&self, name: &str) {
        signal(self.run.child.id(), name);
    }

    pub(super) fn goes_on(&mut self) -> bool {
        self.run.child.try_wait().expect("it is ours").is_none()
    }

    pub(super) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.run
            .child
            .stderr
            .take()
            .expect("it is piped")
            .read_to_string(&mut text)
            .expect("text");
        text
    }
}

pub(super) fn is_registered(client: &mut Client, port: u16) -> bool {
    client
        .ask("query web")
        .contains(&format!("\"port\":{port}}}"))
}

pub(super) fn is_running(pid: u32) -> bool {
    // A zombie is not running.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_program_is_registered_when_its_port_answers_and_removed_when_it_dies() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (mut running, pid) = Running::registered(&service, &mut client, &[]);
    let port = running.port;
    assert!(client.ask("list web").contains("\"held\":true"));
    signal(pid, "KILL");
    assert_eq!(running.run.status(), Some(128 + 9));
    assert!(!is_registered(&mut client, port), "before run ends");
    assert_eq!(running.stderr(), "", "standard error is the program's");
}

#[test]
fn an_ip_that_cannot_be_tried_from_here_is_registered_without_a_try() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (running, _) = Running::registered(
        &service,
        &mut client,
        &["--ip", "192.0.2.1", "--no-wait-port"],
    );
    assert_eq!(
        client.ask("query web"),
        format!("[{{\"ip\":\"192.0.2.1\",\"port\":{}}}]", running.port)
    );
}

#[test]
fn a_program_whose_port_does_not_answer_is_not_registered() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let mut command = verb(
        service.address(),
        &[
            "run",
            "web",
            &free_port().to_string(),
            "--wait-port-timeout",
            "0.2",
        ],
    );
    command.args(["--", "sleep", "0.6"]);
    let ended = finish(command);
    assert_eq!(ended.status, Some(0));
    assert!(
        ended.stderr.contains("does not answer yet"),
        "{}",
        ended.stderr
    );
    assert!(client.ask("stats").contains("\"hold\":0"));
}

/// A program that listens on IPv6 only, after a delay.
const LATE_PROGRAM: &str = "\
import socket, sys, time
time.sleep(0.4)
s = socket.create_server(('::1', int(sys.argv[1])), family=socket.AF_INET6)
while True: time.sleep(1)
";

#[test]
fn a_port_that_answers_late_and_at_another_address_is_found() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let port = free_port();
    let text = port.to_string();
    let mut command = verb(
        service.address(),
        &["run", "web", &text, "--wait-port-timeout", "0.1"],
    );
    command
        .args(["--", "python3", "-c", LATE_PROGRAM, &text])
        .stderr(Stdio::piped());
    let mut running = Running {
        run: Talking::spawn(command),
        port,
    };
    wait_until("it is registered", || {
        is_registered(&mut client, port).then_some(())
    });
    running.signal("TERM");
    assert_eq!(running.run.status(), Some(128 + 15));
    assert_eq!(running.stderr().matches("does not answer yet").count(), 1);
}

#[test]
fn a_program_whose_port_does_not_answer_gets_sigterm() {
    let service = Service::start(&[]);
    let mut command = verb(
        service.address(),
        &[
            "run",
            "web",
            &free_port().to_string(),
            "--drain",
            "0.1",
            "--",
        ],
    );
    command.args([
        "sh",
        "-c",
        "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done",
    ]);
    let mut run = Talking::spawn(command);
    assert_eq!(run.line(), "up");
    signal(run.child.id(), "TERM");
    assert_eq!(run.status(), Some(7));
}

#[test]
fn on_sigterm_the_program_is_deregistered_then_drains_then_gets_the_signal() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (mut running, _) = Running::registered(&service, &mut client, &["--drain", "0.5"]);
    let port = running.port;
    let asked = Instant::now();
    running.signal("TERM");
    wait_until("it is deregistered", || {
        (!is_registered(&mut client, port)).then_some(())
    });
    assert!(
        asked.elapsed() < Duration::from_millis(450),
        "at once, not after it has drained"
    );
    assert!(running.goes_on(), "it keeps running while it drains");
    assert_eq!(running.run.line(), "got SIGTERM");
    assert!(asked.elapsed() >= Duration::from_millis(500));
    assert_eq!(running.run.status(), Some(3), "the status of the program");
}

#[test]
fn a_second_signal_is_forwarded_at_once_and_other_signals_are_forwarded_unchanged() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (mut running, _) = Running::registered(&service, &mut client, &["--drain", "60"]);
    let port = running.port;
    for name in ["HUP", "USR1"] {
        running.signal(name);
        assert_eq!(running.run.line(), format!("got SIG{name}"));
    }
    assert!(is_registered(&mut client, port), "these do not end it");
    running.signal("INT");
    wait_until("it is deregistered", || {
        (!is_registered(&mut client, port)).then_some(())
    });
    running.signal("TERM");
    assert_eq!(
        [running.run.line(), running.run.line()],
        ["got SIGINT", "got SIGTERM"],
        "the first is not lost"
    );
    assert_eq!(running.run.status(), Some(3));
}

/// Runs the program on a terminal, sends SIGINT to `run` alone, then types Ctrl-C, and prints how many SIGINT
/// the program got.
const ON_A_TERMINAL: &str = "\
import os, pty, signal, sys, time
signal.alarm(20)
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
seen = b''
def wait_for(text, count=1):
    global seen
    while seen.count(text) < count: seen += os.read(terminal, 4096)
wait_for(b'ready')
os.kill(pid, signal.SIGINT)
wait_for(b'got SIGINT')
os.write(terminal, b'\\x03')
wait_for(b'got SIGINT', 2)
os.kill(pid, signal.SIGTERM)
wait_for(b'got SIGTERM')
print(seen.count(b'got SIGINT'), os.waitpid(pid, 0)[1] >> 8)
";

#[test]
fn the_program_gets_each_signal_once_whether_it_comes_from_the_terminal_or_not() {
    let service = Service::start(&[]);
    for redirected in ["exec \"$@\"", "exec \"$@\" </dev/null"] {
        let port = free_port().to_string();
        let mut command = Command::new("python3");
        command.args([
            "-c",
            ON_A_TERMINAL,
            "sh",
            "-c",
            redirected,
            "sh",
            env!("CARGO_BIN_EXE_discovery"),
            "run",
            "web",
        ]);
        command.args([
            &port,
            "--server",
            &service.address().to_string(),
            "--",
            "python3",
            "-c",
            PROGRAM,
            &port,
        ]);
        let ended = finish(command);
        assert_eq!(ended.stdout, "2 3\n", "{redirected}: {}", ended.stderr);
    }
}

/// Runs a command as the session leader of a terminal, and hangs up when it reads a line.
const HANG_UP: &str = "\
import os, pty, signal, sys
signal.alarm(20)
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
sys.stdin.readline()
os.close(terminal)
print(os.waitpid(pid, 0)[1] >> 8)
";

#[test]
fn a_terminal_that_hangs_up_ends_the_program_as_it_would_without_run() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let port = free_port();
    let mut command = Command::new("python3");
    command.args([
        "-c",
        HANG_UP,
        env!("CARGO_BIN_EXE_discovery"),
        "run",
        "web",
        &port.to_string(),
    ]);
    command.args([
        "--server",
        &service.address().to_string(),
        "--",
        "python3",
        "-m",
        "http.server",
        &port.to_string(),
    ]);
    let mut session = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    wait_until("it is registered", || {
        is_registered(&mut client, port).then_some(())
    });
    writeln!(session.stdin.take().expect("it is piped"), "now").expect("it reads");
    let output = session.wait_with_output().expect("it ends");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{}\n", 128 + 1)
    );
    assert!(!is_registered(&mut client, port));
}

#[test]
fn the_end_of_the_program_is_noticed_though_sigchld_is_blocked() {
    let service = Service::start(&[]);
    let block = "import os, signal, sys\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])\n\
        os.execvp(sys.argv[1], sys.argv[1:])";
    let mut command = Command::new("python3");
    command.args([
        "-c",
        block,
        env!("CARGO_BIN_EXE_discovery"),
        "run",
        "web",
        &service.address().port().to_string(),
    ]);
    command.args([
        "--server",
        &service.address().to_string(),
        "--",
        "sh",
        "-c",
        "sleep 0.2; exit 4",
    ]);
    assert_eq!(Talking::spawn(command).status(), Some(4));
}

#[test]
fn ignored_signals_stay_ignored_in_the_program() {
    let service = Service::start(&[]);
    let ignored = |before: &str| {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("trap '' HUP INT USR1; exec {before} grep SigIgn /proc/self/status"),
        ]);
        let mask = finish(command).stdout;
        let mask = mask
            .split_whitespace()
            .nth(1)
            .and_then(|mask| u64::from_str_radix(mask, 16).ok());
        // The C library keeps the first real-time signals for itself.
        mask.unwrap_or_else(|| panic!("a mask")) & 0x7fff_ffff
    };
    let run = format!(
        "{} run web 1 --server {} --",
        env!("CARGO_BIN_EXE_discovery"),
        service.address()
    );
    assert_eq!(ignored(&run), ignored(""));
    assert_ne!(ignored(""), 0);
}

#[test]
fn a_standard_error_that_nobody_reads_delays_nothing() {
    let service = Service::start(&[]);
    let (_reader, mut writer) = std::io::pipe().expect("a pipe");
    // As many bytes as fit into a pipe (pipe(7)).
    writer.write_all(&[b'x'; 65_536]).expect("they fit");
    let port = free_port().to_string();
    let mut command = verb(
        service.address(),
        &["run", "web", &port, "--wait-port-timeout", "0.05", "--"],
    );
    command.args(["sleep", "0.3"]).stderr(writer);
    assert_eq!(Talking::spawn(command).status(), Some(0));
}

#[test]
fn an_endless_answer_takes_no_memory() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            // Until it is closed.
            while stream.write_all(&[b'x'; 65_536]).is_ok() {}
        }
    });
    let mut running = Running::start(&server, &[]);
    running.ready();
    let mut said = String::new();
    BufReader::new(running.run.child.stderr.take().expect("it is piped"))
        .read_line(&mut said)
        .expect("text");
    assert!(said.contains("an answer without an end"), "{said}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.run.child.id()))
        .expect("it runs");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.split(' ').rev().nth(1));
    let peak: u64 = peak
        .and_then(|kb| kb.trim().parse().ok())
        .unwrap_or_else(|| panic!("{status}"));
    assert!(peak < 32 * 1024, "{peak} kB");
}

#[test]
fn when_one_registry_is_full_the_next_is_used() {
    let full = Service::start(&["--max-services", "1"]);
    full.connect().register("hive", "10.0.0.1", 80);
    let other = Service::start(&[]);
    let mut client = other.connect();
    let running = Running::start(&format!("{},{}", full.address(), other.address()), &[]);
    wait_until("it is registered", || {
        is_registered(&mut client, running.port).then_some(())
    });
}

#[test]
fn the_program_is_registered_again_after_the_registry_has_restarted() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut running = Running::start(&listen, &[]);
    running.ready();
    let mut told = Captured::new(running.run.child.stderr.take().expect("it is piped"));
    let tells = |told: &Captured, words: &str, times: usize| {
        wait_until(words, || {
            (told.text().matches(words).count() == times).then_some(())
        });
    };
    tells(&told, "is not registered, and runs on", 1);
    for round in 1..=2 {
        let mut service = Service::start(&["--listen", &listen]);
        tells(&told, "is registered with", round);
        assert!(is_registered(&mut service.connect(), running.port));
        service.signal("TERM");
        assert!(service.wait().success());
        tells(&told, "is not registered, and runs on", round + 1);
        assert!(running.goes_on(), "it runs on");
    }
    running.signal("TERM");
    assert_eq!(running.run.line(), "got SIGTERM");
    assert_eq!(running.run.status(), Some(3));
    let said = told.whole();
    assert!(
        said.lines().count() <= 6,
        "a line when something changes, not for each try: {said}"
    );
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    let service = Service::start(&[]);
    for (command, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -15 $$"], 143),
        (&["/nonexistent"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let port = free_port().to_string();
        let mut run = verb(service.address(), &["run", "web", &port, "--"]);
        run.args(command);
        let ended = finish(run);
        assert_eq!(ended.status, Some(status), "{command:?}: {}", ended.stderr);
        // It says why the command never ran, or was never registered.
        assert_eq!(
            ended.stderr.is_empty(),
            ![0, 126, 127].contains(&status),
            "{command:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn standard_streams_belong_to_the_command() {
    let service = Service::start(&[]);
    let mut run = verb(
        service.address(),
        &["run", "web", &free_port().to_string(), "--", "cat"],
    );
    let mut child = run
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("it is piped"), b"one\ntwo\n")
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.stdout, b"one\ntwo\n");
}

#[test]
fn the_command_does_not_outlive_a_run_that_is_killed() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (mut running, pid) = Running::registered(&service, &mut client, &[]);
    let port = running.port;
    running.run.child.kill().expect("it runs");
    wait_until("the command ends", || (!is_running(pid)).then_some(()));
    assert!(!is_registered(&mut client, port));
}

#[test]
fn the_part_that_becomes_the_command_is_not_to_be_started_by_hand() {
    let nowhere = "127.0.0.1:1".parse().expect("an address");
    for arguments in [&["run-child"][..], &["run-child", "1"]] {
        let ended = finish(verb(nowhere, arguments));
        assert_eq!(ended.status, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("part of `discovery run`"),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn as_the_first_process_of_a_container_it_leaves_no_zombie() {
    let probe = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("left out: this system does not let tests make a process namespace");
        return;
    }
    let service = Service::start(&[]);
    // The command leaves an orphan behind that ends later, and then counts zombies.
    let script = "sh -c 'sleep 0.1 & exit 0'; sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status; echo counted; exit 5";
    let mut command = Command::new("unshare");
    command.args([
        "--pid",
        "--fork",
        "--mount-proc",
        env!("CARGO_BIN_EXE_discovery"),
        "run",
        "web",
        "1",
    ]);
    command.args([
        "--server",
        &service.address().to_string(),
        "--",
        "sh",
        "-c",
        script,
    ]);
    let ended = finish(command);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("counted\n", Some(5)),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_token_file_is_used_and_a_missing_one_is_wrong_usage() {
    let tokens = private_file("secret\n");
    let file = path(&tokens);
    let listen = format!("127.0.0.1:{}", free_port());
    let service = Service::start(&["--token-file", file, "--listen", &listen]);
    let mut client = service.connect();
    assert_eq!(client.ask("auth secret"), "OK");
    let (running, _) = Running::registered(&service, &mut client, &["--token-file", file]);
    let mut stranger = Running::start(&service.address().to_string(), &[]);
    stranger.ready();
    let mut said = String::new();
    BufReader::new(stranger.run.child.stderr.take().expect("it is piped"))
        .read_line(&mut said)
        .expect("text");
    assert!(
        said.contains("authentication required") && said.contains("runs on"),
        "{said}"
    );
    drop(service);
    // The file is read again when `run` reconnects.
    std::fs::write(&tokens, "another\n").expect("it is ours");
    let service = Service::start(&["--token-file", file, "--listen", &listen]);
    let mut client = service.connect();
    assert_eq!(client.ask("auth another"), "OK");
    wait_until("it is registered again", || {
        is_registered(&mut client, running.port).then_some(())
    });
    let missing = finish(verb(
        service.address(),
        &[
            "run",
            "web",
            "1",
            "--token-file",
            "/nonexistent",
            "--",
            "true",
        ],
    ));
    assert_eq!(missing.status, Some(2), "{}", missing.stderr);
}
