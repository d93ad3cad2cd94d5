//! Faults that need an exact network or clock: deterministic scenarios, one a test.

use std::io::ErrorKind;
use std::time::Duration;

use discovery_service::engine::{Event, Readiness, Settings};
use discovery_service::limits::{
    FRAME_MS_MAX, LINE_MS_MAX, LINGER_MS_MAX, OUTPUT_STALL_MS_MAX, OUTPUT_WAITING_LEN_MAX,
    READ_LEN_MAX, TURN_SWEEP_MAX,
};

use crate::rig::{Rig, TICK_MS, TTL_MS, uuid};

#[test]
fn row_02_a_half_open_peer_is_closed_after_the_idle_time_from_its_last_completed_command() {
    let mut rig = Rig::with(Settings {
        connections_max: 100,
        idle_ms_max: Some(60_000),
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    });
    let client = rig.connect();
    rig.pass(50_000);
    assert_eq!(rig.ask(client, "query hive"), "[]\n");
    rig.pass(59_000);
    // An incomplete command and an empty line do not reset the idle timeout.
    rig.send(client, b"\n");
    rig.turn();
    rig.pass(999);
    assert!(!rig.is_closed(client));
    rig.pass(1);
    assert!(rig.is_closed(client));
    assert_eq!(rig.engine.connections(), 0);
    assert_eq!(rig.wait, None, "no timer is left");
}

#[test]
fn row_01_a_text_command_has_60_s_from_its_first_byte_and_a_frame_10_s_and_both_are_told_so() {
    let mut rig = Rig::new();
    let text: (&[u8], _) = (b"query", LINE_MS_MAX);
    for (begin, ms_max) in [text, (b"\0\x40{", FRAME_MS_MAX)] {
        let client = rig.connect();
        rig.pass(100_000);
        rig.send(client, begin);
        rig.turn();
        rig.pass(ms_max - 1);
        rig.send(client, b" hi");
        rig.turn();
        assert_eq!(rig.received(client), "");
        rig.pass(1);
        rig.settle();
        let told = String::from_utf8_lossy(&rig.net.pipes[client].received).into_owned();
        let seconds = format!("is not complete {} s after its first byte", ms_max / 1000);
        assert!(
            told.contains("ERROR") && told.contains(&seconds),
            "further bytes do not extend the limit: {told:?}"
        );
        rig.pass(LINGER_MS_MAX);
        assert!(rig.is_closed(client));
    }

    let client = rig.connect();
    rig.send(client, b"query hive\nquery");
    rig.settle();
    rig.pass(LINE_MS_MAX - 1);
    rig.send(client, b" hive\nq");
    rig.settle();
    rig.pass(LINE_MS_MAX - 1);
    assert_eq!(
        rig.received(client),
        "[]\n[]\n",
        "each command has its own 60 s"
    );
    rig.pass(1);
    rig.send(client, b"uery hive\n");
    rig.settle();
    assert_eq!(
        rig.received(client),
        "ERROR the line is not complete 60 s after its first byte\n",
        "what comes later is not run"
    );
}

#[test]
fn row_03_answers_that_make_no_progress_for_10_s_end_the_connection_and_slow_progress_does_not() {
    let mut rig = Rig::new();
    let client = rig.connect();
    rig.send(client, &b"heartbeat x\n".repeat(50_000));
    for _ in 0..400 {
        rig.turn();
    }
    assert!(
        rig.engine.waiting_len() <= OUTPUT_WAITING_LEN_MAX + READ_LEN_MAX,
        "further commands wait unread, and those that are read are bounded"
    );
    for _ in 0..5 {
        rig.pass(OUTPUT_STALL_MS_MAX - 1);
        rig.net.take(client, 1);
        rig.turn();
        assert!(!rig.is_closed(client));
    }
    rig.pass(OUTPUT_STALL_MS_MAX);
    assert!(rig.is_closed(client));
    assert_eq!(rig.engine.waiting_len(), 0);
}

