//! The bounds on what all connections together keep: who does not fit waits, and nobody is closed whose
//! closing does not help.

use std::time::Duration;

use discovery_service::engine::Settings;
use discovery_service::limits::{
    OUTPUT_STALL_MS_MAX, OUTPUT_WAITING_LEN_MAX, PART_LEN_MAX, WAITING_ADMIT_LEN_MAX,
    WAITING_LEN_MAX,
};

use crate::rig::{Rig, TICK_MS, TTL_MS};

fn rig() -> Rig {
    Rig::with(Settings {
        connections_max: 10_000,
        idle_ms_max: None,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    })
}

/// Registers so many services of the type.
fn fill(rig: &mut Rig, service_type: &str, services: usize) {
    let client = rig.connect();
    let line = format!("register {service_type} 10.0.0.1 80 ttl=86400\n");
    rig.send(client, line.repeat(services).as_bytes());
    rig.settle();
    rig.received(client);
}

/// Takes turns until the service has nothing to do, without reading for anybody.
fn rest(rig: &mut Rig) {
    let mut idle_turns = 0;
    for turn in 0..20_000 {
        rig.turn_lightly();
        assert!(rig.engine.waiting_len() <= WAITING_LEN_MAX);
        let is_idle = rig.wait != Some(Duration::ZERO);
        idle_turns = if is_idle { idle_turns + 1 } else { 0 };
        // What the last turn has caused comes as an event of the next.
        if idle_turns == 2 {
            return;
        }
        assert!(turn < 19_999, "the service does not come to rest");
    }
}

/// Clients that ask for a list and do not read it.
fn deaf(rig: &mut Rig, clients: usize) -> Vec<usize> {
    let clients: Vec<usize> = (0..clients).map(|_| rig.net.connect()).collect();
    rig.turn();
    for &client in &clients {
        rig.send(client, b"list\n");
    }
    rest(rig);
    clients
}

