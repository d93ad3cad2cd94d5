//! No client can starve another, and no turn is long: one scenario each, without chance.

use std::time::Duration;

use discovery_service::engine::Settings;
use discovery_service::limits::TURN_WORK_MAX;

use crate::rig::{Rig, TICK_MS, TTL_MS};

/// The last visit of a turn may pass its work by its own share.
const OVERSHOOT: u32 = 1_300;

fn rig() -> Rig {
    Rig::with(Settings {
        connections_max: 2_000,
        idle_ms_max: None,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    })
}

/// Takes turns, a millisecond each, until the client has an answer. Returns how many.
fn turns_until_answered(rig: &mut Rig, client: usize, mut between: impl FnMut(&mut Rig)) -> u32 {
    for turns in 1..=1_000 {
        rig.now_ms += 1;
        rig.turn();
        between(rig);
        if !rig.received(client).is_empty() {
            return turns;
        }
    }
    panic!("no answer in 1,000 turns");
}

#[test]
fn a_client_that_asks_now_and_then_is_answered_in_the_next_turn_whatever_three_hundred_others_send()
{
    let mut rig = rig();
    let polite = rig.connect();
    let floods: Vec<usize> = (0..300).map(|_| rig.connect()).collect();
    for &flood in &floods {
        rig.send(flood, &b"stats\n".repeat(2_000));
    }
    let check_and_read = |rig: &mut Rig| {
        let spent = rig.engine.work_spent();
        assert!(
            spent <= TURN_WORK_MAX + OVERSHOOT,
            "a turn of {spent} units"
        );
        for &flood in &floods {
            rig.received(flood);
        }
    };
    // At first nobody knows who asks much: each of the three hundred is served a little.
    rig.send(polite, b"ping\n");
    let turns = turns_until_answered(&mut rig, polite, check_and_read);
    assert!(turns <= 8, "the first answer came after {turns} turns");
    // Until they have as many answers pending as may be, and wait for room again and again.
    for _ in 0..150 {
        rig.now_ms += 1;
        rig.turn();
        check_and_read(&mut rig);
    }
    for _ in 0..100 {
        rig.send(polite, b"ping\nquery small\n");
        let turns = turns_until_answered(&mut rig, polite, check_and_read);
        assert!(turns <= 2, "answered after {turns} turns");
    }
}

#[test]
fn the_sweep_keeps_up_with_whatever_is_let_in() {
    let mut rig = rig();
    let other = rig.connect();
    let floods: Vec<usize> = (0..4).map(|_| rig.connect()).collect();
    rig.ask(other, "register small 10.0.0.2 2 ttl=3600");
    let mut largest = 0;
    for round in 0..400 {
        for &flood in &floods {
            rig.send(flood, &b"register f 10.0.0.1 80 ttl=1\n".repeat(300));
        }
        if round % 20 == 0 {
            rig.send(other, b"query small\n");
            let turns = turns_until_answered(&mut rig, other, |rig| {
                for &flood in &floods {
                    rig.received(flood);
                }
            });
            assert!(turns <= 2, "answered after {turns} turns");
        }
        rig.now_ms += 10;
        rig.turn();
        for &flood in &floods {
            rig.received(flood);
        }
        largest = largest.max(rig.engine.handler().registry().len());
    }
    // What is let in lives for a second; more would be what the sweep has not reached.
    assert!(largest < 200_000, "{largest} registrations");
    for &flood in &floods {
        rig.net.reset(flood);
    }
    rig.pass(3_000);
    assert_eq!(rig.engine.handler().registry().len(), 1);
}

#[test]
fn a_client_that_asks_now_and_then_is_answered_soon_whatever_a_thousand_others_ask_for_at_length() {
    let mut rig = rig();
    let (polite, changer) = (rig.connect(), rig.connect());
    // One answer about it is more than answers may look at in one turn.
    for _ in 0..6 {
        rig.ask(changer, &"register large 10.0.0.1 80\n".repeat(1_000));
    }
    let curious: Vec<usize> = (0..1_000).map(|_| rig.connect()).collect();
    let mut ports = 1..;
    let mut go_on = |rig: &mut Rig| {
        let port: u16 = ports.next().expect("there are enough");
        // Each change makes what was built useless.
        let change = format!("register large 10.0.0.2 {port} replace\n");
        rig.send(changer, change.as_bytes());
        rig.received(changer);
        for &curious in &curious {
            if !rig.received(curious).is_empty() {
                rig.send(curious, b"query large\n");
            }
        }
    };
    for &curious in &curious {
        rig.send(curious, b"query large\n");
    }
    for turn in 0..100 {
        if turn % 20 == 0 {
            rig.send(polite, b"ping\n");
            let turns = turns_until_answered(&mut rig, polite, &mut go_on);
            // At first all of them have something to do for the first time.
            assert!(turns <= 40, "the answer in turn {turn} came after {turns}");
        }
        rig.now_ms += 1;
        rig.turn();
        go_on(&mut rig);
    }
}

