//! Clients of a registry that is unreachable, slow, full, or something else altogether.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Service, finish, free_port, verb};
use discovery_service::client::{Client, Error, Options, Register, Watcher};

/// A server that gives this answer to the first command of each connection, and then is silent.
fn impostor(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&answer);
            kept.push(stream);
        }
    });
    address
}

#[test]
fn an_unreachable_a_slow_and_a_foreign_server_are_told_apart_within_the_timeout() {
    let away: SocketAddr = format!("127.0.0.1:{}", free_port())
        .parse()
        .expect("an address");
    for (address, message) in [
        (away, "cannot reach the registry at"),
        (impostor(b""), "did not answer in time"),
        (
            impostor(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "is not the registry: it said \"HTTP/1.1 400",
        ),
        (
            impostor(b"\x1b[31m\n"),
            "is not the registry: it said \"\\u{1b}[31m\"",
        ),
        (impostor(b"{}\n"), "is not the registry"),
        (impostor(b"[{\"ip\":1}]\n"), "is not the registry"),
    ] {
        // `watch` waits for a registry that may come yet.
        let is_final = message.contains("is not the registry");
        let watch = is_final.then_some(&["watch"][..]);
        for arguments in [&["query", "hive"][..], &["ping"]].into_iter().chain(watch) {
            let mut command = verb(address, arguments);
            command.args(["--timeout", "0.3"]);
            let begun = Instant::now();
            let failed = finish(command);
            assert!(
                begun.elapsed() < Duration::from_secs(4),
                "{arguments:?} {message}"
            );
            assert_eq!(
                failed.status,
                Some(1),
                "{arguments:?} {message}: {}",
                failed.stderr
            );
            let told =
                failed.stderr.contains(message) && failed.stderr.contains(&address.to_string());
            assert!(
                told && failed.stderr.lines().count() == 1,
                "{arguments:?}: {}",
                failed.stderr
            );
        }
    }
}

/// What a verb prints on both streams, and its exit status.
fn said(address: SocketAddr, arguments: &[&str]) -> (String, Option<i32>) {
    let ended = finish(verb(address, arguments));
    (ended.stdout + &ended.stderr, ended.status)
}

const HOSTILE_LIST: &str = r#"[{"type":"\u009b2J","ip":"::1","port":1,"heartbeat":"1970-01-01T00:00:00.000Z","age_ms":1,"ttl_ms":1,"held":false}]"#;
const HOSTILE_STATS: &str = r#"{"version":"\u001b[2J\u202eb\u009bc","uptime_seconds":0.0,"registrations":0,"types":0,"connections":0,"watchers":0,"commands":{"\u009b":1},"errors":0,"expirations":0,"refused_connections":0,"bytes_in":0,"bytes_out":0,"stalled_seconds":0.0,"worst_turn_us":0}"#;

#[test]
fn what_a_hostile_registry_says_moves_no_cursor() {
    for (arguments, answer, shown) in [
        (
            &["query", "hive"][..],
            "ERROR \x1b[31mno",
            "refused: \\u{1b}[31mno",
        ),
        (
            &["stats"],
            HOSTILE_STATS,
            "version\t\\u{1b}[2J\\u{202e}b\\u{9b}c",
        ),
        (&["list"], HOSTILE_LIST, "\\u{9b}2J\t[::1]:1\t"),
        (
            &["types", "--json"],
            r#"[{"type":"\u009b2J","count":1,"mood":"\u009b"}]"#,
            r#"[{"type":"\u009b2J","count":1}]"#,
        ),
        (
            &["watch"],
            r#"{"index":1,"services":[{"type":"\u009b2J","ip":"::1","port":1}]}"#,
            "up \\u{9b}2J [::1]:1",
        ),
    ] {
        // The second line ends `watch`.
        let (said, _) = said(impostor(format!("{answer}\nbye\n")), arguments);
        assert!(said.contains(shown), "{arguments:?}: {said}");
        assert!(
            !said
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\t'),
            "{arguments:?}: {said:?}"
        );
    }
}

#[test]
fn an_answer_of_another_shape_is_nonsense_not_an_empty_list() {
    for (arguments, answer) in [
        (&["list"][..], r#"{"a":1}"#),
        (&["list"], "NOT FOUND"),
        (&["list"], r#"[{"type":"hive","ip":"::1","port":1}]"#),
        (&["types"], "NOT FOUND"),
        (&["types"], r#"[{"type":"hive","count":-1}]"#),
        (&["stats"], "[]"),
        (&["stats"], "{}"),
        (&["why", "x"], "[]"),
        (&["why", "x"], r#"{"state":"lost"}"#),
        (&["query", "x"], r#"[{"ip":"::1","port":70000}]"#),
        (&["register", "x", "::1", "1"], "3999da30"),
        (&["watch"], r#"{"index":1,"up":[],"down":[]}"#),
    ] {
        let (said, status) = said(impostor(format!("{answer}\n")), arguments);
        assert_eq!(status, Some(1), "{arguments:?} {answer}: {said}");
        let shown = format!("is not the registry: it said \"{answer}");
        assert!(said.contains(&shown), "{arguments:?}: {said}");
    }
}

#[test]
fn a_refusal_is_shown_with_the_next_step() {
    let (shown, status) = said(impostor(b"ERROR not ready: it loads\n"), &["types"]);
    let step = "refused: not ready: it loads: try again in a moment";
    assert!(status == Some(1) && shown.contains(step), "{shown}");
    let full = Service::start(&["--max-services", "1"]);
    full.connect().register("hive", "10.0.0.1", 80);
    let busy = Service::start(&["--max-connections", "1"]);
    let mut only = busy.connect();
    assert_eq!(only.ask("ping"), "PONG");
    for (service, arguments, step) in [
        (
            &full,
            &["register", "hive", "10.0.0.2", "80"][..],
            "registry full: try again, or start it with",
        ),
        (
            &busy,
            &["ping"],
            "too many connections: try again, or start it with",
        ),
        (
            &full,
            &["wait", "bee", "--timeout", "0.1"],
            "0 of 1 are live",
        ),
    ] {
        let (said, status) = said(service.address(), arguments);
        assert!(
            status == Some(1) && said.contains(step),
            "{arguments:?}: {said}"
        );
        assert!(
            said.contains(&service.address().to_string()),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn wait_keeps_to_its_timeout_while_it_reconnects() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (first, _) = listener.accept().expect("a connection");
        std::thread::sleep(Duration::from_secs(2));
        drop(first);
        // The second is never answered.
        let _second = listener.accept().expect("a connection");
        std::thread::sleep(Duration::from_secs(20));
    });
    let begun = Instant::now();
    let (said, status) = said(address, &["wait", "hive", "--timeout", "3"]);
    let taken = begun.elapsed();
    assert!(
        status == Some(1) && said.contains("did not answer in time"),
        "{said}"
    );
    assert!(
        taken >= Duration::from_secs(3) && taken < Duration::from_millis(4500),
        "{taken:?}"
    );
}

#[test]
fn an_argument_cannot_add_a_command() {
    let mut client = Client::new(&Options::new("127.0.0.1:1"));
    let refused = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::Argument(_))), "{result:?}")
    };
    for wrong in ["", "a b", "a\nping", "a\r", "\u{85}"] {
        refused(client.list(Some(wrong)).map(drop));
        refused(client.why(wrong).map(drop));
        refused(
            client
                .register(wrong, "::1", 1, Register::default())
                .map(drop),
        );
        refused(
            Watcher::new(&Options::new("127.0.0.1:1"), Some(wrong))
                .next()
                .expect("a result")
                .map(drop),
        );
    }
    for wrong in ["", " ", "ping\nping"] {
        refused(client.pipeline(&["ping", wrong]).map(drop));
    }
    let secret = Client::new(&Options::new(&impostor("").to_string()).token("se\ncret")).ping();
    assert!(
        matches!(&secret, Err(error) if !error.to_string().contains("cret")),
        "{secret:?}"
    );
}

#[test]
fn the_python_client_rejects_malformed_answers() {
    let script = r#"
import sys
sys.path.insert(0, sys.argv[1])
import discovery

asks = [lambda c: c.query("x"), lambda c: c.types(), lambda c: c.list(), lambda c: c.why("x"), lambda c: c.stats(),
        lambda c: c.ping(), lambda c: next(c.watch()), lambda c: c.heartbeat("x"), lambda c: c.hold("x", "-", 1).__enter__()]
for ask in asks:
    with discovery.Client(timeout=0.3) as client:
        try:
            print(ask(client))
        except discovery.Error as error:
            assert "\x1b" not in str(error), repr(error)
            print(type(error).__name__)
"#;
    for (answer, expected) in [
        ("[1]", "Error"),
        (
            "[{\"type\":[],\"ip\":1,\"port\":\"x\",\"count\":1}]",
            "Error",
        ),
        ("{\"services\":1}", "Error"),
        ("\x1b", "Error"),
        ("ERROR \x1b", "Refused"),
    ] {
        let mut command = std::process::Command::new("python3");
        command.args([
            "-c",
            script,
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/python"),
        ]);
        let address = impostor(format!("{answer}\n"));
        let ended = finish({
            command
                .env("DISCOVERY_SERVER", address.to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1");
            command
        });
        // `stats` and `why` take any object.
        let told = ended.stdout.replace("{'services': 1}", "Error");
        assert_eq!(
            told,
            format!("{expected}\n").repeat(9),
            "{answer:?}: {}",
            ended.stderr
        );
    }
}

/// A server that answers each connection with this beginning and then this part without an end. Counts
/// the bytes that were taken.
fn endless(beginning: &'static str, part: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    std::thread::spawn(move || {
        let part = part.repeat(10_000);
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(beginning.as_bytes());
            while stream.write_all(part.as_bytes()).is_ok() {
                count.fetch_add(part.len(), Ordering::Relaxed);
            }
        }
    });
    (address, taken)
}

#[test]
fn an_answer_without_an_end_is_given_up_at_64_mib_and_one_without_rows_at_64_kib() {
    // What the kernel's buffers of both ends take beside.
    const BUFFERS: usize = 16 << 20;
    let row = r#"{"ip":"::1","port":1},"#;
    for (arguments, beginning, part, len_max) in [
        (&["query", "hive"][..], "[", row, 64 << 20),
        (&["watch"], "", "x", 64 << 20),
        (&["why", "x"], r#"{"state":["#, "0,", 64 << 10),
        (&["register", "hive", "-", "1"], "", "x", 64 << 10),
    ] {
        let (address, taken) = endless(beginning, part);
        let (said, status) = said(address, arguments);
        assert_eq!(status, Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("an answer without an end"),
            "{arguments:?}: {said}"
        );
        let taken = taken.load(Ordering::Relaxed);
        assert!(
            taken <= len_max + BUFFERS,
            "{arguments:?} took {taken} bytes"
        );
    }
}

#[test]
fn the_python_client_checks_each_row_before_it_reads_the_next() {
    const CODE: &str = "\
import resource, sys
sys.path.insert(0, 'src/client/python')
import discovery
try:
    getattr(discovery.Client(timeout=15), sys.argv[1])('hive')
except discovery.Error as error:
    print(str(error)[:60])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
";
    // Forty megabytes that would take 700 in memory.
    for (method, beginning, element, end) in [
        ("query", "[0", ",0", "]\n"),
        ("list", "[{}", ",{}", "]\n"),
        ("query", r#"[{"ip":"::1","port":1,"x":[0"#, ",0", "]}]\n"),
    ] {
        let count = 40_000_000 / element.len();
        let address = impostor(format!("{beginning}{}{end}", element.repeat(count)));
        let mut python = std::process::Command::new("python3");
        python.args(["-c", CODE, method]);
        python.env("DISCOVERY_SERVER", address.to_string());
        let ended = finish(python);
        let mut lines = ended.stdout.lines();
        let said = lines.next().unwrap_or_else(|| panic!("{}", ended.stderr));
        assert!(said.contains("is not the registry"), "{said}");
        let peak_kb: u64 = lines.next().expect("a line").parse().expect("a number");
        println!("{beginning}: {peak_kb} kB");
        assert!(peak_kb < 200 * 1024, "{beginning}: {peak_kb} kB");
    }
}
