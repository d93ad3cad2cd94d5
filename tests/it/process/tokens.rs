//! Tokens and their file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{
    Client, Service, ask_frame, command, finish, is_uuid, path, private_file, wait_until,
};

#[test]
fn row_44_without_a_valid_token_no_command_is_run_and_no_token_is_logged() {
    let file = private_file("open-sesame\nsecond\n");
    let mut traced = command();
    traced
        .args(["--listen", "127.0.0.1:0", "--token-file", path(&file)])
        .env("RUST_LOG", "trace");
    let service = Service::spawn(traced);
    let mut stranger = service.connect();
    for question in [
        "query hive",
        "register hive 10.0.0.1 1",
        "bogus",
        "heartbeat",
        "help",
        "quit",
    ] {
        assert_eq!(
            stranger.ask(question),
            "ERROR authentication required",
            "{question}"
        );
    }
    assert_eq!(stranger.ask("auth"), "ERROR authentication required");
    for token in ["open-sesam", "open-sesame2", "OPEN-SESAME", "wr0ng"] {
        let mut client = service.connect();
        client.send(format!("auth {token}\nquery hive\n"));
        assert_eq!(
            client.text(),
            "ERROR authentication failed\n",
            "closed, and no command after it is run"
        );
    }
    for token in ["open-sesame", "second"] {
        let mut client = service.connect();
        assert_eq!(client.ask(&format!("auth {token}")), "OK");
        assert_eq!(client.ask("query hive"), "[]");
    }
    let frame = |token: &str| {
        ask_frame(
            service.address(),
            &format!(r#"{{"action": "query", "type": "hive"{token}}}"#),
        )
    };
    assert_eq!(frame("").header["error"], "authentication required");
    assert_eq!(
        frame(r#", "token": "wr0ng""#).header["error"],
        "authentication failed"
    );
    assert_eq!(frame(r#", "token": "open-sesame""#).content, r#""[]""#);

    fs::write(&file, "new-word\n").expect("it is ours");
    service.signal("HUP");
    wait_until("the file is read again", || {
        (frame(r#", "token": "new-word""#).content == r#""[]""#).then_some(())
    });
    assert_eq!(
        frame(r#", "token": "open-sesame""#).header["error"],
        "authentication failed"
    );
    fs::write(&file, "\n").expect("it is ours");
    service.signal("HUP");
    wait_until("the bad file is refused", || {
        service.log().contains("the old tokens stay").then_some(())
    });
    assert_eq!(frame(r#", "token": "new-word""#).content, r#""[]""#);
    let log = service.log();
    for secret in ["open-sesame", "second", "wr0ng", "new-word"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn without_a_token_file_any_token_is_accepted() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask("auth whatever"), "OK");
    assert_eq!(client.ask("auth"), "ERROR usage: auth <token>");
    let answer = ask_frame(
        service.address(),
        r#"{"action": "query", "type": "a", "token": "whatever"}"#,
    );
    assert_eq!(answer.content, r#""[]""#);
}

#[test]
fn row_45_a_token_file_that_cannot_be_used_is_refused_at_start_with_its_reason() {
    let empty = private_file("\n\n");
    let words = private_file("good\ntwo words\n");
    let long = private_file(&"a-token\n".repeat(1024 * 1024 / 8 + 1));
    let folder = std::env::temp_dir();
    let cases = [
        (path(&long), "it is longer than 1048576 bytes"),
        ("/nonexistent/tokens", "No such file or directory"),
        (path(&empty), "it holds no token"),
        (
            path(&words),
            "line 2 holds white space or a control character",
        ),
        (
            folder.to_str().expect("a path in UTF-8"),
            "it is not a regular file",
        ),
    ];
    for (path, reason) in cases {
        let mut refused = command();
        refused.args(["--listen", "127.0.0.1:0", "--token-file", path]);
        let ended = finish(refused);
        assert_eq!(ended.status, Some(1), "{path}");
        assert_eq!(
            ended.stderr,
            format!("cannot use the token file {path}: {reason}\n")
        );
    }
    let open = private_file("secret\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let service = Service::start(&["--token-file", path(&open)]);
    wait_until("it warns", || {
        service
            .log()
            .contains("readable by everybody")
            .then_some(())
    });
    assert!(!service.log().contains("secret"));
}

#[test]
fn after_a_reload_who_showed_a_token_that_is_gone_is_closed_holds_and_watches_included() {
    let file = private_file("old\nkept\n");
    let service = Service::start(&["--token-file", path(&file)]);
    let admitted = |token: &str| {
        let mut client = service.connect();
        assert_eq!(client.ask(&format!("auth {token}")), "OK");
        client
    };
    let mut watcher = admitted("kept");
    watcher.send("watch hive\n");
    assert!(watcher.line().contains(r#""services":[]"#));
    let mut holder = admitted("kept");
    assert!(is_uuid(&holder.ask("hold kept 10.0.0.1 1")));
    let mut old_holder = admitted("old");
    assert!(is_uuid(&old_holder.ask("hold hive 10.0.0.1 1")));
    assert!(watcher.line().contains(r#""up":[{"#));
    let mut old_watcher = admitted("old");
    old_watcher.send("watch hive\n");
    assert!(old_watcher.line().contains("10.0.0.1"));
    // More than are looked at in one turn.
    let mut crowd: Vec<_> = (0..600).map(|_| admitted("old")).collect();

    fs::write(&file, "new\nkept\n").expect("it is ours");
    service.signal("HUP");
    let told = watcher.line();
    assert!(told.contains(r#""reason":"connection closed""#), "{told}");
    old_holder.wait_for_close();
    old_watcher.wait_for_close();
    crowd.iter_mut().for_each(Client::wait_for_close);
    assert!(holder.ask("query kept").contains("10.0.0.1"));
    assert_eq!(admitted("new").ask("query hive"), "[]");
    let stats = holder.ask("stats");
    assert!(stats.contains(r#""token":602"#), "{stats}");
}

#[test]
fn sighup_without_a_token_file_is_logged_and_nothing_else_happens() {
    let service = Service::start(&[]);
    let mut holder = service.connect();
    assert!(is_uuid(&holder.ask("hold hive 10.0.0.1 1")));
    service.signal("HUP");
    wait_until("it is logged", || {
        let log = service.log();
        log.contains("SIGHUP: there is no token file").then_some(())
    });
    assert!(holder.ask("query hive").contains("10.0.0.1"));
}
