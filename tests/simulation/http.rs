//! HTTP: deterministic scenarios, one a test.

use std::time::Duration;

use discovery_service::engine::Settings;
use discovery_service::limits::{
    HTTP_MS_MAX, LINGER_MS_MAX, OUTPUT_WAITING_LEN_MAX, SHARE_WORK_MAX, TURN_TOLD_MAX,
    TURN_WORK_MAX, WAIT_JITTER_ONE_IN, WAIT_MS_DEFAULT, WAIT_MS_MAX,
};
use discovery_service::message::Verb;

use crate::rig::{Rig, TICK_MS, TTL_MS};

/// The last visit of a turn may pass its work by its own share.
const OVERSHOOT: u32 = 1_300;

pub fn rig() -> Rig {
    Rig::with(Settings {
        connections_max: 20_000,
        idle_ms_max: None,
        tick: Duration::from_millis(TICK_MS),
        ttl: Duration::from_millis(TTL_MS),
    })
}

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Asks for `target`. Returns all that the client has received since.
pub fn ask(rig: &mut Rig, client: usize, target: &str) -> String {
    rig.send(client, get(target).as_bytes());
    rig.settle();
    rig.received(client)
}

/// The index of an answer, and its body.
fn followed(answer: &str) -> (u64, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
    let index = head
        .lines()
        .find_map(|line| line.strip_prefix("X-Consul-Index: "));
    (index.expect("an index").parse().expect("a number"), body)
}

/// Found by the simulator.
#[test]
fn the_index_of_an_answer_moves_from_the_first_change_on() {
    let mut rig = rig();
    let client = rig.connect();
    for target in [
        "/v1/health/state/any",
        "/v1/health/service/hive",
        "/v1/catalog/services",
    ] {
        let mut rig = self::rig();
        let (client, other) = (rig.connect(), rig.connect());
        let before = ask(&mut rig, client, target);
        rig.ask(other, "register hive 10.0.0.1 80");
        let after = ask(&mut rig, client, target);
        let ((before, empty), (after, body)) = (followed(&before), followed(&after));
        assert!(0 < before && before < after, "{target}: {before} {after}");
        assert!(empty.len() == 2 && body.len() > 2, "{target}: {body}");
    }
    assert_eq!(followed(&ask(&mut rig, client, "/v1/catalog/nodes")).0, 1);
}

/// Sends requests that wait for a change behind `index`.
fn follow(rig: &mut Rig, clients: &[usize], target: &str, index: u64) {
    for &client in clients {
        let request = get(&format!("{target}?index={index}&wait=600s"));
        rig.send(client, request.as_bytes());
    }
}

/// Connects clients whose answers always have room.
pub fn crowd(rig: &mut Rig, count: usize) -> Vec<usize> {
    let clients: Vec<usize> = (0..count).map(|_| rig.net.connect()).collect();
    for &client in &clients {
        rig.net.pipes[client].room = 64 * 1024;
        rig.net.pipes[client].window = usize::MAX;
    }
    clients
}

/// Takes turns until there is no work left, and checks the work of each.
fn settle_lightly(rig: &mut Rig) {
    while {
        rig.turn_lightly();
        let spent = rig.engine.work_spent();
        assert!(spent <= TURN_WORK_MAX + OVERSHOOT, "{spent} units");
        rig.wait == Some(Duration::ZERO) || !rig.net.is_quiet()
    } {
        for client in 0..rig.net.pipes.len() {
            rig.net.take(client, usize::MAX);
        }
    }
}

#[test]
fn row_53_a_slow_head_and_a_slow_body_have_10_s_from_their_first_byte_and_are_told_so() {
    let begin = "POST /api/why HTTP/1.1\r\nHost: a\r\n";
    for parts in [
        ["GET / HTTP/1.1\r\nHos", "t", ":"],
        [begin, "Content-Length: 9\r\n\r\n", "{"],
        [begin, "Transfer-Encoding: chunked\r\n\r\n", "1\r\n"],
        [
            begin,
            "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
            "1\r\nx\r\n",
        ],
    ] {
        let mut rig = rig();
        let client = rig.connect();
        for part in parts {
            rig.send(client, part.as_bytes());
            rig.settle();
            rig.pass(3_000);
        }
        rig.pass(HTTP_MS_MAX - 9_000 - 1);
        assert_eq!(rig.received(client), "", "{parts:?}");
        rig.pass(1);
        rig.settle();
        let told = rig.received(client);
        assert!(told.starts_with("HTTP/1.1 408 "), "{parts:?}: {told}");
        assert!(told.contains("\r\nConnection: close\r\n"), "{told}");
        rig.pass(LINGER_MS_MAX);
        assert!(rig.is_closed(client));
    }
}