#[test]
fn row_17_one_turn_runs_a_bounded_part_of_a_flood_and_everybody_else_is_served_in_it() {
    let mut rig = Rig::new();
    let (flood, other) = (rig.connect(), rig.connect());
    rig.send(flood, &b"heartbeat x\n".repeat(100_000));
    rig.send(other, b"query hive\n");
    rig.turn();
    assert_eq!(
        rig.received(other),
        "[]\n",
        "in the very turn in which the flood arrived"
    );
    assert_eq!(
        rig.wait,
        Some(Duration::ZERO),
        "and the flood is not forgotten"
    );
    let mut answers = String::new();
    while rig.wait == Some(Duration::ZERO) || !rig.net.is_quiet() {
        rig.turn();
        answers += &rig.received(flood);
    }
    assert_eq!(answers, "NOT FOUND\n".repeat(100_000));
}

#[test]
fn row_22_and_23_no_accept_error_ends_or_stalls_the_service() {
    for kind in [
        ErrorKind::ConnectionAborted,
        ErrorKind::PermissionDenied,
        ErrorKind::NetworkDown,
        ErrorKind::Other,
        ErrorKind::OutOfMemory,
        ErrorKind::Interrupted,
    ] {
        let mut rig = Rig::new();
        let old = rig.connect();
        // A few failures delay nobody.
        rig.net.accept_errors = [kind; 3].into();
        let client = rig.connect();
        assert_eq!(rig.ask(client, "query hive"), "[]\n", "{kind:?}");
        // Lasting failures are retried with pauses, and no event tells when they end.
        rig.net.accept_errors = std::iter::repeat_n(kind, 1_000).collect();
        let late = rig.net.connect();
        let before = rig.net.accepts;
        rig.turn();
        assert!(
            rig.net.accepts - before < 10,
            "{kind:?}: the listener retries without a pause"
        );
        rig.send(old, b"query hive\n");
        rig.turn();
        assert_eq!(
            rig.received(old),
            "[]\n",
            "{kind:?}: other clients are served"
        );
        let wait = rig.wait.expect("a timer is set");
        assert!(
            (Duration::from_millis(1)..=Duration::from_millis(100)).contains(&wait),
            "{kind:?}: {wait:?}"
        );
        rig.net.accept_errors.clear();
        rig.send(late, b"query hive\n");
        rig.pass(100);
        assert_eq!(rig.received(late), "[]\n", "{kind:?}");
    }
}

#[test]
fn row_25_a_place_that_comes_free_can_be_used_in_the_next_turn() {
    let mut rig = Rig::with(Settings {
        connections_max: 1,
        idle_ms_max: None,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    });
    let first = rig.connect();
    let refused = rig.connect();
    assert_eq!(rig.received(refused), "ERROR too many connections\n");
    assert!(rig.net.pipes[refused].shut);
    rig.net.pipes[first].client_ended = true;
    rig.net.deliver(first, 0);
    rig.settle();
    assert!(rig.is_closed(first));
    let next = rig.connect();
    assert_eq!(rig.ask(next, "query hive"), "[]\n");
    rig.pass(5_000);
    assert!(
        rig.is_closed(refused),
        "a refused connection lingers for a bounded time"
    );
}

#[test]
fn row_26_an_event_of_a_closed_connection_does_not_touch_the_one_that_got_its_token() {
    let mut rig = Rig::new();
    let old = rig.connect();
    let key = rig.net.pipes[old].key.expect("it was accepted");
    rig.net.reset(old);
    let new = rig.net.connect();
    // The reset, the new connection and a stale event of the old one come in one batch.
    let stale = Event::Session(
        key,
        Readiness {
            readable: true,
            writable: true,
            ended: true,
        },
    );
    let mut events = rig.net.events();
    events.extend([stale, stale]);
    rig.turn_with(events);
    assert!(rig.is_closed(old));
    rig.settle();
    let third = rig.connect();
    assert_eq!(
        rig.net.pipes[third].key,
        Some(key),
        "now the token is used again"
    );
    rig.turn_with(vec![stale]);
    for client in [new, third] {
        assert_eq!(
            rig.ask(client, "query hive"),
            "[]\n",
            "the stale event is ignored"
        );
    }
}

