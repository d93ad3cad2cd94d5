//! Requests that two readers could take for different ones. Each is answered as one thing, however it
//! is cut, and nothing in a body is ever run.

use super::decode;
use crate::limits::{HTTP_BODY_LEN_MAX, HTTP_HEAD_LEN_MAX};

/// A command that would be seen if a body, or what follows a refused request, were run.
const NEXT: &str = "GET /api/query?type=next HTTP/1.1\r\nHost: a\r\n\r\n";

fn cut_everywhere(input: &[u8]) -> Vec<String> {
    let whole = decode(&[input]);
    for cut in 0..=input.len() {
        let (a, b) = input.split_at(cut);
        let text = String::from_utf8_lossy(input);
        assert_eq!(decode(&[a, b]), whole, "{text:?} cut at {cut}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode(&bytes), whole, "byte by byte");
    whole
}

#[test]
fn row_52_what_two_readers_could_understand_differently_is_refused_at_every_cut() {
    let head = "POST /api/why HTTP/1.1\r\nHost: a\r\n";
    let long_name = "x".repeat(9000);
    let many = "A: b\r\n".repeat(101);
    for (input, refusal) in [
        (format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"), "Malformed"),
        (format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"), "Malformed"),
        (format!("{head}Content-Length: +2\r\n\r\n{{}}"), "Malformed"),
        (format!("{head}Content-Length: 2, 2\r\n\r\n{{}}"), "Malformed"),
        (format!("{head}Content-Length: 0x2\r\n\r\n{{}}"), "Malformed"),
        (format!("{head}Content-Length: -1\r\n\r\n"), "Malformed"),
        (format!("{head}Content-Length:\r\n\r\n"), "Malformed"),
        (format!("{head}Content-Length: 99999999999999999999999\r\n\r\n"), "BodyTooLong"),
        (format!("{head}Transfer-Encoding: identity\r\n\r\n"), "TransferCoding"),
        (format!("{head}Transfer-Encoding: chunked, chunked\r\n\r\n"), "TransferCoding"),
        (format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), "TransferCoding"),
        (format!("{head}Transfer-Encoding: xchunked\r\n\r\n"), "TransferCoding"),
        (format!("{head}Transfer-Encoding : chunked\r\n\r\n"), "Malformed"),
        ("POST /api/why HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{{}}\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{{}}\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n+2\r\n{{}}\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n2\n{{}}\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n 2\r\n{{}}\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n2\n{{}}\n0\n\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{}}\r\n0\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n"), "Malformed"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n10001\r\n"), "BodyTooLong"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nX: y\r\n\r\n"), "Malformed"),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\nHost: c\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{80}: b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n".into(), "Malformed"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Version"),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Version"),
        ("GET /\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Consul-Token: a\r\nX-Consul-Token: b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n\r\n".into(), "Malformed"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(), "Version"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long_name}\r\n\r\n"), "HeadTooLong"),
        (format!("GET /{long_name} HTTP/1.1\r\nHost: a\r\n\r\n"), "HeadTooLong"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "HeadTooLong"),
    ] {
        let seen = if input.len() < 1000 {
            cut_everywhere(format!("{input}{NEXT}").as_bytes())
        } else {
            decode(&[format!("{input}{NEXT}").as_bytes()])
        };
        let expected = format!("Refused(Http({refusal}");
        assert!(
            seen.len() == 1 && seen[0].starts_with(&expected),
            "{input:?} was taken for {seen:?}"
        );
    }
}

