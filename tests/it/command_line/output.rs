//! What the command line prints, to the byte: each snapshot in `snapshots/` is a transcript.
//!
//! After a change that is wanted, `INSTA_UPDATE=always cargo test --test it command_line::output`
//! writes them anew; the review reads the difference.

use std::fmt::Write;
use std::process::Command;

use super::VERBS;
use crate::common::{Finished, Service, command, finish, verb};

const NO_UUID: &str = "3999da30-2a11-463a-be8e-6b2beca7bfe6";

/// Settings for a snapshot that is called by its own name only.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// Settings that mask what differs from run to run.
fn masked() -> insta::Settings {
    let mut settings = settings();
    for (pattern, replacement) in [
        (r"\b[0-9a-f]{16}\b", "<id>"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", "<time>"),
        (r"127\.0\.0\.1:\d+", "<address>"),
        (r"(:\d+[\t ]+)\d+\.\ds", "${1}<age>"),
        (
            r#""(age_ms|us|connections|peer|uptime_seconds|stalled_seconds|worst_turn_us|bytes_in|bytes_out)":[0-9.]+"#,
            "\"$1\":<n>",
        ),
        (
            r"(age_ms|connections|peer|uptime_seconds|stalled_seconds|worst_turn_us|bytes_in|bytes_out)([\t ]+)[0-9.]+",
            "$1$2<n>",
        ),
        (r#"(version"?[:\t ]+"?)\d+\.\d+\.\d+"#, "${1}<version>"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings
}

/// A command line as it is typed, what it prints, and its exit status where that is not 0.
fn transcript(arguments: &[&str], command: Command) -> String {
    let Finished {
        stdout,
        stderr,
        status,
    } = finish(command);
    let mut text = "$ discovery".to_owned();
    for argument in arguments {
        let plain = !argument.is_empty() && !argument.contains(char::is_whitespace);
        let _ = match plain {
            true => write!(text, " {argument}"),
            false => write!(text, " {argument:?}"),
        };
    }
    text += "\n";
    text += &stdout.replace("\r\n", "\n");
    text += &stderr;
    match status {
        Some(0) => {}
        Some(status) => text += &format!("exit status {status}\n"),
        None => text += "ended by a signal\n",
    }
    text + "\n"
}

/// Transcripts of command lines that reach no service.
fn alone(cases: &[&[&str]]) -> String {
    let one = |arguments: &&[&str]| {
        let mut command = command();
        command.args(*arguments);
        transcript(arguments, command)
    };
    cases.iter().map(one).collect()
}

/// Runs a command on a terminal that takes lines only.
fn on_a_terminal(service: &Service, arguments: &[&str]) -> Command {
    const SCRIPT: &str =
        "import pty, signal, sys; signal.alarm(20); sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut command = Command::new("python3");
    command
        .args(["-c", SCRIPT, env!("CARGO_BIN_EXE_discovery")])
        .args(arguments)
        .env("DISCOVERY_SERVER", service.address().to_string())
        .env("TERM", "dumb");
    command
}

#[test]
fn the_help_of_the_service_and_of_each_verb() {
    settings().bind(|| {
        insta::assert_snapshot!("help", alone(&[&["--help"]]));
        for verb in VERBS {
            insta::assert_snapshot!(format!("help_{verb}"), alone(&[&[verb, "--help"]]));
        }
    });
}

#[test]
fn every_kind_of_wrong_usage_of_the_service() {
    let cases: [&[&str]; 15] = [
        &["--bogus"],
        &["--ttl"],
        &["--ttl", "0"],
        &["--ttl", "soon"],
        &["--tick", "9"],
        &["--max-services", "0"],
        &["--max-connections", "1000001"],
        &["--idle-timeout", "-5"],
        &["--listen", "localhost:65432"],
        &["--listen", "0.0.0.0:65432"],
        &["--listen", "[::ffff:127.0.0.1]:65432"],
        &["--token-file", ""],
        &["--insecure=maybe"],
        &["--ttl", "5", "query", "hive"],
        &["--token-file", "tokens", "query", "hive"],
    ];
    settings().bind(|| insta::assert_snapshot!("usage_service", alone(&cases)));
}

#[test]
fn every_kind_of_wrong_usage_of_a_verb() {
    let too_long = "x".repeat(64);
    let cases: [&[&str]; 34] = [
        &["bogus"],
        &["qurey", "web"],
        &["--server", "127.0.0.1:1", "ping"],
        &["run", "web", "80", "--stop-signal", "STOP", "--", "true"],
        &["register"],
        &["register", "hive", "localhost", "80"],
        &["register", "hive", "10.0.0.1", "0"],
        &["register", "hive", "10.0.0.1", "080"],
        &["register", "hive", "10.0.0.1", "80", "--ttl", "0"],
        &["heartbeat", ""],
        &["heartbeat", NO_UUID, "--ttl", "5"],
        &["heartbeat", NO_UUID, "--tag", "blue"],
        &["heartbeat", NO_UUID, "--meta", "version=2"],
        &["query"],
        &["query", "a", "b"],
        &["query", "a b"],
        &["query", &too_long],
        &["query", "a", "--one", "--bogus"],
        &["query", "a", "--ttl", "5"],
        &["list", ""],
        &["wait", "a", "--count", "many"],
        &["wait", "a", "--timeout", "0"],
        &["run", "web", "80"],
        &["run", "web", "http", "--", "true"],
        &["run", "web", "80", "--ip", "0.0.0.0", "--", "true"],
        &["run", "web", "80", "--drain", "soon", "--", "true"],
        &["run", "web", "80", "--wait-port-timeout", "0", "--", "true"],
        &["ping", "--timeout", "soon"],
        &["ping", "--server", ""],
        &["ping", "--server", "127.0.0.1"],
        &["ping", "--server", "http://127.0.0.1:1"],
        &["ping", "--json", "--json"],
        &["completions"],
        &["completions", "ksh"],
    ];
    settings().bind(|| insta::assert_snapshot!("usage_verbs", alone(&cases)));
}

#[test]
fn wrong_usage_in_a_variable() {
    let cases: [(&str, &str, &[&str]); 19] = [
        ("DISCOVERY_TTL", "0", &[]),
        ("DISCOVERY_TTL", "0", &["--ttl", "soon"]),
        ("DISCOVERY_TICK", "9", &[]),
        ("DISCOVERY_MAX_SERVICES", "0", &[]),
        ("DISCOVERY_MAX_CONNECTIONS", "0", &[]),
        ("DISCOVERY_IDLE_TIMEOUT", "soon", &[]),
        ("DISCOVERY_LISTEN", "127.0.0.1:0,localhost:1", &[]),
        ("DISCOVERY_LISTEN", "0.0.0.0:65432", &[]),
        ("DISCOVERY_LISTEN", "[::ffff:127.0.0.1]:65432", &[]),
        // It belongs to no host (RFC 5737).
        ("DISCOVERY_LISTEN", "192.0.2.1:65432", &["--insecure"]),
        ("DISCOVERY_TOKEN_FILE", "/no/such/file", &[]),
        ("DISCOVERY_TOKEN_FILE", "/no/such/file", &["ping"]),
        ("DISCOVERY_ADVERTISE", "localhost", &[]),
        ("DISCOVERY_INSECURE", "maybe", &[]),
        ("DISCOVERY_OWN_ADDRESS", "maybe", &[]),
        ("DISCOVERY_SERVER", "nowhere", &["ping"]),
        ("DISCOVERY_SERVER", "nowhere", &["ping", "--server", "a"]),
        // A right variable does not look like a part of the form.
        ("DISCOVERY_SERVER", "127.0.0.1:1", &["query"]),
        ("DISCOVERY_TTL", "5", &["--bogus"]),
    ];
    let mut text = String::new();
    for (name, value, arguments) in cases {
        let mut command = command();
        command.args(arguments).env(name, value);
        text += &format!(
            "$ export {name}={value}\n{}",
            transcript(arguments, command)
        );
    }
    settings().bind(|| insta::assert_snapshot!("usage_variables", text));
}

/// What `list`, `types`, `stats`, `why` and the others print for the same few registrations.
fn tables(run: impl Fn(&Service, &[&str]) -> Command, format: &[&str]) -> String {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let live = client.register("hive", "10.0.0.1", 80);
    client.register("hive", "2001:db8::1", 65_433);
    client.register("蜂の巣", "10.0.0.2", 80);
    client.ask("register slow 10.0.0.3 80 ttl=60");
    client.ask("hold held 10.0.0.4 80");
    let gone = client.register("gone", "10.0.0.5", 80);
    client.ask(&format!("deregister {gone}"));
    let cases: [&[&str]; 14] = [
        &["types"],
        &["list"],
        &["list", "hive"],
        &["list", "nobody"],
        &["query", "hive"],
        &["query", "nobody"],
        &["wait", "hive", "--count", "2"],
        &["why", &live],
        &["why", &gone],
        &["why", NO_UUID],
        &["heartbeat", &live],
        &["deregister", NO_UUID],
        &["ping"],
        &["stats"],
    ];
    let mut text = String::new();
    for arguments in cases {
        let arguments = [arguments, format].concat();
        text += &transcript(&arguments, run(&service, &arguments));
    }
    text
}

#[test]
fn each_verb_in_a_pipe() {
    let run = |service: &Service, arguments: &[&str]| verb(service.address(), arguments);
    masked().bind(|| insta::assert_snapshot!("verbs_in_a_pipe", tables(run, &[])));
}

#[test]
fn each_verb_on_a_terminal() {
    masked().bind(|| insta::assert_snapshot!("verbs_on_a_terminal", tables(on_a_terminal, &[])));
}

#[test]
fn each_verb_in_json() {
    let run = |service: &Service, arguments: &[&str]| verb(service.address(), arguments);
    masked().bind(|| insta::assert_snapshot!("verbs_in_json", tables(run, &["--json"])));
}
