//! Long answers that their peers do not read, and several at the same time.

use std::time::Duration;

use discovery_service::limits::{OUTPUT_STALL_MS_MAX, PART_LEN_MAX};
use serde_json::Value;

use crate::rig::Rig;

#[test]
fn a_long_answer_of_which_its_peer_reads_nothing_for_10_s_ends_the_connection() {
    for question in ["list\n", "query hive\n", "types\n"] {
        let mut rig = Rig::new();
        let (filler, deaf) = (rig.connect(), rig.connect());
        for part in 0..6 {
            let line = |number| format!("register hive{number} 10.0.0.1 80 ttl=86400\n");
            let types: String = (part * 500..(part + 1) * 500).map(line).collect();
            rig.ask(filler, &types);
            rig.ask(
                filler,
                &"register hive 10.0.0.1 80 ttl=86400\n".repeat(1_000),
            );
        }
        rig.send(deaf, question.as_bytes());
        for _ in 0..20 {
            rig.turn();
        }
        for _ in 0..3 {
            rig.pass(OUTPUT_STALL_MS_MAX - 1);
            assert!(!rig.is_closed(deaf), "{question:?}");
            rig.net.take(deaf, 1);
            rig.turn();
        }
        rig.pass(OUTPUT_STALL_MS_MAX);
        assert!(rig.is_closed(deaf), "{question:?}");
        assert_eq!(rig.engine.waiting_len(), 0, "{question:?}");
    }
}

#[test]
fn a_long_search_that_finds_nothing_lets_other_long_answers_go_on() {
    const SERVICES: usize = 40_000;
    let mut rig = Rig::new();
    let (searcher, reader) = (rig.connect(), rig.connect());
    for _ in 0..SERVICES / 1_000 {
        rig.ask(
            reader,
            &"register hive 10.0.0.1 80 ttl=86400\n".repeat(1_000),
        );
    }
    rig.send(searcher, b"query hive tag=none\n");
    rig.turn();
    rig.send(reader, b"query hive\n");
    let mut turns = 0;
    while rig.received(reader).is_empty() {
        turns += 1;
        assert!(turns < 5, "no answer begins in {turns} turns");
        rig.turn();
    }
    assert_eq!(rig.received(searcher), "", "it looks at 4,000 in a turn");
    rig.settle();
    assert_eq!(rig.received(searcher), "[]\n");
}

#[test]
fn a_long_answer_goes_on_whatever_work_others_leave_of_the_turns() {
    const SERVICES: usize = 3_000;
    let mut rig = Rig::new();
    let reader = rig.connect();
    rig.net.pipes[reader].room = usize::MAX;
    for _ in 0..SERVICES / 1_000 {
        rig.ask(
            reader,
            &"register hive 10.0.0.1 80 ttl=86400\n".repeat(1_000),
        );
    }
    let floods: Vec<usize> = (0..60).map(|_| rig.connect()).collect();
    for &flood in &floods {
        rig.net.pipes[flood].room = usize::MAX;
        rig.send(flood, &b"stats\n".repeat(10_000));
    }
    rig.turn();
    rig.send(reader, b"list\n");
    let (mut answer, mut turns) = (String::new(), 0);
    while !answer.ends_with("]\n") {
        turns += 1;
        // Each of its 15 parts waits for the 60 floods, of which a turn serves eight at least.
        assert!(turns < 130, "no whole answer in {turns} turns");
        rig.turn();
        answer += &rig.received(reader);
        for &flood in &floods {
            rig.received(flood);
        }
    }
    assert_eq!(answer.matches("\"ip\":").count(), SERVICES);
    assert_eq!(rig.wait, Some(Duration::ZERO), "the others still have work");
}

fn frame(content: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"content-type":"text/json","content-encoding":"utf-8","content-length":{}}}"#,
        content.len()
    );
    let mut frame = (header.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(format!("{header}{content}").as_bytes());
    frame
}

