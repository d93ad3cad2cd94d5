//! Answers of Consul's API about more than is told at once.

use discovery_service::limits::{
    ANSWER_RECORDS_MAX, LISTED_AT_ONCE_MAX, NAME_TAGS_MAX, PART_LEN_MAX, TURN_BUILD_RECORDS_MAX,
    TURN_SWEEP_MAX,
};
use serde_json::Value;

use crate::http::{ask, crowd, get, rig};
use crate::rig::{Rig, TTL_MS};

/// Sends a command for each number.
fn command(rig: &mut Rig, numbers: std::ops::Range<usize>, line: impl Fn(usize) -> String) {
    let client = crowd(rig, 1)[0];
    let commands: String = numbers.map(|number| line(number) + "\n").collect();
    rig.send(client, commands.as_bytes());
    rig.settle();
    let refused = rig.received(client).contains("ERROR");
    assert!(!refused, "all are registered");
}

/// The body of a response whose length was told, or that came in chunks.
fn body(answer: &str) -> (bool, String) {
    let (head, mut rest) = answer.split_once("\r\n\r\n").expect("a response");
    if !head.contains("Transfer-Encoding: chunked") {
        return (false, rest.to_owned());
    }
    let mut whole = String::new();
    loop {
        let (len, chunk) = rest.split_once("\r\n").expect("the length of a chunk");
        let len = usize::from_str_radix(len, 16).expect("a length");
        whole += &chunk[..len];
        rest = &chunk[len + 2..];
        if len == 0 {
            return (true, whole);
        }
    }
}

#[test]
fn nothing_is_told_that_has_expired_while_the_sweep_is_behind() {
    for (target, none) in [
        ("/v1/catalog/services", "{}"),
        ("/v1/health/state/any", "[]"),
        ("/v1/health/service/hive-0", "[]"),
        ("/sd", "[]"),
    ] {
        let mut rig = rig();
        command(&mut rig, 0..3 * TURN_SWEEP_MAX, |number| {
            format!("register hive-{} 10.0.0.1 {}", number % 100, 1 + number)
        });
        let client = rig.connect();
        // A jump would count as a pause, which ages nothing.
        rig.pass(TTL_MS - 1);
        rig.now_ms += 2;
        let (_, told) = body(&ask(&mut rig, client, target));
        assert_eq!(told, none, "{target}");
    }
}

#[test]
fn what_is_longer_than_an_answer_made_at_once_comes_in_parts_and_whole() {
    let mut rig = rig();
    let count = ANSWER_RECORDS_MAX + 1;
    command(&mut rig, 0..count, |number| {
        format!("register hive 10.0.0.1 {} ttl=86400", 1 + number)
    });
    command(&mut rig, 0..LISTED_AT_ONCE_MAX, |number| {
        format!("register t{number} 10.0.0.1 80 ttl=86400")
    });
    let client = crowd(&mut rig, 1)[0];
    for (target, len) in [
        ("/v1/health/service/hive", count),
        ("/v1/catalog/service/hive", count),
        ("/v1/health/checks/hive", count),
        ("/v1/health/state/any", count + LISTED_AT_ONCE_MAX),
        ("/v1/catalog/services", 1 + LISTED_AT_ONCE_MAX),
    ] {
        rig.send(client, get(target).as_bytes());
        let mut answer = String::new();
        for _ in 0..200 {
            rig.turn();
            assert!(rig.engine.waiting_len() <= 3 * PART_LEN_MAX, "{target}");
            answer += &rig.received(client);
        }
        let (in_parts, body) = body(&answer);
        assert!(in_parts, "{target}");
        let told = match serde_json::from_str(&body).expect("JSON") {
            Value::Array(entries) => entries.len(),
            Value::Object(entries) => entries.len(),
            other => panic!("{other}"),
        };
        assert_eq!(told, len, "{target}");
    }
}

#[test]
fn answers_that_are_not_shared_are_made_for_a_few_in_a_turn() {
    const COUNT: usize = 50;
    const SERVICES: usize = 1_000;
    let mut rig = rig();
    command(&mut rig, 0..SERVICES, |number| {
        format!("register hive 10.0.0.1 {} tag=a ttl=86400", 1 + number)
    });
    let clients = crowd(&mut rig, COUNT);
    for &client in &clients {
        rig.net.pipes[client].room = usize::MAX;
    }
    rig.settle();
    for &client in &clients {
        rig.send(client, get("/v1/health/service/hive?tag=a").as_bytes());
    }
    // An entry counts twice, and the answer that passes the bound is the last.
    let most = TURN_BUILD_RECORDS_MAX / (2 * SERVICES) + 1;
    let mut told = 0;
    for _ in 0..10 * COUNT {
        rig.turn_lightly();
        let answered = |&&client: &&usize| rig.received(client).starts_with("HTTP/1.1 200");
        let of_turn = clients.iter().filter(answered).count();
        assert!(of_turn <= most, "{of_turn} in a turn");
        told += of_turn;
    }
    assert_eq!(told, COUNT);
}

#[test]
fn of_a_type_with_very_many_tags_a_bounded_number_is_told() {
    let mut rig = rig();
    let client = rig.connect();
    command(&mut rig, 0..NAME_TAGS_MAX + 1, |number| {
        format!("register hive 10.0.0.1 {} tag=t{number}", 1 + number)
    });
    let (_, text) = body(&ask(&mut rig, client, "/v1/catalog/services"));
    let names: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(names["hive"].as_array().map(Vec::len), Some(NAME_TAGS_MAX));
}

#[test]
fn what_a_body_has_sent_so_far_counts_as_kept() {
    const BODY_LEN: usize = 60_000;
    let mut rig = rig();
    let client = crowd(&mut rig, 1)[0];
    rig.settle();
    let before = rig.engine.waiting_len();
    let head = format!(
        "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        BODY_LEN + 1
    );
    rig.send(client, head.as_bytes());
    rig.settle();
    rig.send(client, " ".repeat(BODY_LEN).as_bytes());
    rig.settle();
    let kept = rig.engine.waiting_len() - before;
    assert!(kept >= BODY_LEN, "{kept} bytes");
    rig.send(client, b" ");
    rig.settle();
    assert!(rig.received(client).starts_with("HTTP/1.1 400 "));
    assert_eq!(rig.engine.waiting_len(), before);
}
