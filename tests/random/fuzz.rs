//! Input from a seeded generator for the properties in `properties.rs`: a bounded number of executions in
//! `cargo test`, and as many as wanted by hand:
//!
//! ```sh
//! FUZZ_RUNS=10000000 cargo test --release --test random fuzz -- --nocapture
//! FUZZ_SEED=1234 FUZZ_RUNS=1 cargo test --test random fuzz      # replay the seed that a failure named
//! FUZZ_CORPUS=tests/fuzz/corpus FUZZ_RUNS=500 cargo test --test random fuzz      # seeds for libFuzzer
//! ```
//!
//! The targets in `tests/fuzz` drive the same properties with libFuzzer. Inputs that once failed are
//! regression tests in `wire.rs` and `registry.rs`.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Instant;

use crate::dns::dns_messages;
use crate::etcd::heard;
use crate::properties;
use crate::rng::Rng;
use crate::state_file;
use crate::wire::frame;

/// Executions of each property in a plain `cargo test`.
const RUNS: u64 = 20_000;

/// What commands, and things that are nearly commands, are made of; line ends and blanks more often.
const WORDS: [&[u8]; 101] = [
    b"\xef\xbb\xbf",
    b"\xff\xfb\x18",
    b"\xff\xfd\n",
    b"\xff\xfe",
    b"\xff\xf4",
    b"\n\xff\xfc\0",
    b"\x67\0",
    b"deregister",
    b"hold",
    b"types",
    b"list",
    b"why",
    b"watch",
    b"stats",
    b"ping",
    b"help",
    b"quit",
    b"-",
    b"ttl=5",
    b"ttl=0",
    b"replace",
    b"max-age=10",
    b"update",
    b"tag=a",
    b"tag=",
    b"meta.k=v",
    b"meta.k",
    b"limit=1",
    b"register hive - 80 tag=a meta.k=v",
    b"query hive tag=a meta.k=v limit=2",
    b"register hive - 80 ttl=5 replace",
    b"hold hive - 80",
    b"query hive max-age=86400",
    b"heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6 hive - 80",
    b"heartbeat 00000000-0000-0000-0000-000000000000 hive - 80",
    b"deregister 3999da30-2a11-463a-be8e-6b2beca7bfe6",
    b"watch hive",
    b"list hive",
    b"register",
    b"heartbeat",
    b"query",
    b"auth",
    b"REGISTER",
    b"Query",
    b"hive",
    b"127.0.0.1",
    b"::1",
    b"fe80::1%1",
    b"0.0.0.0",
    b"80",
    b"0",
    b"65536",
    b"3999da30-2a11-463a-be8e-6b2beca7bfe6",
    b"GET / HTTP/1.1",
    b"GET /",
    b"http/1.1",
    b"HTTP/1.1 200 OK",
    b"CLIENT libcurl 7",
    b"EHLO x",
    b"*1",
    b"SSH-2.0-x",
    b"SIP/2.0",
    b"/",
    b"HTTP/",
    b"PROXY TCP4 a b",
    b"\x16\x03",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r\n",
    b"\r",
    b" ",
    b" ",
    b"\t",
    b"\0",
    b"\0\r\n",
    b"QUIT",
    b"\x1b",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"\xc2\x85",
    b"{\"",
    b"\\u0061",
    b":1,",
    b"register hive 127.0.0.1 80",
    b"REGISTER hive ::1 65535",
    b"register hive fe80::1%1 0",
    b"query hive",
    b"heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6",
    b"heartbeat x y",
    b"auth secret",
    b"bogus",
    b"\xa9",
    b"PROXY TCP4 a b 1 2",
    b"{",
    b"}",
    b"\"",
    b"\\ud800",
];

