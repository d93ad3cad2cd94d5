//! Answers that are made in parts, and streams, as each request asks for them.

use std::net::Ipv4Addr;
use std::rc::Rc;

use crate::message::{
    Catalog, CloseReason, Delta, Id, Part, Peer, Rendered, Reply, Rows, Service, ServiceAddress,
    Update,
};
use crate::wire::output::Output;
use crate::wire::{Codec, Decoded, Protocol};

/// A connection whose first request, which comes in these pieces, has been read.
fn asked(pieces: &[&str]) -> Codec {
    let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
    let mut input = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        input.extend_from_slice(piece.as_bytes());
        let step = codec.decode(&input);
        let is_whole = matches!(step.decoded, Decoded::Command(_));
        assert_eq!(is_whole, number + 1 == pieces.len(), "{step:?}");
        let consumed = step.consumed;
        input.drain(..consumed);
    }
    codec
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Parts with so many services each.
fn parts(lens: &[usize]) -> Vec<Part> {
    let service = |number: u64| Service {
        id: Id::of(&uuid::Uuid::from_u128(number.into())),
        service_type: "a".into(),
        address: ServiceAddress::new("10.0.0.1", number).unwrap(),
        labels: None,
    };
    let (last, mut numbers) = (lens.len() - 1, 1_u64..);
    let part = |(number, &len): (usize, &usize)| Part {
        rows: Rows::Services {
            index: 7,
            services: numbers.by_ref().take(len).map(service).collect(),
        },
        is_first: number == 0,
        is_last: number == last,
    };
    lens.iter().enumerate().map(part).collect()
}

/// The head and the body of an answer in these parts, and why the session ends after it.
fn answer(codec: &mut Codec, parts: &[Part]) -> (String, String, Option<CloseReason>) {
    let mut output = Output::default();
    let mut end = None;
    for part in parts {
        assert_eq!(end, None, "the end comes last");
        end = codec.encode_part(part, &mut output);
    }
    let text = String::from_utf8(output.take()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.into(), body.into(), end)
}

/// What the chunks of a body contain; panics where it has no end.
fn joined(mut body: &str) -> String {
    let mut joined = String::new();
    loop {
        let (len, rest) = body.split_once("\r\n").unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        let (chunk, rest) = rest.split_at(len);
        joined += chunk;
        body = rest.strip_prefix("\r\n").unwrap();
        if len == 0 {
            assert_eq!(body, "", "nothing follows the end");
            return joined;
        }
    }
}

#[test]
fn parts_are_one_list_with_its_index_whatever_is_in_them() {
    for (target, lens, len) in [
        ("/v1/health/service/a", &[2, 3, 1][..], 6),
        ("/v1/health/service/a", &[2, 0], 2),
        ("/v1/health/service/a", &[0], 0),
        ("/v1/health/service/a?node-meta=k%3Av", &[2, 3, 1], 0),
        ("/v1/agent/services", &[2, 3], 5),
        ("/sd", &[2, 3], 2),
    ] {
        let mut codec = asked(&[&get(target)]);
        let (head, body, end) = answer(&mut codec, &parts(lens));
        let list: serde_json::Value = serde_json::from_str(&joined(&body)).unwrap();
        let told = list
            .as_array()
            .map_or_else(|| list.as_object().unwrap().len(), |entries| entries.len());
        assert_eq!((told, end), (len, None), "{target} {lens:?}");
        let has_index = head.contains("\r\nX-Consul-Index: 7\r\n");
        assert_eq!(has_index, target.contains("health"), "{head}");
        assert!(!head.contains("Connection: close"), "{head}");
    }
}

