//! Which answers wait for the state file, and for how long.

use std::time::Duration;

use crate::journal::FakeFile;
use crate::rig::Rig;

/// A service whose state file takes what a test lets it take.
fn saving() -> (Rig, FakeFile) {
    let file = FakeFile::new();
    let mut rig = Rig::new();
    rig.engine.save_to(file.reopened(0));
    (rig, file)
}

/// The answer of a service whose file takes everything at once.
fn ask(rig: &mut Rig, client: usize, line: &str) -> String {
    let told = rig.ask(client, line);
    rig.settle();
    let told = told + &rig.received(client);
    told.trim_end().to_owned()
}

#[test]
fn row_60_an_answer_comes_when_its_change_is_saved_and_no_other_waits_for_it() {
    let (mut rig, file) = saving();
    let (client, other) = (rig.connect(), rig.connect());
    assert_eq!(rig.ask(client, "register hive 10.0.0.1 80"), "");
    assert_eq!(file.under_way(), 1);
    // Others see it, and do not wait.
    let services = "[{\"ip\":\"10.0.0.1\",\"port\":80}]\n";
    assert_eq!(rig.ask(other, "query hive"), services);
    // The client's own next answers stay behind the first.
    assert_eq!(rig.ask(client, "query hive"), "");
    assert_eq!(rig.ask(client, "ping"), "");
    file.save(1);
    rig.settle();
    let told = rig.received(client);
    let (uuid, rest) = told.split_once('\n').unwrap();
    assert_eq!(rest, format!("{services}PONG\n"));
    // Heartbeats change nothing that is saved.
    assert_eq!(rig.ask(other, &format!("heartbeat {uuid}")), "OK\n");
    assert_eq!(file.under_way(), 0);
    for (command, count) in [
        (format!("update {uuid} tag=a"), 1),
        (format!("deregister {uuid}"), 1),
        (format!("deregister {uuid}"), 0),
        ("hold queen 10.0.0.2 80 replace".to_owned(), 1),
    ] {
        let told = rig.ask(client, &command);
        assert_eq!((told.is_empty(), file.under_way()), (count == 1, count));
        file.save(1);
        rig.settle();
        assert!(!(told + &rig.received(client)).is_empty(), "{command}");
    }
}

#[test]
fn row_60_the_end_of_a_ttl_makes_nobody_wait() {
    let (mut rig, file) = saving();
    let client = rig.connect();
    file.set_prompt(true);
    ask(&mut rig, client, "register hive 10.0.0.1 80 ttl=3");
    // More than one turn sweeps, so that the type is swept for its query.
    for _ in 0..60 {
        rig.ask(client, &"register bee 10.0.0.1 80 ttl=3\n".repeat(100));
    }
    rig.received(client);
    ask(&mut rig, client, "register hive 10.0.0.1 80 ttl=3");
    file.set_prompt(false);
    rig.pass(2_999);
    rig.now_ms += 1;
    assert_eq!(rig.ask_once(client, "query hive"), "[]\n");
    assert!(file.under_way() > 0);
}

#[test]
fn row_60_a_disk_that_hangs_delays_an_answer_by_a_second_and_then_none() {
    let (mut rig, file) = saving();
    let (client, other) = (rig.connect(), rig.connect());
    assert_eq!(rig.ask(client, "register hive 10.0.0.1 80"), "");
    rig.pass(999);
    assert_eq!(rig.received(client), "");
    rig.pass(1);
    rig.settle();
    assert_eq!(rig.received(client).len(), 37);
    // What hangs for a second may hang for an hour: nobody waits any more.
    assert_eq!(rig.ask(client, "register hive 10.0.0.1 80").len(), 37);
    assert!(rig.ask(other, "stats").contains(r#""state":"slow""#));
    // It recovers, and everything is written.
    file.set_prompt(true);
    rig.settle();
    rig.pass(1);
    assert!(rig.ask(other, "stats").contains(r#""state":"ok","#));
    let mut records = 0;
    file.replay(&mut |_| records += 1);
    assert_eq!(records, 2);
    file.set_prompt(false);
    assert_eq!(rig.ask(client, "register hive 10.0.0.1 80"), "");
}

#[test]
fn row_60_what_a_failing_disk_cannot_take_is_joined_by_registration_and_written_later() {
    let (mut rig, file) = saving();
    let client = rig.connect();
    file.set_prompt(true);
    let first = ask(&mut rig, client, "register hive 10.0.0.1 80");
    file.set_prompt(false);
    file.set_failing(true);
    rig.turn();
    // Answers come at once, and churn does not grow what waits.
    for _ in 0..500 {
        let uuid = ask(&mut rig, client, "register hive 10.0.0.2 80");
        assert_eq!(rig.ask(client, &format!("deregister {uuid}")), "OK\n");
    }
    let submitted_len = file.submitted_len();
    assert!(submitted_len < 1_000, "{submitted_len} bytes");
    let last = ask(&mut rig, client, "register hive 10.0.0.3 80");
    assert_eq!(rig.ask(client, &format!("deregister {first}")), "OK\n");
    let stats = rig.ask(client, "stats");
    assert!(stats.contains(r#""state":"failing""#), "{stats}");
    file.set_failing(false);
    file.set_prompt(true);
    rig.settle();
    let mut live = Vec::new();
    file.replay(&mut |record| match record {
        discovery_service::state::Record::Up(up) => live.push(up.uuid),
        discovery_service::state::Record::Down(uuid) => live.retain(|other| *other != uuid),
        _ => {}
    });
    let live: Vec<String> = live.iter().map(ToString::to_string).collect();
    assert_eq!(live, [last]);
}

#[test]
fn row_60_a_connection_that_ends_behind_its_change_is_answered_first() {
    let (mut rig, file) = saving();
    let client = rig.connect();
    rig.net.pipes[client].client_ended = true;
    rig.send(client, b"register hive 10.0.0.1 80\nquit\n");
    rig.settle();
    assert!(!rig.is_closed(client) && rig.received(client).is_empty());
    assert_ne!(rig.wait, Some(Duration::ZERO), "it waits without turning");
    file.save(1);
    rig.settle();
    assert_eq!(rig.received(client).len(), 37);
    assert!(rig.is_closed(client));
}

#[test]
fn a_client_that_changes_something_in_every_turn_is_answered_in_the_next() {
    let (mut rig, file) = saving();
    let client = rig.connect();
    for _ in 0..50 {
        rig.send(client, b"register hive 10.0.0.1 80\n");
        rig.turn();
        file.save(1);
    }
    rig.turn();
    assert_eq!(rig.received(client).len(), 50 * 37);
    // Each turn has sent the answers of the one before.
    for _ in 0..50 {
        rig.send(client, b"register hive 10.0.0.1 80\n");
        rig.turn();
        assert!(rig.received(client).len() <= 37);
        file.save(1);
    }
}