#[test]
fn row_53_of_pipelined_requests_a_turn_answers_a_bounded_part_and_others_in_between() {
    const COUNT: usize = 10_000;
    let mut rig = rig();
    // Nothing but the turn's budgets bounds what it is answered.
    let flood = crowd(&mut rig, 1)[0];
    let polite = rig.connect();
    rig.ask(polite, "ping");
    let request = |number: usize| get(&format!("/v1/health/service/{number}"));
    let requests: String = (0..COUNT).map(request).collect();
    rig.send(flood, requests.as_bytes());
    let work = Verb::List.work();
    let (mut told, mut turns) = (0, 0);
    while told < COUNT {
        rig.send(polite, b"ping\n");
        rig.turn();
        let spent = rig.engine.work_spent() as usize;
        assert!(spent <= 2 * SHARE_WORK_MAX, "{spent} units");
        assert!(rig.engine.waiting_len() <= 2 * OUTPUT_WAITING_LEN_MAX);
        let of_turn = rig.received(flood).matches("HTTP/1.1 200 OK").count();
        assert!(of_turn * work <= SHARE_WORK_MAX, "{of_turn} in a turn");
        told += of_turn;
        turns += 1;
        assert!(turns <= COUNT, "{told} are answered");
        assert_eq!(rig.received(polite), "PONG\n", "in the same turn");
    }
}

#[test]
fn row_55_blocked_queries_of_a_type_that_changes_all_the_time_share_answers_and_starve_nobody() {
    const COUNT: usize = 1_000;
    const KIB: usize = 1024;
    let mut rig = rig();
    let (changer, polite) = (rig.connect(), rig.connect());
    for port in 1..=5 {
        rig.ask(changer, &format!("register hive 10.0.0.1 {port} ttl=86400"));
    }
    let clients = crowd(&mut rig, COUNT);
    settle_lightly(&mut rig);
    let target = "/v1/health/service/hive";
    let (index, body_len) = {
        let answer = ask(&mut rig, clients[0], target);
        let (index, body) = followed(&answer);
        (index, body.len())
    };
    assert!(body_len > 2 * KIB, "it is shared and not copied");
    follow(&mut rig, &clients, target, index);
    settle_lightly(&mut rig);
    // While nothing changes, there is no turn but the tick of the sweep.
    let others = "register other 10.0.0.1 80 ttl=86400";
    rig.ask(changer, others);
    assert!(rig.wait >= Some(Duration::from_millis(TICK_MS / 2)));
    assert!(
        clients
            .iter()
            .all(|&client| rig.received(client).is_empty())
    );
    let mut answers = vec![0; COUNT];
    let mut worst = 0;
    for round in 0..40 {
        let change = format!(
            "register hive 10.0.0.2 {} replace ttl=86400\n",
            1 + round % 3
        );
        rig.send(changer, change.as_bytes());
        rig.send(polite, b"ping\nquery small\n");
        let mut turns = 0;
        while rig.received(polite) != "PONG\n[]\n" {
            turns += 1;
            assert!(turns <= 6, "round {round}: no answer after {turns} turns");
            rig.now_ms += 1;
            rig.turn_lightly();
            let spent = rig.engine.work_spent();
            assert!(spent <= TURN_WORK_MAX + OVERSHOOT, "{spent} units");
            // A rendering for each turn that has not been read, and no copy for each client.
            let waiting_len = rig.engine.waiting_len();
            assert!(
                waiting_len <= COUNT * KIB + 8 * body_len,
                "{waiting_len} bytes"
            );
        }
        worst = worst.max(turns);
        rig.received(changer);
        for (&client, count) in clients.iter().zip(&mut answers) {
            let told = rig.received(client);
            if let Some(at) = told.rfind("X-Consul-Index: ") {
                let (index, _) = followed(&told[at - 200.min(at)..]);
                *count += 1;
                follow(&mut rig, &[client], target, index);
            }
        }
    }
    let (least, most) = (answers.iter().min(), answers.iter().max());
    assert!(
        least >= Some(&2),
        "{least:?} to {most:?} answers, {worst} turns"
    );
}

