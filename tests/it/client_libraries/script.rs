//! `tests/socket_client.py`, as a user runs it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

use crate::common::{Service, mask_uuids};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/socket_client.py");

fn run(address: SocketAddr, options: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut command = Command::new("python3");
    command
        .args([
            SCRIPT,
            &address.ip().to_string(),
            &address.port().to_string(),
        ])
        .args(options);
    run_command(command, input)
}

fn run_command(mut command: Command, input: impl AsRef<[u8]>) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("python3 runs");
    // If it ends before it has read everything, its exit status and its message say why.
    let _ = child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(input.as_ref());
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_from_standard_input_get_one_answer_a_line_in_both_formats() {
    let service = Service::start(&[]);
    let input =
        "register hive 10.0.0.1 80\n\nquery nobody\nheartbeat x\nregister hive nowhere 80\n";
    let expected = "<uuid>\n[]\nNOT FOUND\nERROR the ip is not an IPv4 or IPv6 address (host names are not accepted)\n";
    for options in [&[][..], &["--frames"]] {
        let output = run(service.address(), options, input);
        assert_eq!(mask_uuids(&text(&output.stdout)), expected, "{options:?}");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
    }
    let output = run(service.address(), &["--frames"], "query hive\n");
    assert_eq!(
        text(&output.stdout),
        "[{\"ip\":\"10.0.0.1\",\"port\":80},{\"ip\":\"10.0.0.1\",\"port\":80}]\n"
    );
}

#[test]
fn an_invalid_command_is_refused_in_both_formats_and_the_next_is_answered() {
    let service = Service::start(&[]);
    let wrong: [&[u8]; 11] = [
        b"query a b",
        b"heartbeat a b",
        b"register late 10.0.0.1 80 90",
        b"register late 10.0.0.1 080",
        b"register late 10.0.0.1 +80",
        "register late 10.0.0.1 \u{668}\u{660}".as_bytes(),
        "register late 10.0.0.1 \u{b2}".as_bytes(),
        b"register late 10.0.0.1 99999999999999999999999999",
        "query a\u{a0}b".as_bytes(),
        b"query \xff",
        b"query a\rb",
    ];
    let input = [&wrong.join(&b"\n"[..])[..], b"\nquery late\n"].concat();
    for options in [&[][..], &["--frames"]] {
        let output = run(service.address(), options, &input);
        let answers = text(&output.stdout);
        let errors = answers
            .lines()
            .take_while(|line| line.starts_with("ERROR "))
            .count();
        assert_eq!(
            errors,
            wrong.len(),
            "{options:?}: {answers}{}",
            text(&output.stderr)
        );
        assert!(answers.ends_with("\n[]\n"), "{options:?}: {answers}");
        assert_eq!(output.status.code(), Some(0), "{options:?}");
    }
}

#[test]
fn on_a_terminal_it_prompts_helps_and_quits() {
    let service = Service::start(&[]);
    let address = service.address();
    let mut command = Command::new("python3");
    // The alarm kills a client that does not quit.
    let in_terminal =
        "import pty, signal, sys; signal.alarm(10); sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    command.args(["-c", in_terminal, "python3", SCRIPT]);
    command
        .args([address.ip().to_string(), address.port().to_string()])
        .env("TERM", "dumb");
    let output = run_command(command, "help\nquery nobody\nquit\nquery nobody\n");
    let screen = text(&output.stdout);
    assert_eq!(screen.matches("Commands: register").count(), 1, "{screen}");
    assert!(
        screen.contains("commands: register <type>"),
        "the service's own help: {screen}"
    );
    assert!(
        screen.contains("discovery> ") && screen.contains("\n[]\r\n"),
        "{screen}"
    );
    assert_eq!(
        screen.matches("[]").count(),
        1,
        "nothing is asked after quit: {screen}"
    );
    assert_eq!(output.status.code(), Some(0), "{screen}");
}

#[test]
fn it_ends_silently_when_its_output_is_closed() {
    let service = Service::start(&[]);
    let address = service.address();
    let mut command = Command::new("sh");
    command.args(["-c", "python3 \"$@\" | head -n 1", "sh", SCRIPT]);
    command.args([address.ip().to_string(), address.port().to_string()]);
    let output = run_command(command, "query nobody\n".repeat(20_000));
    assert_eq!(
        (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
        ("[]\n", "")
    );
}

#[test]
fn the_demo_passes() {
    let service = Service::start(&[]);
    let output = run(service.address(), &["--demo"], "");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(text(&output.stdout).ends_with("all answers are as they should be\n"));
}

/// A server that is no registry: it gives this answer to each connection and closes it.
fn impostor(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

#[test]
fn a_wrong_answer_exits_with_1_and_one_line_that_says_why() {
    let deep = "[".repeat(100_000);
    let header = format!(
        r#"{{"content-type": "text/json", "content-length": {}}}"#,
        deep.len()
    );
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("--demo", b"OK\n".to_vec(), "was answered 'OK'"),
        ("--demo", Vec::new(), "the registry closed the connection"),
        ("--demo", b"\xff\n".to_vec(), "was answered '\u{fffd}'"),
        ("--frames", b"OK\n".to_vec(), "the answer is not a frame"),
        (
            "--frames",
            Vec::new(),
            "the service closed the connection without an answer",
        ),
        (
            "--frames",
            crate::common::raw_frame(&header, deep.as_bytes()),
            "the answer is not JSON",
        ),
    ];
    for (option, answer, reason) in cases {
        let output = run(impostor(answer), &[option], "query hive\n");
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{reason}: {message}");
        assert!(
            message.starts_with("socket_client: ") && message.contains(reason),
            "{reason}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "no traceback: {message}");
    }
}

#[test]
fn without_a_service_it_exits_with_1_and_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    for options in [&[][..], &["--frames"], &["--demo"]] {
        let output = run(address, options, "query hive\n");
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let message = text(&output.stderr);
        assert!(
            message.starts_with("socket_client: cannot ") && message.contains(&address.to_string()),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let cases: [&[&str]; 6] = [
        &["--bogus"],
        &["::1", "0"],
        &["::1", "65536"],
        &["::1", "70000"],
        &["::1", "http"],
        &["::1", "1", "2"],
    ];
    for arguments in cases {
        let mut command = Command::new("python3");
        command.arg(SCRIPT).args(arguments);
        let output = run_command(command, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("usage: "), "{arguments:?}");
    }
}