#[test]
fn row_52_what_is_allowed_is_one_request_with_its_body_at_every_cut() {
    let body = r#"{"uuid":"3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#;
    let chunked = format!(
        "{:x}\r\n{}\r\n{:X}\r\n{}\r\n0\r\n\r\n",
        10,
        &body[..10],
        body.len() - 10,
        &body[10..]
    );
    let inside = format!("{}{}", body.len() + NEXT.len(), "");
    for (input, commands) in [
        (
            format!("GET /api/ping HTTP/1.1\r\nHost: a\r\n\r\n{NEXT}"),
            2,
        ),
        (
            format!("GET /api/ping HTTP/1.1\r\nhOsT:a\r\n\r\n\r\n{NEXT}"),
            2,
        ),
        (
            format!("GET http://a/api/ping HTTP/1.1\r\nHost: b\r\n\r\n{NEXT}"),
            2,
        ),
        (
            format!("GET HTTP://a/api/ping HTTP/1.1\r\nHost: b\r\n\r\n{NEXT}"),
            2,
        ),
        (format!("GET http://a HTTP/1.1\r\nHost: b\r\n\r\n{NEXT}"), 2),
        (
            format!("GET http://a?b HTTP/1.1\r\nHost: b\r\n\r\n{NEXT}"),
            2,
        ),
        (format!("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n{NEXT}"), 2),
        (
            format!("GET /api/ping HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n{NEXT}"),
            1,
        ),
        (
            format!("GET /api/ping HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n{NEXT}"),
            2,
        ),
        (
            format!(
                "GET /api/ping HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n\r\n{NEXT}"
            ),
            2,
        ),
        (
            format!("GET /api/ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{NEXT}"),
            1,
        ),
        (format!("GET /api/ping HTTP/1.0\r\n\r\n{NEXT}"), 1),
        (
            format!(
                "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}{NEXT}",
                body.len()
            ),
            2,
        ),
        (
            format!(
                "POST /api/why HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {}\r\n\r\n{body}{NEXT}",
                body.len()
            ),
            2,
        ),
        (
            format!(
                "POST /api/why HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{chunked}{NEXT}"
            ),
            2,
        ),
        // A body that is a request is no request.
        (
            format!(
                "GET /api/ping HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{NEXT}",
                NEXT.len()
            ),
            1,
        ),
        (
            format!(
                "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: {inside}\r\n\r\n{body}{NEXT}"
            ),
            1,
        ),
        (
            format!(
                "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\nregister a 127.0.0.1 1\n",
                23
            ),
            1,
        ),
    ] {
        let seen = cut_everywhere(input.as_bytes());
        assert_eq!(seen.len(), commands, "{input:?} was taken for {seen:?}");
        assert!(!seen[0].contains("Malformed"), "{input:?}: {seen:?}");
        let next = seen.last().filter(|_| commands == 2);
        assert!(next.is_none_or(|next| next.contains("next")), "{seen:?}");
    }
}

#[test]
fn row_53_a_head_has_its_bound_to_the_byte_and_what_has_no_end_is_refused_at_the_bound() {
    let begin = "GET /api/ping HTTP/1.1\r\nHost: a\r\nX: ";
    let head = |len: usize| format!("{begin}{}\r\n\r\n", "y".repeat(len - begin.len() - 4));
    let longest = decode(&[head(HTTP_HEAD_LEN_MAX).as_bytes()]);
    assert!(longest[0].contains("Ping"), "{longest:?}");
    for wrong in [
        head(HTTP_HEAD_LEN_MAX + 1),
        format!("{begin}{}", "y".repeat(HTTP_HEAD_LEN_MAX)),
    ] {
        let seen = decode(&[wrong.as_bytes()]);
        assert_eq!(seen, ["Refused(Http(HeadTooLong))"]);
    }
    let chunked = "POST /api/why HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for wrong in ["000000002", "2;", "x"] {
        let seen = decode(&[chunked.as_bytes(), wrong.as_bytes()]);
        let refused = "the length of a chunk is malformed";
        assert!(seen[0].contains(refused), "{wrong}: {seen:?}");
    }
}

#[test]
fn row_53_a_body_in_chunks_has_its_bound_to_the_byte() {
    let begin = "POST /api/why HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let half = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
    assert_eq!(2 * 0x8000, HTTP_BODY_LEN_MAX);
    for (last, is_taken) in [("0\r\n\r\n", true), ("1\r\n \r\n0\r\n\r\n", false)] {
        let input = format!("{begin}{half}{half}{last}");
        let seen = decode(&[input.as_bytes()]);
        assert_eq!(
            seen[0].contains("BodyTooLong"),
            !is_taken,
            "{last}: {seen:?}"
        );
    }
}

#[test]
fn row_52_no_line_of_text_is_taken_for_http_and_no_request_for_text() {
    for (input, expected) in [
        ("query GET\n", "Query"),
        ("QUERY /a\n", "Query"),
        ("query HTTP/1.1\r\n", "Query"),
        ("ping\n", "Ping"),
        ("GET hive\n", "UnknownCommand"),
        ("GET / HTTP/2.0\r\n", "Malformed"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "OtherHttp"),
        ("query /a HTTP/1.1\r\nHost: a\r\n\r\n", "NoRoute"),
        ("FOO /a b HTTP/1.1\r\n\r\n", "Version"),
        ("\r\nGET / HTTP/1.1\r\n", "OtherHttp"),
        ("OPTIONS * RTSP/1.0\r\n", "OtherProtocol"),
        ("HTTP/1.1 200 OK\r\n", "OtherHttp"),
        ("register a 127.0.0.1 1 HTTP/1.1\n", "Malformed"),
    ] {
        let seen = cut_everywhere(input.as_bytes());
        assert!(
            seen.first().is_some_and(|first| first.contains(expected)),
            "{input:?} was taken for {seen:?}"
        );
    }
    let long = format!("FOO /{} HTTP/1.1\r\n\r\n", "x".repeat(1500));
    assert_eq!(cut_everywhere(long.as_bytes()), ["Refused(LineTooLong)"]);
}