#[test]
fn row_27_false_and_doubled_events_change_nothing() {
    let mut rig = Rig::new();
    let client = rig.connect();
    let key = rig.net.pipes[client].key.expect("it was accepted");
    rig.send(client, b"register hive 10.0.0.1 1\nquery");
    let event = Event::Session(
        key,
        Readiness {
            readable: true,
            writable: true,
            ended: false,
        },
    );
    let nowhere = Event::Session(
        77,
        Readiness {
            readable: true,
            writable: true,
            ended: true,
        },
    );
    for _ in 0..10 {
        rig.turn_with(vec![
            event,
            event,
            nowhere,
            Event::Accept(0),
            Event::Accept(9),
        ]);
    }
    assert_eq!(rig.received(client), format!("{}\n", uuid(1)));
    assert_eq!(
        rig.ask(client, " hive"),
        "[{\"ip\":\"10.0.0.1\",\"port\":1}]\n"
    );
}

#[test]
fn row_31_late_missing_and_doubled_ticks_change_no_answer() {
    // The same requests with a turn every millisecond, every second, and only for each request.
    let life = |turn_every_ms: u64| {
        let mut rig = Rig::new();
        let client = rig.connect();
        let mut answers = rig.ask(client, "register hive 10.0.0.1 1");
        let first = uuid(1);
        for (pass, question) in [
            (20_000, format!("heartbeat {first}")),
            (1_000, "register hive 10.0.0.1 2".to_owned()),
            (28_999, "query hive".to_owned()),
            (1, "query hive".to_owned()),
            (999, "query hive".to_owned()),
            (1, "query hive".to_owned()),
            (0, format!("heartbeat {first}")),
        ] {
            let end = rig.now_ms + pass;
            while rig.now_ms + turn_every_ms <= end {
                rig.now_ms += turn_every_ms;
                rig.turn();
            }
            rig.now_ms = end;
            answers += &rig.ask(client, &question);
        }
        answers
    };
    let answers = life(1_000);
    assert!(answers.ends_with("[]\nNOT FOUND\n"), "{answers}");
    assert_eq!(life(1), answers);
    assert_eq!(life(1_999), answers);
}

