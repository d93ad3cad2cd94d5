//! What a turn does at most of each kind of work, one scenario each. The numbers are written out: a
//! bound that is changed in `limits.rs` must be noticed here.

use std::time::Duration;

use discovery_service::engine::Settings;

use crate::rig::{Rig, TICK_MS, TTL_MS, uuid};
use crate::stream::Stream;

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

/// Asserts that a turn did no more than its budget, and no less unless nothing was left to do.
fn assert_budget(what: &str, done: usize, budget: std::ops::RangeInclusive<usize>, is_last: bool) {
    let too_little = !is_last && done < *budget.start();
    assert!(
        done <= *budget.end() && !too_little,
        "{done} {what} in a turn"
    );
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
        let is_last = !rig.net.has_backlog();
        assert_budget("connections accepted", accepted, 200..=300, is_last);
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
        let spent = rig.engine.work_spent();
        assert!((3_800..=4_000).contains(&spent), "{spent} units for them");
    }
}

#[test]
fn row_17_a_turn_writes_a_bounded_part_of_the_answers_to_one_connection() {
    let mut rig = rig(None);
    let (reader, other) = (connect_roomy(&mut rig), rig.connect());
    register(&mut rig, other, "hive", 4_000);
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
        assert_budget("bytes written", written, 200 * KIB..=300 * KIB, left == 0);
        let spent = rig.engine.work_spent();
        assert!(
            (1_000..=1_100).contains(&spent) || left == 0,
            "{spent} units"
        );
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
        assert_budget("sessions", served, 400..=800, answered == CLIENTS);
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
        let is_last = rig.engine.connections() == 1;
        assert_budget("connections closed", closed, 500..=1_100, is_last);
        assert!(
            is_last || rig.wait == Some(Duration::ZERO),
            "the others wait for nothing"
        );
    }
    assert_eq!(rig.ask(witness, "ping"), "PONG\n");
}

/// Registrations of each type that is asked for.
const OF_EACH: usize = 1_000;

/// Counts the answers of each turn to clients that ask this, one each, while another one pings.
fn answers_in_each_turn(rig: &mut Rig, questions: &[String]) -> Vec<usize> {
    let witness = rig.connect();
    let mut clients: Vec<usize> = questions.iter().map(|_| connect_roomy(rig)).collect();
    for (&client, question) in clients.iter().zip(questions) {
        rig.send(client, format!("{question}\n").as_bytes());
    }
    let (mut answered, mut spent) = (Vec::new(), 0);
    while !clients.is_empty() {
        rig.send(witness, b"ping\n");
        rig.turn();
        assert_eq!(rig.received(witness), "PONG\n", "in the same turn");
        assert_work_is_bounded(rig);
        let before = clients.len();
        clients.retain(|&client| rig.received(client).is_empty());
        answered.push(before - clients.len());
        spent += rig.engine.work_spent() as usize;
        assert!(answered.len() < 100, "{answered:?}");
    }
    assert!(spent >= questions.len() * OF_EACH / 2, "{spent} units");
    answered
}

#[test]
fn a_turn_makes_answers_of_about_4096_registrations_and_the_next_goes_on() {
    const TYPES: usize = 20;
    let mut rig = rig(None);
    let other = rig.connect();
    for number in 0..TYPES {
        register(&mut rig, other, &format!("type{number}"), OF_EACH);
    }
    let ask = |number| format!("query type{number} max-age=3600");
    let questions: Vec<String> = (0..TYPES).map(ask).collect();
    assert_eq!(answers_in_each_turn(&mut rig, &questions), [5, 5, 5, 5]);
}

#[test]
fn a_turn_makes_parts_of_about_4000_registrations_and_the_next_goes_on() {
    const CLIENTS: usize = 20;
    let mut rig = rig(None);
    let other = rig.connect();
    register(&mut rig, other, "hive", OF_EACH);
    for question in ["list hive\n", "watch hive\n", "watch\n"] {
        let clients: Vec<usize> = (0..CLIENTS).map(|_| connect_roomy(&mut rig)).collect();
        let witness = rig.connect();
        for &client in &clients {
            rig.send(client, question.as_bytes());
        }
        let mut left = CLIENTS * OF_EACH;
        for turn in 0.. {
            assert!(turn < 100, "{question:?}: {left} are still to be told");
            rig.send(witness, b"ping\n");
            rig.turn();
            assert_eq!(rig.received(witness), "PONG\n", "in the same turn");
            assert_work_is_bounded(&mut rig);
            let told = clients.iter().map(|&client| rig.received(client));
            let told: usize = told.map(|text| text.matches("\"port\":").count()).sum();
            left -= told;
            let shared = question.starts_with("watch");
            // What several watchers need at the same moment is made once.
            assert!(told <= 4_100 || shared, "{question:?}: {told} in a turn");
            if left == 0 {
                break;
            }
        }
    }
}