/// The content of the only frame that was received.
fn content(answer: &[u8]) -> Value {
    let header_len = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
    serde_json::from_slice(&answer[2 + header_len..]).expect("one JSON value")
}

#[test]
fn a_long_answer_in_a_frame_is_one_array_of_all() {
    const SERVICES: usize = 3_000;
    let mut rig = Rig::new();
    let filler = rig.connect();
    for part in 0..3 {
        let line = |number| format!("register hive{number} 10.0.0.1 80 ttl=86400\n");
        let types: String = (part * 1_000..(part + 1) * 1_000).map(line).collect();
        rig.ask(filler, &types);
        for _ in 0..2 {
            rig.ask(
                filler,
                &"register hive 10.0.0.1 80 ttl=86400\n".repeat(1_000),
            );
        }
    }
    for (action, len) in [
        ("list", 3 * SERVICES),
        ("types", SERVICES + 1),
        ("query", 2 * SERVICES),
    ] {
        let asker = rig.connect();
        let question = match action {
            "query" => String::from(r#"{"action":"query","type":"hive"}"#),
            action => format!(r#"{{"action":"{action}"}}"#),
        };
        rig.send(asker, &frame(&question));
        rig.settle();
        rig.net.take(asker, usize::MAX);
        let answer = content(&rig.net.pipes[asker].received);
        let answer = match answer {
            Value::String(text) => serde_json::from_str(&text).expect("an array"),
            answer => answer,
        };
        assert_eq!(answer.as_array().map(Vec::len), Some(len), "{action}");
    }
}

#[test]
fn what_is_collected_of_a_long_answer_in_a_frame_counts_as_waiting() {
    let mut rig = Rig::new();
    let asker = rig.connect();
    for _ in 0..6 {
        rig.ask(
            asker,
            &"register hive 10.0.0.1 80 ttl=86400\n".repeat(1_000),
        );
    }
    let asker = rig.connect();
    rig.send(asker, &frame(r#"{"action":"list"}"#));
    for _ in 0..6 {
        rig.turn();
    }
    assert_eq!(rig.received(asker), "", "it is not whole yet");
    let waiting = rig.engine.waiting_len();
    assert!(waiting > 2 * PART_LEN_MAX, "{waiting} bytes");
}

#[test]
fn who_watches_a_small_type_does_not_wait_for_the_parts_of_long_answers() {
    let mut rig = Rig::new();
    let watcher = rig.connect();
    rig.ask(watcher, "register small 10.0.0.1 80 ttl=86400");
    for _ in 0..6 {
        let line = "register hive 10.0.0.1 80 ttl=86400\n";
        rig.ask(watcher, &line.repeat(1_000));
    }
    let readers: Vec<usize> = (0..90).map(|_| rig.connect()).collect();
    for &reader in &readers {
        rig.net.pipes[reader].room = usize::MAX;
        rig.send(reader, b"list\n");
    }
    rig.turn();
    rig.send(watcher, b"watch small\n");
    let mut turns = 0;
    while rig.received(watcher).is_empty() {
        turns += 1;
        assert!(turns <= 3, "no snapshot in {turns} turns");
        rig.turn();
        readers
            .iter()
            .for_each(|&reader| drop(rig.received(reader)));
    }
    assert_eq!(rig.wait, Some(Duration::ZERO), "the others still read");
}

#[test]
fn what_is_sent_behind_watch_is_answered_behind_the_beginning_of_the_snapshot() {
    let mut rig = Rig::new();
    let client = rig.connect();
    rig.ask(client, "register hive 10.0.0.1 80 ttl=86400");
    let lines = rig.ask(client, "watch\nping");
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].contains("10.0.0.1"), "{lines:?}");
    assert_eq!(lines[1..], ["PONG"]);
    let other = rig.connect();
    rig.net.pipes[other].client_ended = true;
    let snapshot = rig.ask(other, "watch");
    assert!(snapshot.contains("10.0.0.1"), "{snapshot}");
}
