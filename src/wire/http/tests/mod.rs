//! The codec with requests that are easily got wrong, in one piece and in many.

mod answers;
mod frequent;
mod smuggling;

use std::rc::Rc;

use super::Site;
use crate::message::{HttpRefusal, Peer, Refusal, Reply};
use crate::wire::output::Output;
use crate::wire::{Codec, Decoded, Protocol};

/// What a connection makes of its input, which arrives in these pieces: each command or refusal as text.
/// Every command is answered.
pub(super) fn decode(pieces: &[&[u8]]) -> Vec<String> {
    decode_at(Site::default(), pieces)
}

fn decode_at(site: Site, pieces: &[&[u8]]) -> Vec<String> {
    let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::new(site)));
    let (mut input, mut seen) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let step = codec.decode(&input);
            let consumed = step.consumed;
            let reply = match &step.decoded {
                Decoded::Incomplete => None,
                // Whether the body has arrived already decides about this one.
                Decoded::Continue => Some(None),
                Decoded::Command(_) => Some(Some(Reply::Ok)),
                Decoded::Refused(refusal) | Decoded::Denied(_, refusal) => {
                    Some(Some(Reply::Refused(refusal.clone())))
                }
            };
            let text = format!("{:?}", step.decoded);
            input.drain(..consumed);
            let Some(reply) = reply else { break };
            let Some(reply) = reply else { continue };
            seen.push(text);
            codec.encode(&reply, &mut Output::default());
            if codec.ends_with(&reply).is_some() {
                return seen;
            }
        }
    }
    match codec.finish(&input) {
        Decoded::Incomplete => {}
        decoded => seen.push(format!("{decoded:?}")),
    }
    seen
}

/// What is answered to this input, which is all that there is.
pub(super) fn answered(site: Site, input: &str) -> String {
    let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::new(site)));
    let mut output = Output::default();
    let step = codec.decode(input.as_bytes());
    let reply = match step.decoded {
        Decoded::Command(_) => Reply::Ok,
        Decoded::Refused(refusal) | Decoded::Denied(_, refusal) => Reply::Refused(refusal),
        other => panic!("{other:?}"),
    };
    codec.encode(&reply, &mut output);
    String::from_utf8(output.front().to_vec()).unwrap()
}

