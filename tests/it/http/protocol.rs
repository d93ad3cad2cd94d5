//! The protocol: what is one request, how long it may take, and that nothing else of it is run.

use std::io::Write;

use super::client::HttpClient;
use super::{get, post, register};
use crate::common::Service;

#[test]
fn row_53_ten_thousand_pipelined_requests_are_answered_in_their_order() {
    const COUNT: usize = 10_000;
    let service = Service::start(&[]);
    register(&service, r#"{"type":"t3","ip":"10.0.0.1","port":3}"#);
    let host = service.address();
    let request = |number| {
        let of = number % 7;
        format!("GET /api/query?type=t{of} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    };
    let requests: String = (0..COUNT).map(request).collect();
    let mut client = HttpClient::connect(&service);
    let mut writer = client.writer();
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(requests.as_bytes()).expect("it is read"));
        for number in 0..COUNT {
            let answer = client.response(false);
            let expected = if number % 7 == 3 {
                r#"[{"ip":"10.0.0.1","port":3}]"#
            } else {
                "[]"
            };
            assert_eq!((answer.status, answer.text()), (200, expected), "{number}");
        }
    });
}

#[test]
fn row_53_idle_connections_take_little_and_are_used_again() {
    const COUNT: u64 = 2_000;
    let service = Service::start(&[]);
    let before = service.status_kb("RssAnon");
    let mut clients: Vec<HttpClient> = (0..COUNT)
        .map(|_| {
            let mut client = HttpClient::connect(&service);
            assert_eq!(client.get("/health").status, 200);
            client
        })
        .collect();
    let each = (service.status_kb("RssAnon") - before) * 1024 / COUNT;
    assert!(each <= 1024, "{each} bytes for each idle connection");
    for client in &mut clients {
        assert_eq!(client.get("/health").status, 200);
    }
}

#[test]
fn the_head_of_an_answer_is_that_of_get_without_the_body() {
    let service = Service::start(&[]);
    let mut client = HttpClient::connect(&service);
    for target in [
        "/",
        "/health",
        "/api/query?type=a",
        "/metrics",
        "/no",
        "/api/watch",
        "/v1/agent/self",
    ] {
        let head = client.ask("HEAD", target, &[], "");
        let mut other = HttpClient::connect(&service);
        other.start("GET", target, &[], "");
        let whole = other.head();
        if target == "/metrics" || target == "/api/watch" {
            assert_eq!(
                (head.status, head.field("Content-Type")),
                (whole.status, whole.field("Content-Type"))
            );
            continue;
        }
        assert_eq!(
            (head.status, head.fields),
            (whole.status, whole.fields),
            "{target}"
        );
    }
    assert_eq!(client.get("/health").text(), "OK\n");
}

#[test]
fn a_body_may_come_late_in_chunks_and_after_it_was_asked_for() {
    let service = Service::start(&[]);
    let host = service.address();
    let mut client = HttpClient::connect(&service);
    let body = r#"{"type":"late","ip":"10.0.0.1","port":80}"#;
    client.start(
        "POST",
        "/api/register",
        &["Expect: 100-continue", "Transfer-Encoding: chunked"],
        "",
    );
    assert_eq!(client.head().status, 100);
    for byte in body.as_bytes() {
        client.send([b"1\r\n", &[*byte][..], b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response(false).status, 200);
    client.send(format!(
        "POST /api/register HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(body);
    assert_eq!(client.response(false).status, 200);
    assert_eq!(
        get(&service, "/api/query?type=late")
            .json()
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    // As large as it may be.
    let blanks = " ".repeat(64 * 1024 - body.len());
    let answer = post(&service, "/api/register", &format!("{body}{blanks}"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let service = Service::start(&[]);
    for target in ["/health", "/api/query?type=a", "/no"] {
        let mut client = HttpClient::connect(&service);
        client.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        // Without a host there is nothing to check: no browser sends such a request.
        let answer = client.rest();
        assert!(
            answer.starts_with("HTTP/1.1 421") || answer.contains("\r\nConnection: close\r\n"),
            "{answer}"
        );
    }
    let mut client = HttpClient::connect(&service);
    client.send("GET /health HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\nGET /no HTTP/1.0\r\n\r\n");
    let answer = client.rest();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nOK\n"),
        "{answer}"
    );
}

#[test]
fn row_52_nothing_of_a_body_or_behind_a_refused_request_is_run() {
    let service = Service::start(&[]);
    let host = service.address();
    let command = "register late 10.0.0.1 1\n";
    let request = format!(
        "POST /api/register HTTP/1.1\r\nHost: {host}\r\nContent-Length: 40\r\n\r\n{}",
        r#"{"type":"late","ip":"10.0.0.1","port":1}"#
    );
    for start in [
        format!(
            "GET /health HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
            request.len()
        ),
        format!(
            "GET /health HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
        ),
        format!(
            "GET /health HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        format!("GET /health HTTP/1.1\r\nHost: {host}\r\nX: y\n\r\n"),
        format!(
            "POST /api/hold HTTP/1.1\r\nHost: {host}\r\nContent-Length: 40\r\n\r\n{}",
            r#"{"type":"held","ip":"10.0.0.1","port":1}"#
        ),
        format!("GET /api/watch HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        for rest in [command, &request] {
            let mut client = HttpClient::connect(&service);
            client.send(format!("{start}{rest}"));
            client.shut();
            client.rest();
            assert_eq!(
                service.connect().ask("query late"),
                "[]",
                "{start:?}{rest:?}"
            );
        }
    }
}

#[test]
fn row_53_a_slow_head_and_a_slow_body_are_told_so_after_10_s() {
    let service = Service::start(&[]);
    let host = service.address();
    let heads = [
        "GET /heal".to_owned(),
        format!("POST /api/register HTTP/1.1\r\nHost: {host}\r\nContent-Length: 40\r\n\r\n{{"),
        format!(
            "POST /api/register HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"
        ),
    ];
    let mut clients: Vec<HttpClient> = heads
        .iter()
        .map(|head| {
            let mut client = HttpClient::connect(&service);
            client.send(head);
            client
        })
        .collect();
    for client in &mut clients {
        let answer = client.response(false);
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(answer.field("Connection"), Some("close"));
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn row_53_a_head_or_a_body_that_is_too_long_is_refused_at_once() {
    let service = Service::start(&[]);
    let host = service.address();
    let field = format!("X: {}\r\n", "y".repeat(1000));
    for (request, status) in [
        (
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}", field.repeat(9)),
            431,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n",
                "A: b\r\n".repeat(100)
            ),
            431,
        ),
        (
            format!("POST /api/register HTTP/1.1\r\nHost: {host}\r\nContent-Length: 65537\r\n\r\n"),
            413,
        ),
        (
            format!(
                "POST /api/register HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                format!("8000\r\n{}\r\n", " ".repeat(0x8000)).repeat(3)
            ),
            413,
        ),
    ] {
        let mut client = HttpClient::connect(&service);
        client.send(request);
        let answer = client.response(false);
        assert_eq!(
            (answer.status, answer.field("Connection")),
            (status, Some("close"))
        );
    }
}
