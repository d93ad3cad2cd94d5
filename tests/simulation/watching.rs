//! Holding and watching: deterministic scenarios, one a test.

use std::time::Duration;

use discovery_service::engine::Settings;
use discovery_service::limits::{
    HOLDS_MAX, LINE_MS_MAX, LINGER_MS_MAX, OUTPUT_STALL_MS_MAX, OUTPUT_WAITING_LEN_MAX,
    PART_LEN_MAX, TURN_WORK_MAX, WATCH_SILENCE_MS,
};
use discovery_service::message::Id;

use crate::model::Picture;
use crate::rig::{Rig, TICK_MS, TTL_MS, uuid};
use crate::stream::Stream;

fn patient_rig(idle_ms_max: Option<u64>) -> Rig {
    let (tick, ttl) = (
        Duration::from_millis(TICK_MS),
        Duration::from_millis(TTL_MS),
    );
    Rig::with(Settings {
        connections_max: 1_000,
        idle_ms_max,
        tick,
        ttl,
    })
}

/// A registration in a line, that with the `number`-th UUID.
fn object(number: u64, service_type: &str, ip: &str, port: u16) -> String {
    let id = Id::of(&uuid(number));
    format!(r#"{{"id":"{id}","type":"{service_type}","ip":"{ip}","port":{port}}}"#)
}

fn registrations(rig: &Rig) -> usize {
    rig.engine.handler().registry().len()
}

#[test]
fn row_49_a_holder_that_ends_or_breaks_is_gone_in_the_same_turn_and_a_dark_one_is_asked_for_within_the_ttl()
 {
    let mut rig = Rig::new();
    let (ending, breaking, asker, watcher) =
        (rig.connect(), rig.connect(), rig.connect(), rig.connect());
    for client in [ending, breaking] {
        let held = rig.ask(client, "hold hive 10.0.0.1 80");
        assert_eq!(held.len(), 37, "{held}");
        assert_eq!(
            rig.net.pipes[client].guarded,
            Some(Duration::from_millis(TTL_MS))
        );
    }
    rig.ask(watcher, "watch hive");
    assert_eq!(registrations(&rig), 2);
    rig.net.pipes[ending].client_ended = true;
    rig.net.deliver(ending, 0);
    rig.turn();
    assert_eq!(registrations(&rig), 1, "in the turn of its end");
    rig.net.reset(breaking);
    rig.turn();
    assert_eq!(registrations(&rig), 0, "in the turn of its reset");
    assert_eq!(
        rig.wait,
        Some(Duration::ZERO),
        "the watcher is sent the removal at once"
    );
    rig.turn();
    let told = rig.received(watcher);
    let down = |number| {
        let service = object(number, "hive", "10.0.0.1", 80);
        let removal = service.replace('}', r#","reason":"connection closed"}"#);
        format!(r#""up":[],"down":[{removal}]}}"#)
    };
    assert_eq!(
        told,
        format!("{{\"index\":3,{}\n{{\"index\":4,{}\n", down(1), down(2))
    );
    assert_eq!(rig.ask(asker, "query hive"), "[]\n");
    let why = rig.ask(asker, &format!("why {}", uuid(1)));
    assert!(why.contains(r#""reason":"connection closed""#), "{why}");
}

#[test]
fn a_holder_is_not_dropped_for_being_silent() {
    let mut rig = patient_rig(Some(5_000));
    let (silent, idle) = (rig.connect(), rig.connect());
    rig.ask(silent, "hold hive 10.0.0.1 80");
    rig.ask(silent, "hold hive 10.0.0.2 80");
    rig.pass(600_000);
    assert!(!rig.is_closed(silent));
    assert!(
        rig.is_closed(idle),
        "an idle session without a hold is closed"
    );
    assert_eq!(registrations(&rig), 2);
    assert_eq!(rig.ask(silent, "query hive").matches("10.0.0").count(), 2);
    // The limit for completing a command still applies.
    rig.send(silent, b"quer");
    rig.turn();
    rig.pass(LINE_MS_MAX);
    rig.settle();
    assert_eq!(registrations(&rig), 0);
    assert!(rig.received(silent).starts_with("ERROR "), "it is told so");
    rig.pass(LINGER_MS_MAX);
    assert!(rig.is_closed(silent));
}

#[test]
fn answers_that_make_no_progress_for_10_s_end_a_holder_and_a_watcher_too() {
    let mut rig = patient_rig(None);
    let (client, holder, watcher) = (rig.connect(), rig.connect(), rig.connect());
    rig.ask(holder, "hold hive 10.0.0.1 80");
    rig.ask(watcher, "watch hive");
    for deaf in [holder, watcher] {
        rig.send(deaf, &b"nonsense\n".repeat(50_000));
    }
    for _ in 0..400 {
        rig.turn();
    }
    rig.pass(OUTPUT_STALL_MS_MAX - 1);
    rig.net.take(holder, 1);
    rig.turn();
    assert!(!rig.is_closed(holder) && !rig.is_closed(watcher));
    rig.pass(1);
    assert!(rig.is_closed(watcher));
    rig.pass(OUTPUT_STALL_MS_MAX - 2);
    assert!(!rig.is_closed(holder), "slow progress is progress");
    rig.pass(1);
    assert!(rig.is_closed(holder));
    assert_eq!(rig.engine.waiting_len(), 0);
    assert_eq!(rig.ask(client, "query hive"), "[]\n");
}

#[test]
fn a_watcher_may_leave_its_updates_unread_but_not_the_answer_behind_them() {
    let mut rig = patient_rig(None);
    let (client, watcher) = (rig.connect(), rig.connect());
    rig.ask(watcher, "watch hive");
    rig.net.pipes[watcher].received.clear();
    let before = rig.engine.waiting_len();
    while rig.engine.waiting_len() == before {
        rig.send(client, b"register hive 10.0.0.1 80 ttl=86400\n");
        rig.turn();
        rig.turn();
        rig.received(client);
    }
    rig.pass(10 * OUTPUT_STALL_MS_MAX);
    assert!(!rig.is_closed(watcher), "updates are no answers");
    rig.send(watcher, b"ping\n");
    rig.turn();
    rig.pass(OUTPUT_STALL_MS_MAX - 1);
    assert!(!rig.is_closed(watcher), "the time counts from the answer");
    rig.pass(1);
    assert!(rig.is_closed(watcher));
}

#[test]
fn holds_live_and_die_with_their_connection_alone() {
    let mut rig = Rig::new();
    let (holder, other) = (rig.connect(), rig.connect());
    rig.ask(holder, "hold hive 10.0.0.1 80");
    rig.ask(holder, "hold hive 10.0.0.2 80");
    rig.ask(holder, "register hive 10.0.0.3 80");
    assert_eq!(
        rig.ask(other, &format!("deregister {}", uuid(1))),
        "OK\n",
        "any peer that knows the UUID may"
    );
    assert_eq!(
        rig.ask(holder, &format!("heartbeat {}", uuid(1))),
        "NOT FOUND\n"
    );
    assert_eq!(
        rig.ask(holder, &format!("heartbeat {}", uuid(2))),
        "OK\n",
        "a heartbeat of a held registration is harmless"
    );
    // Re-registered under the same UUID without a hold, it survives the connection.
    assert_eq!(
        rig.ask(other, &format!("heartbeat {} hive 10.0.0.1 80", uuid(1))),
        "OK\n"
    );
    rig.net.reset(holder);
    rig.turn();
    assert_eq!(rig.ask(other, "query hive").matches("10.0.0").count(), 2);
    assert!(!rig.ask(other, "query hive").contains("10.0.0.2"));
    rig.pass(TTL_MS);
    assert_eq!(rig.ask(other, "query hive"), "[]\n");
}

#[test]
fn a_connection_holds_a_bounded_number_and_many_that_die_at_once_go_in_bounded_turns() {
    let mut rig = patient_rig(None);
    let holders: Vec<usize> = (0..10).map(|_| rig.connect()).collect();
    let asker = rig.connect();
    for &holder in &holders {
        rig.send(holder, &b"hold hive 10.0.0.1 80\n".repeat(HOLDS_MAX + 1));
        rig.settle();
        let answers = rig.received(holder);
        assert_eq!(answers.lines().count(), HOLDS_MAX + 1);
        assert_eq!(
            answers.lines().last(),
            Some("ERROR too many holds on one connection: open another")
        );
    }
    assert_eq!(registrations(&rig), 10 * HOLDS_MAX);
    for &holder in &holders {
        rig.net.reset(holder);
    }
    rig.send(asker, b"query hive\nping\n");
    let mut turns = 0;
    while registrations(&rig) > 0 {
        let before = registrations(&rig);
        rig.turn();
        assert!(before - registrations(&rig) <= 2_048);
        turns += 1;
        assert!(turns <= 6, "a turn uses its whole budget");
    }
    rig.settle();
    assert_eq!(
        rig.received(asker),
        "[]\nPONG\n",
        "a query waits until the removals are done"
    );
}

#[test]
fn a_registration_whose_holder_has_ended_is_not_live_even_before_it_is_removed() {
    let mut rig = patient_rig(None);
    let holders: Vec<usize> = (0..10).map(|_| rig.connect()).collect();
    let asker = rig.connect();
    let mut held = String::new();
    for &holder in &holders {
        rig.send(holder, &b"hold hive 10.0.0.1 80\n".repeat(HOLDS_MAX));
        rig.settle();
        held += &rig.received(holder);
    }
    for &holder in &holders {
        rig.net.reset(holder);
    }
    rig.turn();
    assert!(registrations(&rig) > HOLDS_MAX, "they go in several turns");
    // One turn runs a bounded part of the commands of a connection, so there are many of both.
    let askers: Vec<usize> = (0..50).map(|_| rig.net.connect()).collect();
    let held: Vec<&str> = held.lines().collect();
    let mut expected = String::new();
    for (first, &asker) in askers.iter().enumerate() {
        // Those who are served first ask for what every holder has left.
        for (kind, uuid) in held.iter().skip(first).step_by(askers.len()).enumerate() {
            let (line, answer) = match kind % 3 {
                0 => (format!("heartbeat {uuid}\n"), "NOT FOUND\n"),
                1 => (format!("deregister {uuid}\n"), "NOT FOUND\n"),
                _ => (format!("heartbeat {uuid} hive 10.0.0.2 81\n"), "OK\n"),
            };
            rig.send(asker, line.as_bytes());
            expected += answer;
        }
    }
    rig.settle();
    let answers: String = askers.iter().map(|&asker| rig.received(asker)).collect();
    assert!(answers == expected, "a registration without a holder lives");
    // What was registered again stays.
    let found = rig.ask(asker, "query hive");
    assert_eq!(
        found.matches("10.0.0.2").count(),
        expected.matches("OK").count()
    );
    assert!(!found.contains("10.0.0.1"));
}

#[test]
fn the_changes_of_a_turn_are_one_line_and_only_who_watches_the_type_is_told() {
    let mut rig = Rig::new();
    let (of_hive, of_all, of_other, client) =
        (rig.connect(), rig.connect(), rig.connect(), rig.connect());
    assert_eq!(
        rig.ask(of_hive, "watch hive"),
        "{\"index\":0,\"services\":[]}\n"
    );
    assert_eq!(rig.ask(of_all, "watch"), "{\"index\":0,\"services\":[]}\n");
    assert_eq!(
        rig.ask(of_other, "watch other"),
        "{\"index\":0,\"services\":[]}\n"
    );
    let lines = format!(
        "register hive 10.0.0.1 80\nregister b 10.0.0.2 81\nregister hive ::1 82\nderegister {}\n",
        uuid(1)
    );
    rig.ask(client, lines.trim_end());
    let up = object(3, "hive", "::1", 82);
    assert_eq!(
        rig.received(of_hive),
        format!("{{\"index\":4,\"up\":[{up}],\"down\":[]}}\n")
    );
    let other = object(2, "b", "10.0.0.2", 81);
    assert_eq!(
        rig.received(of_all),
        format!("{{\"index\":4,\"up\":[{other},{up}],\"down\":[]}}\n")
    );
    assert_eq!(rig.received(of_other), "");
    rig.ask(
        client,
        &format!("register hive ::1 82 replace\nheartbeat {}", uuid(3)),
    );
    let replaced = up.replace('}', r#","reason":"replaced"}"#);
    let up = object(4, "hive", "::1", 82);
    assert_eq!(
        rig.received(of_hive),
        format!("{{\"index\":6,\"up\":[{up}],\"down\":[{replaced}]}}\n")
    );
}

#[test]
fn a_watcher_is_told_of_silence_and_may_be_silent_itself() {
    let mut rig = patient_rig(Some(2_000));
    let (watcher, client) = (rig.connect(), rig.connect());
    rig.ask(client, "register hive 10.0.0.1 80 ttl=3600");
    rig.ask(watcher, "watch other");
    rig.pass(WATCH_SILENCE_MS - 1);
    assert_eq!(rig.received(watcher), "");
    rig.pass(1);
    rig.settle();
    assert_eq!(rig.received(watcher), "{\"index\":1}\n");
    rig.pass(10 * WATCH_SILENCE_MS);
    rig.settle();
    assert_eq!(rig.received(watcher), "{\"index\":1}\n".repeat(10));
    assert!(!rig.is_closed(watcher) && rig.is_closed(client));
    for (line, answer) in [
        ("ping", "PONG\n"),
        (
            "query hive",
            "ERROR a watching connection takes ping and quit only\n",
        ),
        (
            "watch hive",
            "ERROR a watching connection takes ping and quit only\n",
        ),
        (
            "nonsense",
            "ERROR unknown command: help lists the commands\n",
        ),
        ("quit", ""),
    ] {
        assert_eq!(rig.ask(watcher, line), answer);
    }
    assert!(rig.net.pipes[watcher].shut);
}

/// Found by a long run of the simulator.
#[test]
fn an_index_alone_never_stands_before_the_change_that_it_counts() {
    let mut rig = Rig::new();
    let (watcher, client) = (rig.connect(), rig.connect());
    rig.ask(watcher, "watch hive");
    rig.pass(WATCH_SILENCE_MS - 1);
    rig.now_ms += 1;
    rig.send(client, b"register hive 10.0.0.1 80\n");
    rig.settle();
    let up = object(1, "hive", "10.0.0.1", 80);
    let change = format!(r#"{{"index":1,"up":[{up}],"down":[]}}"#);
    assert_eq!(rig.received(watcher), format!("{change}\n"));
    rig.pass(WATCH_SILENCE_MS);
    rig.settle();
    assert_eq!(
        rig.received(watcher),
        "{\"index\":1}\n",
        "the silence counts from there"
    );
}

#[test]
fn the_state_comes_before_the_answer_to_what_was_sent_behind_watch() {
    let mut rig = Rig::new();
    let client = rig.connect();
    let answers = rig.ask(client, "query hive\nwatch hive\nping\nquit");
    assert_eq!(answers, "[]\n{\"index\":0,\"services\":[]}\nPONG\n");
    // A watcher that ends its input at once still receives the snapshot.
    let client = rig.connect();
    rig.net.pipes[client].client_ended = true;
    assert_eq!(rig.ask(client, "watch"), "{\"index\":0,\"services\":[]}\n");
    assert!(rig.is_closed(client));
    // So does one whose last line has no line end.
    let client = rig.connect();
    rig.net.pipes[client].client_ended = true;
    rig.send(client, b"query hive\nwatch");
    rig.settle();
    assert_eq!(rig.received(client), "[]\n{\"index\":0,\"services\":[]}\n");
    assert!(rig.is_closed(client));
}

#[test]
fn row_48_of_a_watcher_that_does_not_read_64_kib_of_deltas_are_kept() {
    const KIB: usize = 1024;
    let mut rig = patient_rig(None);
    let (watcher, client) = (rig.connect(), rig.connect());
    rig.ask(watcher, "watch hive");
    let mut most = 0;
    for _ in 0..3_000 {
        rig.send(client, b"register hive 10.0.0.1 80\n");
        rig.turn();
        rig.received(client);
        most = most.max(rig.engine.waiting_len());
    }
    // The text of the lines, and what about 600 lines take beside it.
    assert!((60 * KIB..=150 * KIB).contains(&most), "{most} bytes");
    assert!(rig.engine.waiting_len() < 20 * KIB, "then it has lagged");
}

#[test]
fn row_48_slow_watchers_of_a_busy_type_cost_64_kib_each_and_end_with_the_truth() {
    const WATCHERS: usize = 30;
    const KIB: usize = 1024;
    // All who watch the same share its deltas, and each has a batch of them in its own output.
    const WAITING_LEN_MAX: usize = 2 * 64 * KIB + WATCHERS * 16 * KIB;
    let mut rig = patient_rig(Some(300_000));
    let client = rig.connect();
    let watchers: Vec<usize> = (0..WATCHERS).map(|_| rig.connect()).collect();
    let mut streams: Vec<Stream> = (0..WATCHERS).map(|_| Stream::default()).collect();
    let mut taken = Vec::new();
    for (number, &watcher) in watchers.iter().enumerate() {
        taken.push(
            rig.ask(
                watcher,
                if number % 2 == 0 {
                    "watch hive"
                } else {
                    "watch"
                },
            )
            .into_bytes(),
        );
    }
    for round in 0..3_000_u64 {
        let port = 1 + round % 1_000;
        rig.send(
            client,
            format!("register hive 10.0.0.1 {port} replace\nregister hive 10.9.9.9 {port}\n")
                .as_bytes(),
        );
        if round % 3 == 0 {
            rig.send(
                client,
                format!("deregister {}\n", uuid(1 + round)).as_bytes(),
            );
        }
        rig.turn();
        rig.received(client);
        for (number, &watcher) in watchers.iter().enumerate() {
            // The first never reads, the last reads everything, and each between reads more.
            rig.net.take(watcher, number * number * 8);
            taken[number].append(&mut rig.net.pipes[watcher].received);
        }
        let waiting_len = rig.engine.waiting_len();
        assert!(waiting_len <= WAITING_LEN_MAX, "{waiting_len} bytes wait");
    }
    let asker = rig.connect();
    rig.settle();
    for (number, &watcher) in watchers.iter().enumerate() {
        assert!(!rig.is_closed(watcher));
        // Append the bytes that `settle` has taken to those taken before.
        taken[number].append(&mut rig.net.pipes[watcher].received);
        streams[number].read(&taken[number]);
    }
    let array: Vec<serde_json::Value> =
        serde_json::from_str(rig.ask(asker, "query hive").trim_end()).expect("JSON");
    for (number, stream) in streams.iter().enumerate() {
        let mut known: Vec<_> = stream.picture.values().collect();
        assert_eq!(known.len(), array.len(), "watcher {number}");
        for service in &array {
            let ip = service["ip"]
                .as_str()
                .and_then(|ip| ip.parse().ok())
                .expect("an ip");
            let key = (
                "hive".to_owned(),
                ip,
                service["port"].as_u64().expect("a port"),
                serde_json::json!({"tags": [], "meta": {}}),
            );
            let found = known.iter().position(|service| **service == key);
            known.swap_remove(found.unwrap_or_else(|| panic!("watcher {number} misses {key:?}")));
        }
    }
    assert!(streams[0].states > 1, "a watcher that does not read lags");
    assert_eq!(
        streams[WATCHERS - 1].states,
        1,
        "a watcher that reads does not lag"
    );
}

/// Registers so many services of 20 types and returns their types.
fn crowd(rig: &mut Rig, services: usize) {
    let client = rig.connect();
    let mut lines = String::new();
    for number in 0..services {
        let (of, port) = (number % 20, 1 + number % 60_000);
        lines += &format!("register type-\"{of} 10.0.0.1 {port} ttl=86400\n");
    }
    rig.send(client, lines.as_bytes());
    rig.settle();
    rig.received(client);
}

#[test]
fn a_long_snapshot_comes_in_parts_of_at_most_64_kib_with_changes_between_them() {
    const SERVICES: usize = 5_000;
    let mut rig = patient_rig(None);
    crowd(&mut rig, SERVICES);
    let (watcher, client) = (rig.connect(), rig.connect());
    let mut stream = Stream::default();
    let mut received = Vec::new();
    rig.send(watcher, b"watch\n");
    let mut number = 0;
    while !stream.is_whole() {
        number += 1;
        assert!(number < 1_000, "the snapshot has no end");
        // One goes that was told or will be told, one comes, and one comes back at another address.
        let (gone, moved) = (uuid(7 * number), uuid(11 * number));
        rig.send(
            client,
            format!(
                "deregister {gone}\nregister type-\"3 10.0.0.2 {number} ttl=86400\n\
                 deregister {moved}\nheartbeat {moved} type-\"9 10.0.0.3 {number} ttl=86400\n"
            )
            .as_bytes(),
        );
        rig.turn();
        rig.received(client);
        rig.net.take(watcher, 10_000);
        received.append(&mut rig.net.pipes[watcher].received);
        stream.read(&received);
        assert!(
            rig.engine.waiting_len() <= 2 * OUTPUT_WAITING_LEN_MAX,
            "the service keeps a part, and no more"
        );
    }
    rig.settle();
    rig.net.take(watcher, usize::MAX);
    received.append(&mut rig.net.pipes[watcher].received);
    stream.read(&received);
    let lines = received.split(|&byte| byte == b'\n');
    assert!(lines.clone().all(|line| line.len() <= PART_LEN_MAX));
    let parts = lines.filter(|line| line.windows(7).any(|word| word == b"\"part\":"));
    assert!(parts.count() >= 5);
    assert_eq!(stream.states, 1, "the watcher does not lag");
    assert_eq!(stream.picture, whole_picture(&mut rig));
}

/// What a new watcher is told.
pub fn whole_picture(rig: &mut Rig) -> Picture {
    let watcher = rig.connect();
    let told = rig.ask(watcher, "watch");
    let mut stream = Stream::default();
    stream.read(told.as_bytes());
    assert!(stream.is_whole());
    assert_eq!(stream.picture.len(), registrations(rig));
    stream.picture
}

#[test]
fn a_long_list_and_a_long_query_are_one_line_made_as_it_is_read() {
    const SERVICES: usize = 120_000;
    let mut rig = patient_rig(None);
    crowd(&mut rig, SERVICES);
    let (asker, other) = (rig.connect(), rig.connect());
    for (line, count) in [
        ("list", SERVICES),
        ("query type-\"3", SERVICES / 20),
        ("list type-\"3", SERVICES / 20),
        ("query type-\"3 max-age=86400", SERVICES / 20),
        ("types", 20),
    ] {
        rig.send(asker, format!("{line}\nping\n").as_bytes());
        let mut told = Vec::new();
        while !told.ends_with(b"PONG\n") {
            rig.turn();
            assert!(rig.engine.work_spent() <= TURN_WORK_MAX + 1_000);
            assert!(rig.engine.waiting_len() <= 2 * OUTPUT_WAITING_LEN_MAX);
            assert_eq!(
                rig.ask_once(other, "query small"),
                "[]\n",
                "others are served meanwhile"
            );
            rig.net.take(asker, usize::MAX);
            told.append(&mut rig.net.pipes[asker].received);
        }
        let array = &told[..told.len() - b"PONG\n".len()];
        let array: Vec<serde_json::Value> =
            serde_json::from_slice(array).expect("one line of JSON");
        assert_eq!(array.len(), count, "{line}");
        let key = |row: &serde_json::Value| row["type"].as_str().map(str::to_owned);
        assert!(array.iter().map(key).is_sorted(), "{line}");
    }
}

#[test]
fn a_list_that_is_left_in_the_middle_leaves_nothing_behind() {
    let mut rig = patient_rig(None);
    crowd(&mut rig, 20_000);
    let asker = rig.connect();
    rig.send(asker, b"list\n");
    (0..3).for_each(|_| rig.turn());
    rig.net.reset(asker);
    rig.settle();
    assert_eq!(rig.engine.waiting_len(), 0);
    rig.engine.handler().registry().check_invariants();
    assert_eq!(rig.engine.handler().registry().marked_places(), 0);
}

#[test]
fn a_change_of_many_comes_in_several_lines_and_not_as_a_snapshot() {
    let mut rig = patient_rig(None);
    let (holder, watcher) = (rig.connect(), rig.connect());
    let name = "a-type-of-twenty-nine-letters";
    let holds = format!("hold {name} 10.0.0.1 80\n").repeat(HOLDS_MAX);
    rig.send(holder, holds.as_bytes());
    rig.settle();
    rig.ask(watcher, "watch");
    rig.net.reset(holder);
    rig.settle();
    let told = rig.received(watcher);
    assert!(!told.contains("services"), "no snapshot");
    assert!(told.len() > OUTPUT_WAITING_LEN_MAX);
    let index = format!("{{\"index\":{},", 2 * HOLDS_MAX);
    assert!(told.lines().count() > 1);
    assert!(
        told.lines().all(|line| line.starts_with(&index)),
        "the same index"
    );
    assert!(
        told.lines()
            .all(|line| line.len() < OUTPUT_WAITING_LEN_MAX / 2)
    );
    assert_eq!(told.matches("connection closed").count(), HOLDS_MAX);
}