fn status(answer: &str) -> u16 {
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

#[test]
fn every_refusal_is_json_with_its_code_and_its_status() {
    for (request, expected, code) in [
        ("GET /no HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"),
        ("POST /sd HTTP/1.1\r\nHost: a\r\n\r\n", 405, "unsupported"),
        (
            "GET /api/register HTTP/1.1\r\nHost: a\r\n\r\n",
            405,
            "unsupported",
        ),
        ("GET /api/query HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid"),
        (
            "GET /api/query?type=a&x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "invalid",
        ),
        (
            "GET /api/types?x HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "invalid",
        ),
        (
            "GET /api/query?type=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "invalid",
        ),
        ("GET /health HTTP/1.1\r\n\r\n", 400, "invalid"),
        (
            "GET /health HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n",
            403,
            "forbidden",
        ),
        (
            "GET /health HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: same-site\r\n\r\n",
            403,
            "forbidden",
        ),
        (
            "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]",
            400,
            "invalid",
        ),
        (
            "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n",
            413,
            "too_large",
        ),
        (
            "POST /api/why HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "unsupported",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
            417,
            "unsupported",
        ),
        ("GET / HTTP/1.7\r\nHost: a\r\n\r\n", 505, "unsupported"),
    ] {
        let answer = answered(Site::default(), request);
        assert_eq!(status(&answer), expected, "{request}{answer}");
        assert!(
            answer.ends_with(&format!("\"code\":\"{code}\"}}")),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"),
            "{answer}"
        );
    }
    let not_allowed = answered(Site::default(), "PUT /sd HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        not_allowed.contains("\r\nAllow: GET, HEAD\r\n"),
        "{not_allowed}"
    );
}

#[test]
fn what_is_full_is_unavailable_and_the_connection_goes_on() {
    for refusal in [Refusal::RegistryFull, Refusal::TooManyHolds] {
        let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
        codec.decode(b"GET /api/types HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut output = Output::default();
        let reply = Reply::Refused(refusal);
        codec.encode(&reply, &mut output);
        let text = String::from_utf8(output.take()).unwrap();
        assert_eq!(
            (status(&text), codec.ends_with(&reply)),
            (503, None),
            "{text}"
        );
    }
}

#[test]
fn row_54_an_origin_that_is_no_text_is_nobody_s_own() {
    let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
    let step = codec.decode(b"GET /api/types HTTP/1.1\r\nHost: a\r\nOrigin: http://a\xff\r\n\r\n");
    assert_eq!(
        step.decoded,
        Decoded::Refused(Refusal::Http(HttpRefusal::CrossOrigin))
    );
}

#[test]
fn row_54_on_loopback_only_names_of_this_host_are_answered() {
    let site = || {
        let names = ["registry.example".into()];
        Site::default().only_for("127.0.0.2".parse().unwrap(), &names)
    };
    for (host, expected) in [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:65432", 200),
        ("127.0.0.2", 200),
        ("[::1]:9", 200),
        ("registry.example", 200),
        ("registry.example:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.3", 421),
    ] {
        let request = format!("GET /api/ping HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&answered(site(), &request)), expected, "{host}");
        let absolute = format!("GET http://{host}/api/ping HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(status(&answered(site(), &absolute)), expected, "{host}");
    }
}

#[test]
fn a_request_says_who_asks() {
    let long = "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n";
    for (request, token) in [
        ("GET /api/types HTTP/1.1\r\nHost: a\r\n", "None"),
        (
            "GET /api/types HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc\r\n",
            "Some(\"abc\")",
        ),
        (
            "GET /api/types HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dXNlcjphYmM=\r\n",
            "Some(\"abc\")",
        ),
        (
            "GET /api/types HTTP/1.1\r\nHost: a\r\nAuthorization: basic  dXNlcjphOmJj\r\n",
            "Some(\"a:bc\")",
        ),
        (
            "GET /api/types HTTP/1.1\r\nHost: a\r\nAuthorization: Basic !\r\n",
            "None",
        ),
        (
            "GET /v1/agent/self?token= HTTP/1.1\r\nHost: a\r\nX-Consul-Token: abc\r\n",
            "Some(\"abc\")",
        ),
        (
            "GET /api/types?token=q HTTP/1.1\r\nHost: a\r\nX-Consul-Token: abc\r\n",
            "Some(\"abc\")",
        ),
        (
            "GET /v1/agent/self?token=q HTTP/1.1\r\nHost: a\r\nX-Consul-Token: abc\r\n",
            "Some(\"q\")",
        ),
        (
            "GET /v1/agent/self HTTP/1.1\r\nHost: a\r\nX-Consul-Token:\r\n",
            "None",
        ),
    ] {
        let seen = decode(&[request.as_bytes(), b"\r\n"]);
        let expected = format!("OfMessage({token})");
        assert!(seen[0].contains(&expected), "{request}{seen:?}");
    }
    let seen = decode(&[long.as_bytes(), b"Authorization: Bearer abc\r\n\r\n", b"{}"]);
    assert!(seen[0].contains("OfMessage(Some(\"abc\"))"), "{seen:?}");
}

#[test]
fn the_overdue_and_the_unfinished_are_told_so() {
    let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
    codec.decode(b"GET / HT");
    let mut output = Output::default();
    let overdue = codec.overdue();
    codec.encode(&Reply::Refused(overdue), &mut output);
    let text = String::from_utf8(output.front().to_vec()).unwrap();
    assert_eq!(status(&text), 408, "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    let unfinished = decode(&[b"GET / HTTP/1.1\r\nHost: a"]);
    assert!(
        unfinished[0].starts_with("Refused(Http(Malformed"),
        "{unfinished:?}"
    );
    let refusal = Refusal::Http(HttpRefusal::Overdue);
    assert!(refusal.close_reason().is_some());
}

#[test]
fn a_peer_is_told_to_go_on_only_where_it_may_wait_for_that() {
    let begin = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    for (request, goes_on) in [
        (format!("POST /api/why HTTP/1.1\r\n{begin}"), true),
        (format!("POST /api/why HTTP/1.1\r\n{begin}{{"), false),
        (format!("POST /api/why HTTP/1.0\r\n{begin}"), false),
    ] {
        let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
        let step = codec.decode(request.as_bytes());
        assert_eq!(step.decoded == Decoded::Continue, goes_on, "{request}");
    }
}

#[test]
fn of_fields_that_stand_twice_each_counts() {
    let get = "GET /api/watch HTTP/1.1\r\nHost: a\r\n";
    for fields in [
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Site: none\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: same-site\r\n",
    ] {
        let answer = answered(Site::default(), &format!("{get}{fields}\r\n"));
        assert_eq!(status(&answer), 403, "{fields}");
    }
    for (fields, style) in [
        (
            "Accept: text/html, Text/Event-Stream;q=0.9\r\n",
            "text/event-stream",
        ),
        (
            "Accept: text/event-stream\r\nAccept: text/html\r\n",
            "text/event-stream",
        ),
        ("Accept: text/event-streams\r\n", "application/x-ndjson"),
    ] {
        let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
        codec.decode(format!("{get}{fields}\r\n").as_bytes());
        let mut output = Output::default();
        let peer = Peer::without_session((std::net::Ipv4Addr::LOCALHOST, 1).into());
        codec.open_stream(&peer, &mut output);
        let head = String::from_utf8(output.front().to_vec()).unwrap();
        assert!(
            head.contains(&format!("Content-Type: {style}\r\n")),
            "{head}"
        );
    }
}
