//! `socket_client.py`, as a user runs it.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

use common::{Service, mask_uuids};

fn run(address: SocketAddr, options: &[&str], input: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/socket_client.py");
    let mut child = Command::new("python3")
        .args([script, &address.ip().to_string(), &address.port().to_string()])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_from_standard_input_get_one_answer_a_line_in_both_formats() {
    let service = Service::start(&[]);
    let input = "register hive 10.0.0.1 80\n\nquery nobody\nheartbeat x\nregister hive nowhere 80\n";
    let expected = "<uuid>\n[]\nNOT FOUND\nERROR the ip is not an IPv4 or IPv6 address (host names are not accepted)\n";
    for options in [&[][..], &["--frames"]] {
        let output = run(service.address(), options, input);
        assert_eq!(mask_uuids(&text(&output.stdout)), expected, "{options:?}");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
    }
    let output = run(service.address(), &["--frames"], "query hive\n");
    assert_eq!(text(&output.stdout), "[{\"ip\":\"10.0.0.1\",\"port\":80},{\"ip\":\"10.0.0.1\",\"port\":80}]\n");
}

#[test]
fn the_demo_passes() {
    let service = Service::start(&[]);
    let output = run(service.address(), &["--demo"], "");
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).ends_with("all answers are as they should be\n"));
}

#[test]
fn the_demo_fails_when_an_answer_is_wrong() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"OK\n");
        }
    });
    let output = run(address, &["--demo"], "");
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("was answered 'OK'") && !message.contains("Traceback"), "{message}");
}

#[test]
fn without_a_service_there_is_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    for options in [&[][..], &["--frames"], &["--demo"]] {
        let output = run(address, options, "query hive\n");
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let message = text(&output.stderr);
        assert!(message.starts_with(&format!("socket_client: cannot connect to {address}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let usage = run(address, &["--bogus"], "");
    assert_eq!(usage.status.code(), Some(2));
}