#[test]
fn a_client_that_asks_now_and_then_is_answered_in_the_next_turn_however_much_two_hundred_others_read()
 {
    const WRITTEN_MAX: usize = 4 * 1024 * 1024;
    let mut rig = rig();
    let polite = rig.connect();
    for _ in 0..2 {
        rig.ask(polite, &"register large 10.0.0.1 80\n".repeat(1_000));
    }
    let greedy: Vec<usize> = (0..200).map(|_| rig.connect()).collect();
    for &greedy in &greedy {
        // A turn can send it more than it may; it is written until there is no room.
        rig.net.pipes[greedy].room = 200 * 1024;
        rig.net.pipes[greedy].window = usize::MAX;
        rig.send(greedy, &b"query large\n".repeat(1_000));
    }
    let check_and_read = |rig: &mut Rig| {
        let read = greedy.iter().map(|&greedy| rig.received(greedy).len());
        let written: usize = read.sum();
        assert!(written <= WRITTEN_MAX, "{written} bytes in a turn");
    };
    // Until it is known who reads much.
    for _ in 0..60 {
        rig.now_ms += 1;
        rig.turn();
        check_and_read(&mut rig);
    }
    for _ in 0..20 {
        rig.send(polite, b"ping\nquery small\n");
        let turns = turns_until_answered(&mut rig, polite, check_and_read);
        assert!(turns <= 2, "answered after {turns} turns");
    }
}

#[test]
fn a_query_of_a_small_type_waits_for_no_holders_of_others_that_have_ended() {
    let mut rig = rig();
    let other = rig.connect();
    rig.ask(other, "register small 10.0.0.1 80");
    let holders: Vec<usize> = (0..20).map(|_| rig.connect()).collect();
    for &holder in &holders {
        rig.ask(holder, "hold small 10.0.0.2 80");
        rig.ask(holder, &"hold large 10.0.0.2 80\n".repeat(1_000));
    }
    for &holder in &holders {
        rig.net.reset(holder);
    }
    // This turn reaps the holders, and can remove a part of what they have left.
    rig.turn();
    rig.send(other, b"query small\nlist small\n");
    rig.turn();
    let answer = rig.received(other);
    assert_eq!(answer.matches("\"ip\":\"10.0.0.1\"").count(), 2, "{answer}");
    assert!(!answer.contains("10.0.0.2"), "what was left is not live");
    assert!(rig.engine.handler().registry().len() > 1_000);
    rig.settle();
    assert_eq!(rig.engine.handler().registry().len(), 1);
}

#[test]
fn the_end_of_a_holder_that_sent_much_is_noticed_before_what_comes_behind_it_is_answered() {
    const HOLDS: usize = 1_000;
    let mut rig = rig();
    let (other, holder) = (rig.connect(), rig.connect());
    rig.send(holder, &b"hold h 10.0.0.1 80\n".repeat(HOLDS));
    while rig.engine.handler().registry().len() < HOLDS {
        rig.turn();
    }
    rig.net.reset(holder);
    let mut events = rig.net.events();
    rig.send(other, b"query h\n");
    events.extend(rig.net.events());
    rig.turn_with(events);
    rig.turn();
    assert_eq!(rig.received(other), "[]\n");
}

#[test]
fn a_client_that_asks_now_and_then_is_answered_soon_while_a_thousand_are_sent_a_snapshot() {
    let mut rig = rig();
    let (polite, filler) = (rig.connect(), rig.connect());
    for _ in 0..3 {
        rig.ask(filler, &"register big 10.0.0.1 80 ttl=3600\n".repeat(500));
    }
    let parts = rig.ask(filler, "watch big").lines().count();
    assert!(parts > 1, "the snapshot has several parts");
    let watchers: Vec<usize> = (0..1_500).map(|_| rig.net.connect()).collect();
    for &watcher in &watchers {
        rig.net.pipes[watcher].room = 200 * 1024;
        rig.net.pipes[watcher].window = usize::MAX;
    }
    rig.settle();
    for &watcher in &watchers {
        rig.send(watcher, b"watch big\n");
    }
    let (mut told, mut worst) = (0, 0);
    while told < parts * watchers.len() {
        rig.send(polite, b"ping\n");
        let turns = turns_until_answered(&mut rig, polite, |rig| {
            for &watcher in &watchers {
                told += rig
                    .net
                    .take_all(watcher)
                    .iter()
                    .filter(|&&b| b == b'\n')
                    .count();
            }
        });
        worst = worst.max(turns);
    }
    assert!(worst <= 4, "answered after {worst} turns");
}
