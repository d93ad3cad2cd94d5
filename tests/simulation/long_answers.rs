//! Long answers that their peers do not read, and several at the same time.

use std::time::Duration;

use discovery_service::limits::OUTPUT_STALL_MS_MAX;

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