#[test]
fn row_18_a_long_answer_that_does_not_fit_waits_its_turn_and_short_ones_go_on() {
    let mut rig = rig();
    fill(&mut rig, "big", 1_000);
    let (watcher, asker) = (rig.connect(), rig.connect());
    let (of_small, of_big) = (rig.connect(), rig.connect());
    let holding = rig.ask(watcher, "hold small 10.0.0.1 80");
    let deaf = deaf(&mut rig, 5 * WAITING_ADMIT_LEN_MAX / PART_LEN_MAX / 2);
    let full = rig.engine.waiting_len();
    assert!(full <= WAITING_ADMIT_LEN_MAX + PART_LEN_MAX && full > WAITING_ADMIT_LEN_MAX / 2);
    assert_ne!(rig.wait, Some(Duration::ZERO), "who waits costs no turn");
    rig.send(asker, b"list\n");
    rig.send(watcher, b"ping\nquery small\n");
    rig.send(of_small, b"watch small\n");
    rig.send(of_big, b"watch big\n");
    rest(&mut rig);
    let small = "PONG\n[{\"ip\":\"10.0.0.1\",\"port\":80}]\n";
    assert_eq!(rig.received(watcher), small, "short answers need no room");
    assert_eq!(rig.received(asker), "", "there is no room for it");
    let told = rig.received(of_small);
    assert!(
        told.contains(r#""port":80"#) && !told.contains("part"),
        "a short snapshot needs no room either: {told}"
    );
    assert_eq!(rig.received(of_big), "", "a long one does");
    // One reads its answer, and makes room for those that have waited longest, not for the last.
    rig.net.take(deaf[0], usize::MAX);
    rest(&mut rig);
    assert_eq!(rig.received(asker), "");
    // When the others read, the last has its answer.
    for _ in 0..4 {
        deaf.iter()
            .for_each(|&client| rig.net.take(client, usize::MAX));
        rest(&mut rig);
    }
    rig.settle();
    assert!(rig.received(asker).ends_with("]\n"));
    assert!(
        deaf.iter().all(|&client| !rig.is_closed(client)),
        "nobody is closed"
    );
    assert_eq!(
        rig.ask(watcher, &format!("heartbeat {}", holding.trim())),
        "OK\n"
    );
}

#[test]
fn readers_that_take_a_byte_now_and_then_do_not_keep_long_answers_from_others_for_ever() {
    let mut rig = rig();
    fill(&mut rig, "big", 1_000);
    let (holder, asker) = (rig.connect(), rig.connect());
    rig.ask(holder, "hold small 10.0.0.1 80");
    let slow = deaf(&mut rig, 5 * WAITING_ADMIT_LEN_MAX / PART_LEN_MAX / 2);
    rig.send(asker, b"list\n");
    for _ in 0..2 {
        rig.pass(OUTPUT_STALL_MS_MAX - 1_000);
        slow.iter().for_each(|&client| rig.net.take(client, 1));
        rest(&mut rig);
    }
    rig.settle();
    assert!(rig.received(asker).ends_with("]\n"));
    assert!(!rig.is_closed(holder), "its closing does not help");
    let closed = slow.iter().filter(|&&client| rig.is_closed(client)).count();
    assert!(closed > 0 && closed < slow.len(), "those that began last");
    assert!(
        !rig.is_closed(slow[0]),
        "the first has the most of its answer"
    );
}

#[test]
fn pending_lines_and_unread_commands_count() {
    let mut rig = rig();
    let client = rig.connect();
    let watchers: Vec<usize> = (0..1_000).map(|_| rig.connect()).collect();
    for &watcher in &watchers {
        rig.send(watcher, b"watch\n");
    }
    rig.settle();
    watchers
        .iter()
        .for_each(|&watcher| drop(rig.received(watcher)));
    // The network keeps some of the lines; what the service keeps is one text and a place in each list.
    let lines = 300;
    for port in 1..=lines {
        rig.send(
            client,
            format!("register a 10.0.0.1 {port} ttl=86400\n").as_bytes(),
        );
        rig.turn();
        rig.turn();
        rig.received(client);
    }
    let counted = rig.engine.waiting_len();
    assert!(
        counted >= watchers.len() * (lines / 2) * size_of::<usize>(),
        "{counted}"
    );
    // A client that sends and does not read keeps its commands unread at the service.
    let mut rig = Rig::new();
    let deaf = rig.connect();
    rig.send(deaf, &b"help\n".repeat(5_000));
    rest(&mut rig);
    assert!(rig.engine.waiting_len() > OUTPUT_WAITING_LEN_MAX);
}

#[test]
fn a_flood_of_short_answers_that_nobody_reads_stays_within_the_bound_and_closes_no_holder() {
    let mut rig = rig();
    let holders: Vec<usize> = (0..100).map(|_| rig.connect()).collect();
    for &holder in &holders {
        rig.ask(holder, "hold small 10.0.0.1 80");
    }
    let deaf: Vec<usize> = (0..3_000).map(|_| rig.net.connect()).collect();
    rig.turn();
    for &client in &deaf {
        rig.send(client, &b"help\n".repeat(1_000));
    }
    rest(&mut rig);
    assert!(
        rig.engine.waiting_len() > WAITING_ADMIT_LEN_MAX - PART_LEN_MAX,
        "the bound binds"
    );
    assert!(holders.iter().all(|&holder| !rig.is_closed(holder)));
    assert!(
        deaf.iter().all(|&client| !rig.is_closed(client)),
        "they wait"
    );
    assert_eq!(rig.ask_once(holders[0], "ping"), "PONG\n");
}

#[test]
fn framed_answers_that_fill_the_room_together_are_collected_one_after_the_other_and_all_come_whole()
{
    let mut rig = rig();
    for _ in 0..8 {
        fill(&mut rig, "big", 1_000);
    }
    let content = r#"{"action":"list"}"#;
    let header = format!(
        r#"{{"byteorder":"little","content-type":"text/json","content-encoding":"utf-8","content-length":{}}}"#,
        content.len()
    );
    let mut frame = (header.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(format!("{header}{content}").as_bytes());
    let clients: Vec<usize> = (0..40).map(|_| rig.net.connect()).collect();
    for &client in &clients {
        // Some buffers of the network are so small that a whole answer takes thousands of turns.
        rig.net.pipes[client].window = 4096;
        rig.net.pipes[client].room = 4096;
    }
    rig.turn();
    let gone = clients[3];
    for &client in &clients {
        rig.send(client, &frame);
    }
    rig.turn();
    rig.net.reset(gone);
    let mut answers = vec![0; clients.len()];
    for _ in 0..2_000 {
        rig.turn_lightly();
        assert!(rig.engine.waiting_len() <= WAITING_ADMIT_LEN_MAX);
        for (&client, answer) in clients.iter().zip(&mut answers) {
            *answer += rig.received(client).len();
        }
    }
    let whole = answers.iter().filter(|&&len| len > 900_000).count();
    assert_eq!(whole, clients.len() - 1, "{answers:?}");
}