#[test]
fn row_24_a_storm_during_a_sweep_leaves_a_part_of_each_turn_to_those_who_are_connected() {
    let mut rig = rig(None);
    let witness = rig.connect();
    // A sweep takes half of the turn meanwhile.
    let line = "register hive 10.0.0.1 80 ttl=1\n".repeat(500);
    for _ in 0..20 {
        rig.send(witness, line.as_bytes());
        rig.settle();
        rig.received(witness);
    }
    rig.now_ms += 1_000;
    for _ in 0..2_000 {
        rig.net.connect();
    }
    for _ in 0..3 {
        rig.send(witness, b"ping\n");
        rig.turn();
        assert_eq!(rig.received(witness), "PONG\n", "in the same turn");
        assert_work_is_bounded(&mut rig);
    }
    assert!(rig.net.has_backlog());
}

/// So many watchers, each with a whole snapshot, which show what they receive in the streams.
fn watch(rig: &mut Rig, count: usize) -> Vec<(usize, Stream, Vec<u8>)> {
    let watch = |rig: &mut Rig| {
        let client = rig.net.connect();
        rig.send(client, b"watch\n");
        rig.net.pipes[client].room = usize::MAX;
        (client, Stream::default(), Vec::new())
    };
    let mut watchers: Vec<_> = (0..count).map(|_| watch(rig)).collect();
    let is_whole = |(client, stream, received): &mut (usize, Stream, Vec<u8>), rig: &mut Rig| {
        received.extend(rig.net.take_all(*client));
        stream.read(received);
        stream.is_whole()
    };
    while !watchers.iter_mut().all(|watcher| is_whole(watcher, rig)) {
        rig.turn_lightly();
    }
    watchers
}

#[test]
fn a_turn_tells_a_bounded_number_of_watchers_and_leaves_nobody_out() {
    const WATCHERS: usize = 3_000;
    let mut rig = rig(None);
    let (client, witness) = (rig.connect(), rig.connect());
    let mut watchers = watch(&mut rig, WATCHERS);
    let mut waits = 0;
    let mut told_in_all = 0;
    for turn in 1..=170 {
        // Some come and go, one in each turn; and one watcher leaves, and another one comes.
        if turn <= 100 {
            let uuid = uuid(2 * turn);
            let lines = format!(
                "register hive 10.0.0.1 {turn} ttl=3600\nregister hive 10.0.0.2 {turn} ttl=3600\n\
                 deregister {uuid}\n"
            );
            rig.send(client, lines.as_bytes());
            let (gone, _, _) = watchers.swap_remove(turn as usize * 7);
            rig.net.reset(gone);
            let new = rig.net.connect();
            rig.net.pipes[new].room = usize::MAX;
            rig.send(new, b"watch\n");
            watchers.push((new, Stream::default(), Vec::new()));
        }
        if waits == 0 {
            rig.send(witness, b"ping\n");
        }
        rig.turn_lightly();
        assert_work_is_bounded(&mut rig);
        rig.received(client);
        waits = if rig.received(witness).is_empty() {
            waits + 1
        } else {
            0
        };
        assert!(waits < 4, "{waits} turns without an answer");
        let mut told = 0;
        for (client, stream, received) in &mut watchers {
            let bytes = rig.net.take_all(*client);
            told += usize::from(!bytes.is_empty());
            received.extend(bytes);
            stream.read(received);
        }
        // Those who were told in one turn are sent it in the next.
        assert!(told <= 360, "{told} watchers were told in a turn");
        told_in_all += told;
    }
    assert!(
        told_in_all > 3 * WATCHERS,
        "all were told several times: {told_in_all}"
    );
    let (_, first, _) = &watchers[0];
    assert_eq!(first.picture.len(), 100, "half of what came has gone");
    for (client, stream, _) in &watchers {
        assert!(stream.is_whole(), "watcher {client}");
        assert_eq!(stream.picture, first.picture, "watcher {client}");
    }
}