/// Checks a property with the input of each seed; a failure names its seed. Where a folder for a corpus is
/// given, the inputs are written there too, each as a file of the target's folder.
fn fuzz(target: &str, property: fn(&[u8]), input: fn(&mut Rng) -> Vec<u8>) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| {
            value
                .parse()
                .unwrap_or_else(|_| panic!("{name} is a number"))
        })
    };
    let first = number("FUZZ_SEED", 0);
    let runs = number("FUZZ_RUNS", RUNS);
    let corpus = std::env::var_os("FUZZ_CORPUS").map(|folder| Path::new(&folder).join(target));
    if let Some(folder) = &corpus {
        std::fs::create_dir_all(folder).expect("a folder for the corpus");
    }
    let begun = Instant::now();
    for seed in first..first + runs {
        let input = input(&mut Rng::new(seed));
        if let Some(folder) = &corpus {
            std::fs::write(folder.join(format!("seed-{seed}")), &input).expect("a file");
        }
        assert!(
            catch_unwind(|| property(&input)).is_ok(),
            "{target}: replay with FUZZ_SEED={seed} FUZZ_RUNS=1 cargo test --test random fuzz; the input is {:?}",
            String::from_utf8_lossy(&input)
        );
    }
    println!(
        "{target}: {runs} executions in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

/// Lines, or what nearly is one.
fn text(rng: &mut Rng) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..rng.below(16) {
        match rng.below(20) {
            0 => input.extend(std::iter::repeat_n(
                b'x',
                rng.between(1_000, 1_060) as usize,
            )),
            1 | 2 => input.extend((0..rng.below(6)).map(|_| rng.next() as u8)),
            _ => input.extend(WORDS[rng.index(WORDS.len())]),
        }
    }
    input
}

/// A frame, most of them with some damage.
fn framed(rng: &mut Rng) -> Vec<u8> {
    const CONTENTS: [&str; 15] = [
        r#"{"action": "REGISTER", "type": "a", "ip": "-", "port": "80", "ttl": 5, "replace": true}"#,
        r#"{"action": "heartbeat", "uuid": "x", "type": "a", "ip": "::1", "port": 80, "ttl": null}"#,
        r#"{"action": "query", "type": "a", "max-age": 10, "max_age": null}"#,
        r#"{"action": "Why", "service_uuid": "3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#,
        r#"{"action": "deregister", "uuid": "3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#,
        r#"{"action": "list", "type": "a"}"#,
        r#"{"action": "register", "type": "a", "ip": "127.0.0.1", "port": 80, "token": "t"}"#,
        r#"{"action": "heartbeat", "uuid": "3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#,
        r#"{"action": "heartbeat", "service_uuid": "x", "more": [1.5, null, {"a": [true]}]}"#,
        r#"{"action": "query", "type": "\u0061\ud83d\ude00"}"#,
        r#"{"action": "query", "type": "a", "type": "b"}"#,
        r#"{"a": 1, "a": 2}"#,
        r#"[[[[[[[["#,
        "{}",
        "",
    ];
    let mut bytes = frame(CONTENTS[rng.index(CONTENTS.len())].as_bytes());
    for _ in 0..rng.below(4) {
        let at = rng.index(bytes.len().max(1));
        match rng.below(4) {
            0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            1 => drop(bytes.drain(at..(at + rng.index(8)).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, WORDS[rng.index(WORDS.len())].iter().copied())),
            _ => bytes.truncate(at.max(1)),
        }
    }
    if rng.chance(30) {
        bytes.extend(text(rng));
    }
    bytes
}