#[test]
fn who_follows_is_sent_one_piece_that_others_share_and_who_asks_otherwise_the_same_body() {
    let target = "/v1/health/service/a";
    let Rows::Services { index, services } = parts(&[20]).remove(0).rows else {
        panic!("services");
    };
    let catalog = Rc::new(Rendered::new(Catalog { index, services }));
    let told = |request: &str| {
        let mut output = Output::default();
        asked(&[request]).encode(&Reply::Catalog(Rc::clone(&catalog)), &mut output);
        output
    };
    let (one, other) = (told(&get(target)), told(&get(target)));
    assert_eq!(one.front().len(), one.len(), "one write sends it");
    assert_eq!(one.front().as_ptr(), other.front().as_ptr());
    let usual = String::from_utf8(one.take()).unwrap();
    let (head, body) = usual.split_once("\r\n\r\n").unwrap();
    let closing = format!("{head}\r\nConnection: close\r\n\r\n");
    for (method, line, fields, expected) in [
        (
            "GET",
            "1.1",
            "Connection: close\r\n",
            format!("{closing}{body}"),
        ),
        ("GET", "1.0", "", format!("{closing}{body}")),
        ("HEAD", "1.1", "", format!("{head}\r\n\r\n")),
    ] {
        let request = format!("{method} {target} HTTP/{line}\r\nHost: a\r\n{fields}\r\n");
        let told = told(&request);
        assert!(told.own_capacity() < body.len(), "the body is shared");
        assert_eq!(String::from_utf8(told.take()).unwrap(), expected);
    }
    let filtered = told(&get(&format!("{target}?node-meta=a:b"))).take();
    assert!(filtered.ends_with(b"\r\n\r\n[]"));
}