#[test]
fn row_32_a_hundred_thousand_that_expire_together_go_in_slices_while_others_are_served() {
    const COUNT: usize = 100_000;
    let mut rig = Rig::new();
    let client = rig.connect();
    for _ in 0..COUNT / 1_000 {
        rig.send(client, &b"register hive 10.0.0.1 80\n".repeat(1_000));
        rig.settle();
        rig.received(client);
    }
    rig.pass(TTL_MS / 2);
    let alive = rig.ask(client, "register other 10.0.0.2 81");
    let (other, counting) = (rig.connect(), rig.connect());
    rig.pass(TTL_MS / 2 - 1);
    rig.now_ms += 1;
    let registrations = |rig: &Rig| rig.engine.handler().registry().len();
    let mut slices = 0;

    rig.send(client, b"query hive\n");
    rig.send(counting, b"stats\n");
    rig.send(other, format!("heartbeat {alive}").as_bytes());
    rig.turn();
    assert_eq!(
        rig.received(other),
        "OK\n",
        "others are served in the first turn"
    );
    assert_eq!(rig.received(client), "", "the query waits for the sweep");
    assert_eq!(
        rig.received(counting),
        "",
        "and so does the count of registrations"
    );
    while registrations(&rig) > 1 {
        let before = registrations(&rig);
        rig.turn();
        assert!(
            before - registrations(&rig) <= TURN_SWEEP_MAX,
            "a turn is bounded"
        );
        slices += 1;
        assert!(slices < 1_000);
    }
    rig.settle();
    assert_eq!(rig.received(client), "[]\n");
    let stats = rig.received(counting);
    assert!(stats.contains(r#""registrations":1,"types":1,"#), "{stats}");
    assert!(slices >= COUNT / TURN_SWEEP_MAX / 2, "{slices} slices");
}

#[test]
fn row_33_and_34_time_decides_and_not_the_order_of_events() {
    for (age, answer) in [
        (TTL_MS - 1, "OK\n"),
        (TTL_MS, "NOT FOUND\n"),
        (TTL_MS + 1, "NOT FOUND\n"),
    ] {
        for client_first in [true, false] {
            let mut rig = Rig::new();
            let (owner, asker) = (rig.connect(), rig.connect());
            rig.ask(owner, "register hive 10.0.0.1 1");
            // The heartbeat and a query of another client arrive in the turn in which it expires.
            let line = format!("heartbeat {}\n", uuid(1));
            rig.pass(age - 1);
            rig.now_ms += 1;
            rig.send(owner, line.as_bytes());
            rig.send(asker, b"query hive\n");
            let mut events = rig.net.events();
            events.sort_by_key(|event| match event {
                Event::Session(key, _) => (*key == 0) != client_first,
                _ => true,
            });
            rig.turn_with(events);
            rig.settle();
            assert_eq!(rig.received(owner), answer, "age {age}");
            let live = rig.received(asker) != "[]\n";
            assert_eq!(live, answer == "OK\n", "age {age}");
        }
    }
}

#[test]
fn row_39_a_stopped_service_answers_what_has_arrived_and_ends_by_its_deadline() {
    let mut rig = Rig::new();
    let (polite, deaf) = (rig.connect(), rig.connect());
    rig.send(deaf, &b"query hive\n".repeat(50_000));
    rig.turn();
    rig.send(polite, &b"heartbeat x\n".repeat(1_000));
    rig.engine.stop(&mut rig.net);
    let mut answers = String::new();
    for _ in 0..50 {
        rig.turn();
        answers += &rig.received(polite);
    }
    assert_eq!(answers, "NOT FOUND\n".repeat(1_000));
    assert!(rig.net.pipes[polite].shut);
    rig.pass(1_999);
    assert!(!rig.engine.is_stopped(), "who reads slowly has 2 s");
    rig.pass(1);
    assert!(
        rig.engine.is_stopped(),
        "who does not read is not waited for longer"
    );
}

#[test]
fn row_03_who_is_given_up_is_reset_and_who_ends_normally_is_not() {
    let mut rig = Rig::with(Settings {
        connections_max: 4,
        idle_ms_max: Some(5_000),
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    });
    let (deaf, idle, quits, ends) = (rig.connect(), rig.connect(), rig.connect(), rig.connect());
    let refused = rig.connect();
    assert_eq!(rig.ask(quits, "ping\nquit"), "PONG\n");
    rig.net.pipes[ends].client_ended = true;
    assert_eq!(rig.ask(ends, "ping"), "PONG\n");
    rig.send(deaf, &b"heartbeat x\n".repeat(50_000));
    rig.turn();
    rig.pass(2 * OUTPUT_STALL_MS_MAX);
    for (client, cut_off) in [
        (deaf, true),
        (idle, false),
        (quits, false),
        (ends, false),
        (refused, false),
    ] {
        assert!(rig.is_closed(client), "client {client}");
        assert_eq!(rig.net.pipes[client].cut_off, cut_off, "client {client}");
    }
    // The end of the process.
    let (deaf, polite) = (rig.connect(), rig.connect());
    assert_eq!(rig.ask(polite, "ping"), "PONG\n");
    rig.send(deaf, &b"heartbeat x\n".repeat(50_000));
    for _ in 0..400 {
        rig.turn();
    }
    let Rig {
        engine, mut net, ..
    } = rig;
    engine.end(&mut net);
    assert!(net.pipes[deaf].cut_off && net.pipes[polite].closed);
    assert!(!net.pipes[polite].cut_off);
}
