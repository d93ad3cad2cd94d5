//! The Python client, against the real service.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use super::scripted::{LAGGED, scripted};
use crate::common::{Service, finish, free_port, signal, wait_until};

/// The folder of the client and of its own tests.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/python");

/// Runs a class of the client's own tests.
fn own_tests(class: &str) {
    let mut command = Command::new("python3");
    command.args(["-X", "dev", "-W", "error", "-m", "unittest"]);
    command
        .arg(format!("test_discovery.{class}"))
        .current_dir(FOLDER)
        .env("DISCOVERY_BINARY", env!("CARGO_BIN_EXE_discovery"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // Each of its tests has a time limit.
    let ended = command.output().expect("Python 3 is there");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// A test for each class of the client's own tests, and the list of all.
macro_rules! own_tests {
    ($($name:ident: $class:literal,)*) => {
        $(
            #[test]
            fn $name() {
                own_tests($class);
            }
        )*

        const CLASSES: &[&str] = &[$($class),*];
    };
}

own_tests! {
    the_python_hold_keeps_its_promises: "Holding",
    the_python_client_and_the_service_understand_each_verb_and_option_alike: "Verbs",
    the_python_client_of_several_servers_keeps_its_promises: "Servers",
    the_python_watch_keeps_its_promises: "Watching",
    the_python_client_with_tokens_keeps_its_promises: "Tokens",
    the_python_client_of_several_threads_keeps_its_promises: "Sharing",
    the_python_client_for_asyncio_keeps_its_promises: "Async",
    the_python_client_sends_what_it_was_given: "Arguments",
}

#[test]
fn every_class_of_the_python_clients_own_tests_is_run() {
    let file = format!("{FOLDER}/test_discovery.py");
    let text = std::fs::read_to_string(file).expect("it is there");
    let classes: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("class ") && line.contains("Case)"))
        .filter_map(|line| line["class ".len()..].split('(').next())
        .filter(|class| *class != "Case")
        .collect();
    assert_eq!(classes, CLASSES);
}

#[test]
fn the_python_package_has_the_version_of_the_crate() {
    let file = format!("{FOLDER}/pyproject.toml");
    let text = std::fs::read_to_string(file).expect("it is there");
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(text.lines().any(|line| line == version), "{version}");
}

#[test]
fn a_python_watcher_that_has_lagged_yields_what_is_live_now() {
    let mut command = Command::new("python3");
    let script = "import sys; sys.path.insert(0, sys.argv[1]); import discovery\n\
        pictures = discovery.watch('a')\n\
        print([f'{s.ip}:{s.port}' for s in next(pictures)])";
    command.args(["-c", script, FOLDER]);
    command
        .env("DISCOVERY_SERVER", scripted(LAGGED))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(
        finish(command).stdout,
        "['10.0.0.3:3']\n",
        "everything that has arrived is one change"
    );
}

const PYTHON: &str = r#"
import os, signal, sys
signal.alarm(30)
sys.path.insert(0, sys.argv[1])
import discovery

client = discovery.Client()
uuid = client.register("hive", "10.0.0.1", 80, ttl=60)
assert client.heartbeat(uuid) and not client.heartbeat("nobody")
assert client.query("hive") == [("10.0.0.1", 80)] == discovery.query("hive", max_age=60)
assert client.types() == {"hive": 1} and client.list("hive")[0]["ttl_ms"] == 60000
assert client.why(uuid)["state"] == "live" and client.why("nobody") is None
assert client.stats()["registrations"] == 1
client.ping()
try:
    client.register("hive", "0.0.0.0", 80)
    raise SystemExit("it was not refused")
except discovery.Refused as refused:
    assert "unspecified" in str(refused)
for wrong in ("", "a b", "a\nquit"):
    try:
        client.query(wrong)
        raise SystemExit("it was sent")
    except ValueError:
        pass
pictures = client.watch("hive")
assert next(pictures) == [("hive", "10.0.0.1", 80)]
# An answer that was not waited for is not taken for the next one.
def interrupt(*_): raise KeyboardInterrupt
signal.signal(signal.SIGUSR1, interrupt)
print("stop", flush=True)
sys.stdin.readline()
try:
    client.query("hive")
    raise SystemExit("it was answered")
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert client.query("bee") == []
with discovery.hold("hive", "-", 81) as held:
    assert len(held.uuid) == 36 and held.check()
    assert next(pictures) == [("hive", "10.0.0.1", 80), ("hive", "127.0.0.1", 81)]
assert next(pictures) == [("hive", "10.0.0.1", 80)]
assert client.deregister(uuid)
assert next(pictures) == []
everything = discovery.watch()
assert next(everything) == []
uuid = discovery.register("bee", "::1", 82, replace=True)
assert next(everything) == [("bee", "::1", 82)]
assert discovery.heartbeat(uuid) and discovery.deregister(uuid)

# Across a restart of the registry: the test restarts it when it reads this line.
with client.hold("hive", "-", 83) as held:
    assert next(pictures) == [("hive", "127.0.0.1", 83)]
    print("restart", flush=True)
    sys.stdin.readline()
    assert client.query("hive") == [], "the client connects again"
    assert held.check()
    # After the restart only what is new is yielded.
    uuid = client.register("hive", "127.0.0.1", 84)
    while ("hive", "127.0.0.1", 84) not in (told := next(pictures)):
        pass
    assert told == [("hive", "127.0.0.1", 83), ("hive", "127.0.0.1", 84)]
try:
    discovery.Client("127.0.0.1:1", timeout=1).ping()
    raise SystemExit("there is nobody")
except discovery.Away as away:
    assert "127.0.0.1:1" in str(away)
two = discovery.Client("127.0.0.1:1," + os.environ["DISCOVERY_SERVER"])
two.ping()
for one in (client, two, pictures, everything):
    one.close()
print("done", flush=True)
"#;

#[test]
fn the_python_client_works_as_documented_also_across_a_restart() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut service = Service::start(&["--listen", &listen]);
    let mut command = Command::new("python3");
    command.args(["-X", "dev", "-W", "error", "-c", PYTHON, FOLDER]);
    command
        .env("DISCOVERY_SERVER", &listen)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("Python 3 is there");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "stop");
    // The number of the system call that it waits in.
    let pid = child.id();
    let waits_for = || {
        let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).expect("it runs");
        call.split_once(' ').map(|(number, _)| number.to_owned())
    };
    let a_line = wait_until("it waits for a line", waits_for);
    service.signal("STOP");
    let mut stdin = child.stdin.take().expect("it is piped");
    writeln!(stdin, "stopped").expect("it reads");
    wait_until("it waits for its answer", || {
        waits_for().filter(|call| *call != a_line)
    });
    signal(pid, "USR1");
    assert_eq!(lines.next().expect("a line").expect("text"), "interrupted");
    service.signal("CONT");
    assert_eq!(lines.next().expect("a line").expect("text"), "restart");
    service.signal("TERM");
    service.wait();
    let _service = Service::start(&["--listen", &listen]);
    writeln!(stdin, "restarted").expect("it reads");
    assert_eq!(lines.next().expect("a line").expect("text"), "done");
    assert!(child.wait().expect("it is ours").success());
}

#[test]
fn the_python_client_needs_python_3_9_and_nothing_else() {
    let mut command = Command::new("python3");
    let check = "import ast, sys\n\
        tree = ast.parse(open(sys.argv[1]).read(), feature_version=(3, 9))\n\
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING')]\n\
        names = {n.name.split('.')[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}\n\
        names |= {node.module.split('.')[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}\n\
        print(sorted(names - set(sys.stdlib_module_names)) if hasattr(sys, 'stdlib_module_names') else [])\n\
        public = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name[0] != '_']\n\
        print([n.name for n in public if not ast.get_docstring(n) and n.name != 'services'])";
    command.args([
        "-c",
        check,
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/client/python/discovery.py"
        ),
    ]);
    assert_eq!(
        finish(command).stdout,
        "[]\n[]\n",
        "modules that are no standard library; names without a docstring"
    );
}
