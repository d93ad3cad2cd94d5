//! Which address `run` registers: one that answers, of its own command, and that clients can reach.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::run::{Running, is_registered};
use crate::common::{Captured, Client, Service, Talking, finish, free_port, verb, wait_until};

/// Listens at an address and a port for good.
const LISTEN: &str = "\
import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
s = socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
while True: s.accept()
";

/// `run` with a program that listens at this address.
fn run_at(service: &Service, host: &str, options: &[&str]) -> Running {
    let port = free_port();
    let text = port.to_string();
    let mut command = verb(service.address(), &["run", "web", &text]);
    command
        .args(options)
        .args(["--", "python3", "-c", LISTEN, host, &text])
        .stderr(Stdio::piped());
    Running {
        run: Talking::spawn(command),
        port,
    }
}

/// The address that clients are told, once there is one.
fn told(client: &mut Client) -> String {
    wait_until("it is registered", || {
        let answer = client.ask("query web");
        (answer != "[]").then_some(answer)
    })
}

#[test]
fn the_loopback_address_that_answers_is_registered() {
    for (host, listen) in [("::1", "127.0.0.1:0"), ("127.0.0.1", "[::1]:0")] {
        let service = Service::start(&["--listen", listen]);
        let running = run_at(&service, host, &[]);
        assert_eq!(
            told(&mut service.connect()),
            format!("[{{\"ip\":\"{host}\",\"port\":{}}}]", running.port)
        );
    }
}

#[test]
fn the_given_address_is_registered_when_it_answers_and_no_other() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let running = run_at(&service, "127.0.0.2", &["--ip", "127.0.0.2"]);
    assert_eq!(
        told(&mut client),
        format!("[{{\"ip\":\"127.0.0.2\",\"port\":{}}}]", running.port)
    );
    drop(running);
    let mut running = run_at(&service, "127.0.0.1", &["--ip", "127.0.0.2"]);
    let port = running.port;
    let stderr = Captured::new(running.run.child.stderr.take().expect("it is piped"));
    wait_until("it says which address answers", || {
        let told = format!(
            "127.0.0.2:{port}, which clients would be told, does not answer, and 127.0.0.1:{port} does"
        );
        stderr.text().contains(&told).then_some(())
    });
    assert!(!is_registered(&mut client, port));
}

/// Runs a shell script in a network namespace with the address 192.0.2.1; `None` where this system
/// does not let tests make one.
fn in_namespace(script: &str, arguments: &[&str]) -> Option<crate::common::Finished> {
    let setup = "ip link set lo up && ip addr add 192.0.2.1/32 dev lo";
    let mut command = Command::new("unshare");
    let probe = command
        .args(["-rn", "sh", "-c", setup])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("LEFT OUT: this system does not let tests make a network namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", &format!("{setup}; {script}"), "sh"]);
    command.args(arguments);
    Some(finish(command))
}

#[test]
fn an_address_that_clients_elsewhere_cannot_reach_is_not_registered() {
    // $1 is the program, $2 a program that listens, $3 where it listens.
    let script = "\
        \"$1\" --listen 192.0.2.1:7000 --insecure 2>/dev/null & registry=$!
        export DISCOVERY_SERVER=192.0.2.1:7000
        \"$1\" run web 7001 -- python3 -c \"$2\" \"$3\" 7001 2>said & run=$!
        i=0
        while [ $i -lt 150 ] && ! grep -q 'does not answer' said; do
            \"$1\" query web && break
            sleep 0.1; i=$((i + 1))
        done
        cat said; rm said
        kill $run; wait $run; kill $registry";
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("cd {}; {script}", folder.path().display());
    for (host, seen) in [
        (
            "127.0.0.1",
            "192.0.2.1:7001, which clients would be told, does not answer, and 127.0.0.1:7001 does",
        ),
        // A command that listens there only is found, too.
        ("192.0.2.1", "192.0.2.1:7001\n"),
    ] {
        let arguments = [env!("CARGO_BIN_EXE_discovery"), LISTEN, host];
        let Some(ended) = in_namespace(&script, &arguments) else {
            return;
        };
        assert!(ended.stdout.contains(seen), "{ended:?}");
        let registered = ended.stdout.lines().any(|line| line == "192.0.2.1:7001");
        assert_eq!(registered, host == "192.0.2.1", "{ended:?}");
    }
}

#[test]
fn a_port_that_answers_before_the_command_has_started_is_somebody_elses() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    // The command waits until the port is free, and takes it when that could be seen for a while.
    let wait = "\
import socket, sys, time
port = int(sys.argv[1])
while True:
    try: socket.create_connection(('127.0.0.1', port)).close()
    except OSError: break
    time.sleep(0.3)
time.sleep(1)
s = socket.create_server(('127.0.0.1', port))
while True: s.accept()
";
    let text = port.to_string();
    let mut command = verb(service.address(), &["run", "web", &text, "--"]);
    command
        .args(["python3", "-c", wait, &text])
        .stderr(Stdio::piped());
    let mut running = Running {
        run: Talking::spawn(command),
        port,
    };
    let stderr = Captured::new(running.run.child.stderr.take().expect("it is piped"));
    wait_until("it says so", || {
        let said = format!("127.0.0.1:{port} answers already");
        stderr.text().contains(&said).then_some(())
    });
    // It goes on trying, and that is no answer of the command.
    listener.set_nonblocking(true).expect("an option");
    let mut tries = 0;
    wait_until("it has tried some times", || {
        tries += usize::from(listener.accept().is_ok());
        (tries > 5).then_some(())
    });
    assert!(!is_registered(&mut client, port));
    drop(listener);
    told(&mut client);
}

#[test]
fn without_a_port_to_wait_for_a_command_is_registered_at_once_and_no_connection_is_made() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let text = port.to_string();
    let mut command = verb(service.address(), &["run", "web", &text, "--no-wait-port"]);
    command.args(["--", "sleep", "60"]);
    let _run = Talking::spawn(command);
    assert!(told(&mut client).contains(&text));
    listener.set_nonblocking(true).expect("an option");
    assert!(listener.accept().is_err(), "the port was tried");
}

#[test]
fn a_command_that_ends_well_before_its_port_answers_is_reported() {
    let service = Service::start(&[]);
    let port = free_port().to_string();
    let mut command = verb(service.address(), &["run", "web", &port, "--", "true"]);
    let ended = finish({
        command.stderr(Stdio::piped());
        command
    });
    assert_eq!(ended.status, Some(0));
    assert!(
        ended.stderr.contains("ended before its port answered")
            && ended.stderr.lines().count() == 1,
        "{}",
        ended.stderr
    );
}

/// Listens while a file is there.
const LISTEN_WHILE: &str = "\
import os, socket, sys, time
while True:
    while not os.path.exists(sys.argv[2]): time.sleep(0.02)
    s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
    while os.path.exists(sys.argv[2]): time.sleep(0.02)
    s.close()
";

#[test]
fn a_checked_command_is_deregistered_while_its_port_refuses() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let port = free_port();
    let text = port.to_string();
    let open = tempfile::NamedTempFile::new().expect("a file");
    let path = open.path().to_str().expect("a path").to_owned();
    let mut command = verb(service.address(), &["run", "web", &text, "--check", "0.1"]);
    command.args(["--", "python3", "-c", LISTEN_WHILE, &text, &path]);
    let _run = Talking::spawn(command);
    for _ in 0..2 {
        std::fs::write(&path, "").expect("a file");
        told(&mut client);
        std::fs::remove_file(&path).expect("it is there");
        wait_until("it is deregistered", || {
            (!is_registered(&mut client, port)).then_some(())
        });
    }
}
