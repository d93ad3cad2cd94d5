//! What a turn does at most of each kind of work, one scenario each. The numbers are written out: a
//! bound that is changed in `limits.rs` must be noticed here.

use std::time::Duration;

use discovery_service::engine::Settings;

use crate::rig::{Rig, TICK_MS, TTL_MS};

/// Units of work in a turn: 3 ms, and the last visit may pass them by its own share.
const WORK_MAX: u32 = 12_000 + 1_300;
const KIB: usize = 1024;

fn rig(idle_ms_max: Option<u64>) -> Rig {
    Rig::with(Settings {
        connections_max: 5_000,
        idle_ms_max,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    })
}

/// A client whose kernel takes every answer at once.
fn connect_roomy(rig: &mut Rig) -> usize {
    let client = rig.connect();
    rig.net.pipes[client].room = usize::MAX;
    client
}

/// Registers so many of one type.
fn register(rig: &mut Rig, client: usize, service_type: &str, count: usize) {
    let line = format!("register {service_type} 10.0.0.1 80 ttl=3600\n");
    for part in [count % 500].into_iter().chain(vec![500; count / 500]) {
        rig.send(client, line.repeat(part).as_bytes());
        rig.settle();
        rig.received(client);
    }
}

fn assert_work_is_bounded(rig: &mut Rig) {
    let spent = rig.engine.work_spent();
    assert!(spent <= WORK_MAX, "a turn of {spent} units");
}

#[test]
fn row_24_a_turn_accepts_a_bounded_number_of_connections_and_serves_the_others() {
    let mut rig = rig(None);
    let witness = rig.connect();
    for _ in 0..2_000 {
        rig.net.connect();
    }
    let mut waits = 0;
    while rig.net.has_backlog() {
        let before = rig.engine.connections();
        if waits == 0 {
            rig.send(witness, b"ping\n");
        }
        rig.turn();
        waits = if rig.received(witness).is_empty() {
            waits + 1
        } else {
            0
        };
        assert!(waits < 3, "{waits} turns without an answer");
        let accepted = rig.engine.connections() - before;
        assert!(
            (200..=300).contains(&accepted) || !rig.net.has_backlog(),
            "{accepted} in a turn"
        );
        assert_work_is_bounded(&mut rig);
    }
    assert_eq!(rig.engine.connections(), 2_001);
}

#[test]
fn row_17_a_turn_runs_a_bounded_number_of_commands_of_one_connection() {
    for (line, units) in [("heartbeat x\n", 1), ("nonsense\n", 2), ("stats\n", 32)] {
        let mut rig = rig(None);
        let flood = connect_roomy(&mut rig);
        rig.send(flood, line.repeat(10_000).as_bytes());
        rig.turn();
        let at_first = rig.received(flood).lines().count() * units;
        assert!(
            (100..=200).contains(&at_first),
            "{line:?}: {at_first} units for who had nothing to do before"
        );
        rig.turn();
        let later = rig.received(flood).lines().count() * units;
        assert!(
            (1_000..=1_300).contains(&later),
            "{line:?}: {later} units for who goes on"
        );
        assert_work_is_bounded(&mut rig);
    }
}

#[test]
fn row_17_a_turn_reads_a_bounded_part_of_what_one_connection_sends() {
    let mut rig = rig(None);
    // Nothing of this is a command that takes a share: empty lines, and input behind a fatal error.
    let (empty, closing) = (rig.connect(), rig.connect());
    rig.send(closing, &[b'x'; 2_000]);
    rig.settle();
    for client in [empty, closing] {
        rig.send(client, &vec![b'\n'; KIB * KIB]);
    }
    let mut unread = [KIB * KIB; 2];
    for _ in 0..10 {
        rig.turn();
        for (client, unread) in [empty, closing].into_iter().zip(&mut unread) {
            let before = std::mem::replace(unread, rig.net.pipes[client].unread_len());
            let read = (before - *unread) / KIB;
            assert!((64..=128).contains(&read), "{read} KiB in a turn");
        }
        assert_work_is_bounded(&mut rig);
    }
}

