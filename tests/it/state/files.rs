//! The state file: when it is written, who may read it, and what cannot be used as one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Folder, text};
use crate::common::{Service, command, finish, wait_until};

#[test]
fn row_60_a_stop_leaves_everything_and_holders_are_awaited() {
    let folder = Folder::new();
    let mut service = folder.start(&[]);
    let mut client = service.connect();
    let uuid = client.register("hive", "10.0.0.1", 80);
    let held = client.ask("hold queen 10.0.0.1 80");
    let begun = Instant::now();
    service.signal("TERM");
    assert_eq!(service.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4));
    let service = folder.start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
    assert_eq!(client.ask(&format!("heartbeat {held}")), "OK");
    assert!(client.ask("query queen").contains("\"port\":80"));
    let stats: serde_json::Value = serde_json::from_str(&client.ask("stats")).unwrap();
    assert_eq!(
        (&stats["state"], &stats["restored"]),
        (&"ok".into(), &2.into())
    );
    let metrics = {
        let mut http = service.connect();
        http.send("GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n");
        http.text()
    };
    assert!(
        metrics.contains("discovery_state{state=\"ok\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("discovery_restored 2\n"), "{metrics}");
}

#[test]
fn row_60_only_the_owner_may_read_the_file_its_lock_and_its_damaged_copy() {
    let folder = Folder::new();
    let start = || {
        let mut command = command();
        command.args(["--listen", "127.0.0.1:0", "--state", &folder.state()]);
        command
    };
    // A umask that takes nothing away.
    let loose = || {
        let mut shell = std::process::Command::new("sh");
        let inner = start();
        let line = "umask 0; exec \"$0\" \"$@\"";
        shell
            .arg("-c")
            .arg(line)
            .arg(inner.get_program())
            .args(inner.get_args());
        shell.process_group(0);
        shell
    };
    let mut service = Service::spawn(loose());
    service.connect().register_many(100);
    service.signal("TERM");
    service.wait();
    let state = folder.path("state");
    let mut bytes = fs::read(&state).unwrap();
    bytes[500] ^= 1;
    fs::write(&state, &bytes).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o644)).unwrap();
    let mut service = Service::spawn(loose());
    wait_until("it is written anew", || {
        (fs::read(&state).unwrap() != bytes).then_some(())
    });
    assert!(service.log().contains("is damaged: "), "{}", service.log());
    for name in ["state", "state.lock", "state.damaged"] {
        let mode = fs::metadata(folder.path(name)).expect(name).mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        service.connect().ask("types"),
        r#"[{"type":"hive","count":99}]"#
    );
    service.signal("TERM");
    service.wait();
}

#[test]
fn row_60_a_second_process_waits_3_s_for_the_first_and_then_ends() {
    let folder = Folder::new();
    let first = folder.start(&[]);
    let uuid = first.connect().register("hive", "10.0.0.1", 80);
    let mut second = command();
    second.args(["--listen", "127.0.0.1:0", "--state", &folder.state()]);
    let begun = Instant::now();
    let refused = finish(second);
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(refused.status, Some(1));
    let expected = format!(
        "cannot use the state file {}: it is in use by another process\n",
        folder.state()
    );
    assert_eq!(refused.stderr, expected);
    // One that comes while the first ends goes on with what it had.
    first.signal("TERM");
    let next = folder.start(&[]);
    assert_eq!(next.connect().ask(&format!("heartbeat {uuid}")), "OK");
}

#[test]
fn row_60_a_path_that_cannot_be_a_state_file_is_told_and_nothing_is_touched() {
    let folder = Folder::new();
    fs::write(folder.path("other"), "{\"services\": []}").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    let mkfifo = Command::new("mkfifo").arg(folder.path("pipe")).status();
    assert!(mkfifo.unwrap().success());
    let missing = folder.path("missing/state");
    for (path, reason) in [
        (
            folder.path("other"),
            "it is no state file, so it is left as it is",
        ),
        (folder.path("folder"), "is a directory"),
        (folder.path("pipe"), "it is no regular file"),
        (missing, "No such file or directory"),
    ] {
        let mut service = command();
        service.args(["--listen", "127.0.0.1:0", "--state", &text(&path)]);
        let refused = finish(service);
        assert_eq!(refused.status, Some(1), "{}", refused.stderr);
        let begin = format!("cannot use the state file {}: ", path.display());
        assert!(refused.stderr.starts_with(&begin), "{}", refused.stderr);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    }
    assert_eq!(
        fs::read(folder.path("other")).unwrap(),
        b"{\"services\": []}"
    );
}

#[test]
fn row_60_without_state_nothing_is_written_and_with_it_nothing_without_a_change() {
    let folder = Folder::new();
    let service = Service::start(&[]);
    let stats = service.connect().ask("stats");
    assert!(
        stats.contains(r#""state":"off","state_bytes":0"#),
        "{stats}"
    );
    drop(service);
    let service = folder.start(&[]);
    let mut client = service.connect();
    for _ in 0..100 {
        client.ask("query hive");
    }
    assert_eq!(fs::metadata(folder.path("state")).unwrap().len(), 0);
    let uuid = client.register("hive", "10.0.0.1", 80);
    let len = fs::metadata(folder.path("state")).unwrap().len();
    for _ in 0..100 {
        assert_eq!(client.ask(&format!("heartbeat {uuid}")), "OK");
    }
    assert_eq!(fs::metadata(folder.path("state")).unwrap().len(), len);
}

#[test]
fn the_folder_that_systemd_names_is_used_where_no_file_is_given() {
    let folder = Folder::new();
    let mut service = command();
    service.args(["--listen", "127.0.0.1:0"]).env(
        "STATE_DIRECTORY",
        format!("{}:/elsewhere", text(folder.0.path())),
    );
    let service = Service::spawn(service);
    service.connect().register("hive", "10.0.0.1", 80);
    assert!(fs::metadata(folder.path("state")).unwrap().len() > 0);
}