#[test]
fn row_55_an_answer_that_nobody_reads_is_made_once_and_kept_once() {
    const COUNT: usize = 1_000;
    const KIB: usize = 1024;
    let mut rig = rig();
    let changer = rig.connect();
    for port in 1..=20 {
        rig.ask(changer, &format!("register hive 10.0.0.1 {port} ttl=86400"));
    }
    let clients = crowd(&mut rig, COUNT);
    settle_lightly(&mut rig);
    for target in [
        "/v1/health/service/hive",
        "/v1/health/state/any",
        "/v1/agent/services",
    ] {
        let answer = ask(&mut rig, clients[0], target);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a response");
        for &client in &clients {
            rig.net.pipes[client].window = 1;
            rig.net.pipes[client].room = 16;
            rig.send(client, get(target).as_bytes());
        }
        for _ in 0..20 {
            rig.turn_lightly();
        }
        let waiting_len = rig.engine.waiting_len();
        let most = COUNT * KIB + 2 * body.len();
        assert!(waiting_len >= COUNT * 100 + body.len(), "they wait");
        assert!(waiting_len <= most, "{target}: {waiting_len} bytes");
        for &client in &clients {
            rig.net.pipes[client].window = usize::MAX;
            rig.net.pipes[client].room = 64 * KIB;
            rig.received(client);
        }
        settle_lightly(&mut rig);
        for &client in &clients {
            assert!(rig.received(client).ends_with(body), "{target}");
        }
    }
}