#[test]
fn row_17_a_turn_writes_a_bounded_part_of_the_answers_to_one_connection() {
    let mut rig = rig(None);
    let (reader, other) = (connect_roomy(&mut rig), rig.connect());
    register(&mut rig, other, "hive", 8_000);
    // A write that takes everything at once would be over before a budget can end it.
    rig.net.write_len_max = 16 * KIB;
    rig.send(reader, b"query hive\n");
    rig.settle();
    let answer = rig.received(reader);
    rig.send(reader, &b"query hive\n".repeat(10));
    let mut left = 10 * answer.len();
    while left > 0 {
        rig.turn();
        let written = rig.received(reader).len();
        left -= written;
        assert!(
            (200 * KIB..=300 * KIB).contains(&written) || left == 0,
            "{written} bytes in a turn"
        );
        assert_work_is_bounded(&mut rig);
    }
}

#[test]
fn row_17_a_turn_visits_a_bounded_number_of_sessions_and_the_next_goes_on() {
    const CLIENTS: usize = 2_000;
    let mut rig = rig(None);
    let clients: Vec<usize> = (0..CLIENTS).map(|_| rig.net.connect()).collect();
    rig.settle();
    for &client in &clients {
        rig.send(client, b"ping\n");
    }
    let (mut answered, mut turns) = (0, 0);
    while answered < CLIENTS {
        rig.turn();
        let mut told = |&&client: &&usize| !rig.received(client).is_empty();
        let served = clients.iter().filter(&mut told).count();
        answered += served;
        turns += 1;
        assert!(
            (400..=800).contains(&served) || answered == CLIENTS,
            "{served} sessions in a turn"
        );
        assert_work_is_bounded(&mut rig);
    }
    assert!(turns <= 5, "{turns} turns");
}

#[test]
fn row_02_a_turn_closes_a_bounded_number_of_connections_whose_time_is_over() {
    const CLIENTS: usize = 3_000;
    let mut rig = rig(Some(60_000));
    let witness = rig.connect();
    for _ in 0..CLIENTS {
        rig.net.connect();
    }
    rig.settle();
    assert_eq!(rig.engine.connections(), CLIENTS + 1);
    rig.pass(59_999);
    assert_eq!(rig.ask(witness, "ping"), "PONG\n");
    rig.now_ms += 1;
    while rig.engine.connections() > 1 {
        let before = rig.engine.connections();
        rig.turn();
        let closed = before - rig.engine.connections();
        assert!(
            (500..=1_100).contains(&closed) || rig.engine.connections() == 1,
            "{closed} in a turn"
        );
        assert!(
            rig.engine.connections() == 1 || rig.wait == Some(Duration::ZERO),
            "the others wait for nothing"
        );
    }
    assert_eq!(rig.ask(witness, "ping"), "PONG\n");
}

/// Counts the answers of each turn to clients that ask this, one each, while another one pings.
fn answers_in_each_turn(rig: &mut Rig, questions: &[String]) -> Vec<usize> {
    let witness = rig.connect();
    let mut clients: Vec<usize> = questions.iter().map(|_| connect_roomy(rig)).collect();
    for (&client, question) in clients.iter().zip(questions) {
        rig.send(client, format!("{question}\n").as_bytes());
    }
    let mut answered = Vec::new();
    while !clients.is_empty() {
        rig.send(witness, b"ping\n");
        rig.turn();
        assert_eq!(rig.received(witness), "PONG\n", "in the same turn");
        assert_work_is_bounded(rig);
        let before = clients.len();
        clients.retain(|&client| rig.received(client).is_empty());
        answered.push(before - clients.len());
        assert!(answered.len() < 100, "{answered:?}");
    }
    answered
}

#[test]
fn a_turn_makes_answers_of_about_4096_registrations_and_the_next_goes_on() {
    const TYPES: usize = 20;
    const OF_EACH: usize = 1_000;
    let mut rig = rig(None);
    let other = rig.connect();
    for number in 0..TYPES {
        register(&mut rig, other, &format!("type{number}"), OF_EACH);
    }
    for (question, in_a_turn) in [("query", 5), ("list", 3), ("watch", 5)] {
        let max_age = if question == "query" {
            " max-age=3600"
        } else {
            ""
        };
        let ask = |number| format!("{question} type{number}{max_age}");
        let questions: Vec<String> = (0..TYPES).map(ask).collect();
        let mut answered = answers_in_each_turn(&mut rig, &questions);
        // The turn in which watchers are added makes no snapshots, and the last has less to do.
        answered.retain(|&answers| answers > 0);
        answered.pop();
        let all_full = answered.iter().all(|&answers| answers == in_a_turn);
        assert!(all_full, "{question}: {answered:?}");
    }
}