/// Requests of HTTP, most of them with some damage.
fn requests(rng: &mut Rng) -> Vec<u8> {
    const LINES: [&str; 10] = [
        "GET /api/query?type=a HTTP/1.1\r\nHost: a\r\n",
        "GET /api/query?type=a HTTP/1.1\r\nHost: b\r\nOrigin: http://a\r\n",
        "GET http://a/api/query?type=a HTTP/1.1\r\nHost: b\r\nOrigin: http://a\r\n",
        "GET /v1/health/service/a%20?index=5&wait=1s HTTP/1.1\r\nHost: [::1]:80\r\n",
        "POST /api/why HTTP/1.1\r\nHost: a\r\n",
        "POST /api/register HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n",
        "HEAD / HTTP/1.0\r\n",
        "GET http://a/sd HTTP/1.1\r\nHost: b\r\n",
        "query /a HTTP/1.1\r\nHost: a\r\n",
        "GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
    ];
    const BODIES: [&str; 7] = [
        "\r\n",
        "Content-Length: 2\r\n\r\n{}",
        "Content-Length: 0\r\n\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n01\r\n}\r\n0\r\n\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "X: y\r\n z\r\n\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let line = LINES[rng.index(LINES.len())];
        let body = BODIES[rng.index(BODIES.len())];
        // Clients send the same again.
        let again = if rng.chance(50) { 2 } else { 1 };
        bytes.extend([line, body].concat().repeat(again).bytes());
    }
    for _ in 0..rng.below(3) {
        let at = rng.index(bytes.len().max(1));
        match rng.below(4) {
            0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            1 => drop(bytes.drain(at..(at + rng.index(8)).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, WORDS[rng.index(WORDS.len())].iter().copied())),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// Queries of DNS, most of them with some damage, as a datagram or on a connection.
fn queries(rng: &mut Rng) -> Vec<u8> {
    const LABELS: [&[u8]; 12] = [
        b"web",
        b"many",
        b"_web",
        b"_many",
        b"_tcp",
        b"_UDP",
        b"addr",
        b"ns",
        b"0a000001",
        b"0A0000010050",
        b"20010db80000000000000000000000010050",
        b"\xff\0",
    ];
    const TYPES: [u8; 8] = [1, 2, 6, 16, 28, 33, 41, 255];
    let choice = rng.below(4) as u8;
    let mut bytes = vec![choice];
    for _ in 0..rng.between(1, 4) {
        let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for _ in 0..rng.below(4) {
            let label = LABELS[rng.index(LABELS.len())];
            message.push(label.len() as u8);
            message.extend(label);
        }
        message.extend(b"\x07service\x08INTERNAL\0\0");
        message.extend([TYPES[rng.index(TYPES.len())], 0, 1]);
        if rng.chance(60) {
            message[11] = 1;
            let [high, low] = (rng.next() as u16).to_be_bytes();
            message.extend([0, 0, 41, high, low, 0, 0, 0x80, 0, 0, 0]);
        }
        for _ in 0..rng.below(3) {
            let at = rng.index(message.len().max(1));
            match rng.below(4) {
                0 if !message.is_empty() => message[at] = rng.next() as u8,
                1 => drop(message.drain(at..(at + rng.index(8)).min(message.len()))),
                2 => message.truncate(at.max(1)),
                _ => {}
            }
        }
        if choice % 2 == 1 {
            bytes.extend((message.len() as u16).to_be_bytes());
        }
        bytes.extend(message);
        if choice.is_multiple_of(2) {
            break;
        }
    }
    bytes
}

/// Answers of etcd to calls, a watch and leases, most of them with some damage.
fn etcd_answers(rng: &mut Rng) -> Vec<u8> {
    const CALLS: [&str; 6] = [
        r#"{"etcdserver":"3.5.1"}"#,
        r#"{"header":{"cluster_id":"1","revision":"5","raft_term":"2"},"kvs":[{"key":"YQ==","value":"e30="}]}"#,
        r#"{"header":{"cluster_id":"1","revision":"5"},"kvs":[{"key":"YQ=="},{"key":"Yg==","value":"e30="}],"more":true}"#,
        r#"{"header":{"cluster_id":"1","revision":"4"}}"#,
        r#"{"error":"x","code":11,"message":"compacted"}"#,
        r#"{"kvs":[[{"a":"]\"}"}],1]}"#,
    ];
    const LINES: [&str; 6] = [
        r#"{"result":{"header":{"cluster_id":"1","revision":"5"},"created":true}}"#,
        r#"{"result":{"events":[{"kv":{"key":"YQ==","mod_revision":"6"}},{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"7"}}]}}"#,
        r#"{"result":{"header":{"revision":"9"},"watch_id":"-1"}}"#,
        r#"{"result":{"canceled":true,"compact_revision":"8"}}"#,
        r#"{"error":{"grpc_code":14,"message":"no leader"}}"#,
        r#"{"result":{"header":{"cluster_id":"1"},"ID":"7","TTL":"9"}}"#,
    ];
    const STATUSES: [&str; 3] = ["200 OK", "400 Bad Request", "100 Continue"];
    let mut bytes = Vec::new();
    for segment in 0..rng.between(1, 7) {
        if segment > 0 {
            bytes.push(0xff);
        }
        let is_calls = segment % 3 == 0;
        for number in 0..rng.between(1, 5) as usize {
            let status = STATUSES[if rng.chance(90) { 0 } else { rng.index(3) }];
            let (texts, at) = if is_calls {
                (CALLS, number)
            } else {
                (LINES, number)
            };
            let at = if rng.chance(70) { at } else { rng.index(6) };
            let text = texts[at];
            let len = text.len();
            let whole = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n{text}");
            let chunked = format!(
                "HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{text}\r\n"
            );
            let chunk = format!("{:x};a\r\n{text}\n\r\n", len + 1);
            let answer = match (is_calls, number) {
                (true, _) if rng.chance(50) => whole,
                (true, _) => chunked + "0\r\nX: y\r\n\r\n",
                (false, 0) => chunked,
                (false, _) => chunk,
            };
            bytes.extend(answer.bytes());
        }
    }
    for _ in 0..rng.below(3) {
        let at = rng.index(bytes.len().max(1));
        match rng.below(4) {
            0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            1 => drop(bytes.drain(at..(at + rng.index(8)).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, WORDS[rng.index(WORDS.len())].iter().copied())),
            _ if rng.chance(10) => {
                drop(bytes.splice(at..at, std::iter::repeat_n(b'x', rng.index(40_000))));
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    let cuts = noise(rng, 12);
    [&[cuts.len() as u8][..], &cuts, &bytes].concat()
}

/// Any bytes.
fn noise(rng: &mut Rng, len_max: u64) -> Vec<u8> {
    (0..rng.below(len_max)).map(|_| rng.next() as u8).collect()
}

/// A frame, or a few bytes that begin like one.
fn frame_or_its_start(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(80) {
        framed(rng)
    } else {
        [&[rng.below(8) as u8][..], &noise(rng, 80)].concat()
    }
}

#[test]
fn row_07_08_09_10_any_text_decodes_as_the_protocol_describes_it() {
    fuzz("text_input", properties::text_input, text);
}

#[test]
fn row_11_12_14_15_any_frame_is_a_command_that_json_readers_agree_on_or_is_refused_once() {
    fuzz("frame_input", properties::frame_input, frame_or_its_start);
}

#[test]
fn row_47_any_split_of_the_input_decodes_to_the_same() {
    fuzz("any_split", properties::any_split, |rng| {
        let cuts = noise(rng, 12);
        let input = match rng.below(14) {
            0..5 => text(rng),
            5..9 => frame_or_its_start(rng),
            9..13 => requests(rng),
            _ => noise(rng, 300),
        };
        [&[cuts.len() as u8][..], &cuts, &input].concat()
    });
}

#[test]
fn row_19_and_20_nothing_behind_the_opening_of_another_protocol_is_decoded() {
    fuzz("foreign_opening", properties::foreign_opening, |rng| {
        let mut bytes: Vec<u8> = (0..3).map(|_| rng.next() as u8).collect();
        bytes.extend(text(rng));
        bytes
    });
}

#[test]
fn row_19_and_20_a_command_of_ours_with_one_argument_is_no_opening_of_another_protocol() {
    fuzz("own_first_line", properties::own_first_line, |rng| {
        let mut bytes: Vec<u8> = (0..2).map(|_| rng.next() as u8).collect();
        bytes.extend(WORDS[rng.index(WORDS.len())]);
        bytes
    });
}

#[test]
fn row_58_what_dns_answers_to_any_bytes_is_well_formed() {
    fuzz("dns_messages", dns_messages, |rng| match rng.below(8) {
        0 => noise(rng, 300),
        _ => queries(rng),
    });
}

#[test]
fn any_answers_of_etcd_are_read_the_same_in_any_pieces_and_little_of_them_is_held() {
    fuzz("etcd_answers", properties::etcd_answers, |rng| {
        if rng.chance(95) {
            etcd_answers(rng)
        } else {
            noise(rng, 300)
        }
    });
}

#[test]
fn the_answers_of_etcd_that_are_made_up_lead_to_every_report() {
    let mut missing = BTreeSet::from([
        "Reached",
        "OtherHistory",
        "LoadBegins",
        "Loaded",
        "LoadEnds",
        "Changed",
        "LineEnds",
        "LeftOut",
        "Watching",
        "Prolonged",
        "Away",
    ]);
    for seed in 0..500 {
        let input = etcd_answers(&mut Rng::new(seed));
        let answers = &input[1 + usize::from(input[0])..];
        let segments: Vec<Vec<&[u8]>> = answers
            .split(|&byte| byte == 0xff)
            .map(|segment| vec![segment])
            .collect();
        for report in heard(&segments).reports {
            missing.remove(report.split([' ', '(']).next().unwrap_or_default());
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn any_operations_leave_what_a_plain_list_holds() {
    fuzz(
        "registry_operations",
        properties::registry_operations,
        |rng| noise(rng, 400),
    );
}

#[test]
fn row_60_whatever_is_done_to_a_state_file_is_read_the_same_before_and_after_it_was_made_short() {
    fuzz("state_file", state_file::state_file, |rng| {
        let mut bytes = vec![rng.below(4) as u8];
        bytes.extend(noise(rng, 240));
        bytes
    });
}