#[test]
fn an_answer_in_parts_ends_its_request_and_the_connection_where_it_must() {
    // The body has come later than the head.
    let late = [
        "GET /sd HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
        "{}",
    ];
    let mut codec = asked(&late);
    assert_eq!(answer(&mut codec, &parts(&[1, 1])).2, None);
    let next = get("/api/query?type=next");
    let step = codec.decode(next.as_bytes());
    assert!(format!("{step:?}").contains("next"), "{step:?}");
    for (version, fields) in [("1.1", "Connection: close\r\n"), ("1.0", "")] {
        let request = format!("GET /sd HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let mut codec = asked(&[&request]);
        let (head, body, end) = answer(&mut codec, &parts(&[1, 1]));
        assert!(head.contains("\r\nConnection: close"), "{head}");
        assert_eq!(end, Some(CloseReason::Done), "{version}");
        let is_chunked = head.contains("\r\nTransfer-Encoding: chunked");
        assert_eq!(is_chunked, version == "1.1", "{head}");
        assert_eq!(body.ends_with("\r\n0\r\n\r\n"), is_chunked, "{body}");
    }
    let mut codec = asked(&["HEAD /sd HTTP/1.1\r\nHost: a\r\n\r\n"]);
    let (_, body, end) = answer(&mut codec, &parts(&[1, 1]));
    assert_eq!((&*body, end), ("", None));
}

#[test]
fn browsers_come_back_after_times_of_their_own() {
    let events = "GET /api/watch HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";
    let mut times = std::collections::BTreeSet::new();
    for port in 50_000..50_100 {
        let mut output = Output::default();
        let peer = Peer::without_session((Ipv4Addr::LOCALHOST, port).into());
        asked(&[events]).open_stream(&peer, &mut output);
        let text = String::from_utf8(output.take()).unwrap();
        let (_, rest) = text.split_once("\r\nretry: ").unwrap();
        let ms: u32 = rest.lines().next().unwrap().parse().unwrap();
        assert!((1_000..5_000).contains(&ms), "{ms}");
        times.insert(ms / 100);
    }
    assert!(times.len() > 20, "{times:?}");
}

/// The bytes of an update, as the peer of this request gets them.
fn told(request: &str, update: &Update) -> String {
    let codec = asked(&[request]);
    let mut text = Vec::new();
    codec.render(update, |piece| text.extend_from_slice(piece));
    String::from_utf8(text).unwrap()
}

#[test]
fn a_stream_is_written_as_its_own_request_asks_whoever_else_is_told_the_same() {
    let accept = "Accept: text/event-stream\r\n";
    let delta = Rendered::new(Delta {
        index: 9,
        up: Vec::new(),
        down: Vec::new(),
    });
    let updates = [
        (Update::Deltas(Rc::from([delta])), "change"),
        (Update::Keepalive(9), "still"),
    ];
    for (update, name) in updates {
        let of = |version: &str, fields: &str| {
            let request = format!("GET /api/watch HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
            told(&request, &update)
        };
        let line = of("1.0", "");
        assert!(
            line.starts_with("{\"index\":9") && line.ends_with("}\n"),
            "{line}"
        );
        let event = of("1.0", accept);
        assert_eq!(event, format!("id: 9\nevent: {name}\ndata: {line}\n"));
        for (plain, chunk) in [(line, of("1.1", "")), (event, of("1.1", accept))] {
            assert_eq!(chunk, format!("{:x}\r\n{plain}\r\n", plain.len()));
        }
    }
}

#[test]
fn a_lease_goes_on_until_it_is_closed_once_whatever_the_request_says_of_the_connection() {
    let body = r#"{"type":"a","port":1}"#;
    for (version, still, end) in [("1.1", "3\r\n{}\n\r\n", "0\r\n\r\n"), ("1.0", "{}\n", "")] {
        let request = format!(
            "POST /api/hold HTTP/{version}\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut codec = asked(&[&request]);
        let registered = Reply::Registered(uuid::Uuid::from_u128(1));
        let mut output = Output::default();
        codec.encode(&registered, &mut output);
        assert_eq!(
            (codec.ends_with(&registered), codec.is_lease()),
            (None, true)
        );
        let mut text = String::new();
        codec.render(&Update::Keepalive(9), |piece| {
            text += std::str::from_utf8(piece).unwrap();
        });
        assert_eq!(text, still);
        // What the peer sends now is dropped, and is no request, also where the input ends with it.
        let step = codec.decode(b"GET / ");
        assert_eq!((step.consumed, step.decoded), (6, Decoded::Incomplete));
        assert_eq!(codec.finish(b"GET / "), Decoded::Incomplete);
        let mut output = Output::default();
        codec.close_stream(&mut output);
        codec.close_stream(&mut output);
        assert_eq!(output.take(), end.as_bytes());
    }
}

#[test]
fn a_request_that_ends_early_is_refused_as_itself_and_what_is_kept_of_it_is_counted() {
    let begin = "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n";
    let mut codec = asked(&[&get("/api/ping")]);
    codec.encode(&Reply::Pong, &mut Output::default());
    assert_eq!(codec.collected_len(), 0);
    assert_eq!(codec.decode(begin.as_bytes()).decoded, Decoded::Incomplete);
    let of_head = codec.collected_len();
    assert!(of_head >= begin.len());
    codec.decode(&[b'x'; 1000]);
    assert!(codec.collected_len() >= of_head + 1000);
    let Decoded::Refused(refusal) = codec.finish(b"") else {
        panic!("a part of it was taken for all");
    };
    let refused = Reply::Refused(refusal);
    let mut output = Output::default();
    codec.encode(&refused, &mut output);
    assert_eq!(codec.ends_with(&refused), Some(CloseReason::Protocol));
    // A refusal before the head is read is not made as the request before it asked.
    let mut codec = asked(&["HEAD /v1/agent/self HTTP/1.1\r\nHost: a\r\n\r\n"]);
    codec.encode(&Reply::Help, &mut Output::default());
    let Decoded::Refused(refusal) = codec.decode(b"GET / HTTP/1.1\n").decoded else {
        panic!("it was taken");
    };
    let mut output = Output::default();
    codec.encode(&Reply::Refused(refusal), &mut output);
    let text = String::from_utf8(output.take()).unwrap();
    assert!(text.ends_with("\"code\":\"invalid\"}"), "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
}