#[test]
fn row_55_event_streams_that_nobody_reads_share_what_waits_and_end_with_the_truth() {
    const COUNT: usize = 500;
    const KIB: usize = 1024;
    let mut rig = rig();
    let changer = rig.connect();
    let clients = crowd(&mut rig, COUNT);
    for (number, &client) in clients.iter().enumerate() {
        let accept = ["", "Accept: text/event-stream\r\n"][number % 2];
        let request = format!("GET /api/watch?type=hive HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
        rig.send(client, request.as_bytes());
    }
    settle_lightly(&mut rig);
    for &client in &clients {
        let told = rig.received(client);
        assert!(told.contains(r#""services":[]"#), "{told}");
        // From now on it reads nothing, and its host takes little.
        rig.net.pipes[client].window = 1024;
        rig.net.pipes[client].room = 1024;
    }
    for port in 1..=800 {
        let change = format!("register hive 10.0.0.1 {port} ttl=86400\n");
        rig.send(changer, change.as_bytes());
        rig.turn_lightly();
        rig.received(changer);
        let spent = rig.engine.work_spent();
        assert!(spent <= TURN_WORK_MAX + OVERSHOOT, "{spent} units");
        // The deltas of each style once, a batch for each client, and places in the lists.
        let waiting_len = rig.engine.waiting_len();
        let most = 4 * 64 * KIB + COUNT * 40 * KIB;
        assert!(waiting_len <= most, "{waiting_len} bytes");
    }
    let mut told = vec![String::new(); COUNT];
    for _ in 0..400 {
        for (told, &client) in told.iter_mut().zip(&clients) {
            *told += &rig.received(client);
        }
        rig.now_ms += 1;
        rig.turn();
    }
    for (number, told) in told.iter().enumerate() {
        let last = r#""ip":"10.0.0.1","port":800}"#;
        assert!(
            told.contains(last),
            "client {number} has not come to the end"
        );
        assert!(
            told.contains(r#""services":["#),
            "client {number} has lagged, and the rest was not kept for it"
        );
    }
}

#[test]
fn row_56_a_blocked_client_that_goes_away_is_freed_in_that_turn() {
    let mut rig = rig();
    let client = rig.connect();
    let before = rig.engine.connections();
    let clients = crowd(&mut rig, 100);
    settle_lightly(&mut rig);
    let (index, _) = {
        let answer = ask(&mut rig, client, "/v1/health/service/hive");
        (followed(&answer).0, ())
    };
    follow(&mut rig, &clients, "/v1/health/service/hive", index);
    settle_lightly(&mut rig);
    for (number, &client) in clients.iter().enumerate() {
        if number % 2 == 0 {
            rig.net.reset(client);
        } else {
            rig.net.pipes[client].client_ended = true;
            rig.net.deliver(client, 0);
        }
    }
    rig.turn();
    assert_eq!(rig.engine.connections(), before);
    rig.settle();
    assert_eq!(rig.engine.waiting_len(), 0);
}

#[test]
fn row_56_who_waits_is_answered_when_its_type_ends_when_its_time_is_over_and_when_the_service_stops()
 {
    const WAIT_MS: u64 = 600_000;
    let mut rig = rig();
    let (other, client, patient) = (rig.connect(), rig.connect(), rig.connect());
    let target = "/v1/health/service/hive";
    let held = rig.ask(other, "register hive 10.0.0.1 80 ttl=86400");
    let index = followed(&ask(&mut rig, client, target)).0;
    follow(&mut rig, &[client], target, index);
    rig.settle();
    rig.ask(other, &format!("deregister {held}").replace('\n', ""));
    let answer = rig.received(client);
    let (gone, body) = followed(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && body == "[]" && gone > index);
    // Up to a sixteenth longer than it has asked for, and then the whole answer.
    follow(&mut rig, &[client], target, gone);
    rig.settle();
    rig.pass(WAIT_MS - 1);
    rig.settle();
    assert_eq!(rig.received(client), "");
    rig.pass(WAIT_MS / 16 + 1);
    rig.settle();
    assert_eq!(followed(&rig.received(client)), (gone, "[]"));
    // One that is behind, or ahead, does not wait.
    for index in [index, gone + 1_000] {
        let at_once = ask(
            &mut rig,
            client,
            &format!("{target}?index={index}&wait=600s"),
        );
        assert_eq!(followed(&at_once).0, gone);
    }
    follow(&mut rig, &[client, patient], target, gone);
    rig.settle();
    rig.engine.stop(&mut rig.net);
    rig.turn();
    rig.turn();
    for client in [client, patient] {
        assert_eq!(followed(&rig.received(client)), (gone, "[]"), "at once");
    }
}

#[test]
fn a_change_wakes_all_who_wait_for_it_a_bounded_part_in_each_turn() {
    const COUNT: usize = 1_000;
    for target in ["/v1/health/state/any", "/v1/catalog/services"] {
        let mut rig = rig();
        let other = rig.connect();
        rig.ask(other, "register hive 10.0.0.1 80 ttl=86400");
        let clients = crowd(&mut rig, COUNT);
        settle_lightly(&mut rig);
        let index = followed(&ask(&mut rig, clients[0], target)).0;
        follow(&mut rig, &clients, target, index);
        settle_lightly(&mut rig);
        rig.send(other, b"register other 10.0.0.2 80 ttl=86400\n");
        let mut told = 0;
        for _ in 0..40 {
            rig.turn_lightly();
            let mut answered = |&&client: &&usize| !rig.received(client).is_empty();
            let of_turn = clients.iter().filter(|client| answered(client)).count();
            assert!(of_turn <= TURN_TOLD_MAX, "{of_turn} in a turn");
            told += of_turn;
            if rig.wait != Some(Duration::ZERO) {
                break;
            }
        }
        assert_eq!(told, COUNT, "{target}: all of them, without a pause");
    }
}

#[test]
fn a_wait_is_as_long_as_its_own_request_says_and_has_a_bound() {
    const TARGET: &str = "/v1/health/service/hive";
    for (wait, least_ms) in [
        ("", WAIT_MS_DEFAULT),
        ("&wait=0s", WAIT_MS_DEFAULT),
        ("&wait=100h", WAIT_MS_MAX),
    ] {
        // Who waits is not idle, however long others may be.
        let mut rig = Rig::new();
        let client = rig.connect();
        let index = followed(&ask(&mut rig, client, TARGET)).0;
        assert_eq!(
            ask(&mut rig, client, &format!("{TARGET}?index={index}{wait}")),
            ""
        );
        rig.pass(least_ms - 1);
        rig.settle();
        assert_eq!(rig.received(client), "", "{wait}");
        rig.pass(least_ms / WAIT_JITTER_ONE_IN + 1);
        rig.settle();
        assert_eq!(followed(&rig.received(client)).0, index, "{wait}");
    }
    // One that has gone leaves nothing to who comes to its place.
    let mut rig = rig();
    let first = rig.connect();
    let index = followed(&ask(&mut rig, first, TARGET)).0;
    follow(&mut rig, &[first], TARGET, index);
    rig.settle();
    rig.net.reset(first);
    rig.settle();
    let second = rig.connect();
    ask(&mut rig, second, &format!("{TARGET}?index={index}&wait=1s"));
    rig.pass(1_100);
    rig.settle();
    assert_eq!(followed(&rig.received(second)).0, index);
}

/// So many clients whose queries have just begun to wait for so long.
fn waiting(count: usize, ms: u64) -> (Rig, Vec<usize>) {
    let mut rig = rig();
    let clients = crowd(&mut rig, count);
    rig.settle();
    let index = followed(&ask(&mut rig, clients[0], "/v1/health/service/hive")).0;
    for &client in &clients {
        let target = format!("/v1/health/service/hive?index={index}&wait={ms}ms");
        rig.send(client, get(&target).as_bytes());
    }
    rig.settle();
    (rig, clients)
}

#[test]
fn waits_that_began_together_end_apart() {
    const WAIT_MS: u64 = 64_000;
    const COUNT: usize = 20;
    let (mut rig, clients) = waiting(COUNT, WAIT_MS);
    rig.pass(WAIT_MS - 1);
    let (mut ends, mut told) = (0, 0);
    for _ in 0..=WAIT_MS / WAIT_JITTER_ONE_IN {
        rig.pass(1);
        rig.settle();
        let of_now = clients
            .iter()
            .filter(|&&client| !rig.received(client).is_empty());
        let of_now = of_now.count();
        ends += usize::from(of_now > 0);
        told += of_now;
    }
    assert_eq!(told, COUNT, "none waits longer");
    assert!(ends > COUNT / 2, "{ends} ends of {COUNT} waits");
}

/// A wait begins within a millisecond of the loop's clock, which does not count.
#[test]
fn no_wait_is_shorter_than_was_asked_for() {
    const WAIT_MS: u64 = WAIT_JITTER_ONE_IN;
    let (mut rig, clients) = waiting(50, WAIT_MS);
    for (ms, all) in [(WAIT_MS, false), (1, true)] {
        rig.pass(ms);
        rig.settle();
        for &client in &clients {
            assert_eq!(!rig.received(client).is_empty(), all);
        }
    }
}

/// What the service waits for is not the peer's delay, whatever the request took to arrive.
#[test]
fn a_request_that_came_slowly_waits_as_long_as_one_that_came_at_once() {
    const WAIT_MS: u64 = 60_000;
    let mut rig = rig();
    let client = rig.connect();
    let target = "/v1/health/service/hive";
    let index = followed(&ask(&mut rig, client, target)).0;
    let head = format!("GET {target}?index={index}&wait=60s HTTP/1.1\r\nHost: a\r\n");
    for parts in [
        [&*head, "\r\n", ""],
        [&head, "Content-Length: 2\r\n\r\n{", "}"],
        [
            &head,
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
            "\r\n0\r\n\r\n",
        ],
    ] {
        for part in parts {
            rig.send(client, part.as_bytes());
            rig.pass(1_000);
        }
        rig.pass(WAIT_MS - 3_000);
        assert_eq!(rig.received(client), "", "{parts:?}");
        rig.pass(3_000 + WAIT_MS / WAIT_JITTER_ONE_IN);
        rig.settle();
        assert_eq!(followed(&rig.received(client)), (index, "[]"), "{parts:?}");
        // A next one has its own time.
        rig.send(client, b"GET /hea");
        rig.pass(HTTP_MS_MAX - 1);
        rig.send(client, b"lth HTTP/1.1\r\nHost: a\r\n\r\n");
        rig.settle();
        assert!(rig.received(client).ends_with("\r\n\r\nOK\n"));
    }
}

#[test]
fn who_reads_events_until_the_end_gets_them_without_chunks_beside_one_who_gets_chunks() {
    let mut rig = rig();
    let (other, old, new) = (rig.connect(), rig.connect(), rig.connect());
    for (client, version) in [(new, "1.1"), (old, "1.0")] {
        let accept = "Accept: text/event-stream";
        let request = format!("GET /api/watch HTTP/{version}\r\nHost: a\r\n{accept}\r\n\r\n");
        rig.send(client, request.as_bytes());
        rig.settle();
        rig.received(client);
    }
    rig.ask(other, "register hive 10.0.0.1 80");
    let (plain, chunk) = (rig.received(old), rig.received(new));
    assert!(
        plain.starts_with("id: 1\nevent: change\ndata: {"),
        "{plain}"
    );
    assert_eq!(chunk, format!("{:x}\r\n{plain}\r\n", plain.len()));
}
