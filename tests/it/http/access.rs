//! Who may ask: this host's own pages, and who shows a token.

use super::client::HttpClient;
use super::{get, post};
use crate::common::{Service, path, private_file};

fn ask(service: &Service, target: &str, fields: &[&str]) -> u16 {
    HttpClient::connect(service)
        .ask("GET", target, fields, "")
        .status
}

#[test]
fn row_54_a_page_of_another_origin_changes_nothing_and_reads_nothing() {
    let service = Service::start(&[]);
    let body = r#"{"type":"evil","ip":"10.0.0.1","port":1}"#;
    let own = format!("Origin: http://{}", service.address());
    for fields in [
        &["Origin: http://evil.example"][..],
        &["Origin: null"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"],
        &["Sec-Fetch-Site: same-site"],
        &["Origin: http://localhost:3000", "Content-Type: text/plain"],
    ] {
        for (method, target, body) in [
            ("POST", "/api/register", body),
            ("POST", "/api/hold", body),
            ("GET", "/api/list", ""),
            ("GET", "/api/watch", ""),
            ("GET", "/v1/catalog/services", ""),
            ("GET", "/metrics", ""),
            ("GET", "/", ""),
        ] {
            let answer = HttpClient::connect(&service).ask(method, target, fields, body);
            assert_eq!(answer.status, 403, "{fields:?} {target}: {answer:?}");
            assert!(
                answer
                    .fields
                    .iter()
                    .all(|(name, _)| !name.to_lowercase().starts_with("access-control"))
            );
        }
    }
    assert_eq!(service.connect().ask("query evil"), "[]");
    for fields in [
        &[&*own][..],
        &["Sec-Fetch-Site: same-origin"],
        &["Sec-Fetch-Site: none"],
    ] {
        let answer = HttpClient::connect(&service).ask("POST", "/api/register", fields, body);
        assert_eq!(answer.status, 200, "{fields:?}");
    }
    let preflight = HttpClient::connect(&service).ask(
        "OPTIONS",
        "/api/register",
        &[
            "Origin: http://evil.example",
            "Access-Control-Request-Method: POST",
        ],
        "",
    );
    assert_eq!(preflight.status, 403);
}

#[test]
fn row_54_a_name_that_was_rebound_to_this_host_reads_nothing() {
    let service = Service::start(&["--http-host", "registry.example"]);
    let status = |host: &str| {
        let mut client = HttpClient::connect(&service);
        client.send(format!("GET /api/list HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response(false).status
    };
    for host in [
        "localhost",
        "localhost:1",
        "127.0.0.1",
        "[::1]:80",
        "registry.example:8080",
    ] {
        assert_eq!(status(host), 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:65432",
        "127.0.0.1.evil.example",
        "10.0.0.1",
    ] {
        assert_eq!(status(host), 421, "{host}");
    }
}

#[test]
fn with_tokens_each_request_shows_one() {
    let tokens = private_file("abc\ndef\n");
    let service = Service::start(&["--token-file", path(&tokens)]);
    for open in ["/health", "/api/ping"] {
        assert_eq!(ask(&service, open, &[]), 200, "{open}");
        // Also for who shows an old token.
        let wrong = "Authorization: Bearer wrong";
        assert_eq!(ask(&service, open, &[wrong]), 200, "{open}");
    }
    for target in [
        "/",
        "/api/types",
        "/metrics",
        "/sd",
        "/openapi.json",
        "/no",
        "/api/query",
        "/api/watch",
    ] {
        let answer = get(&service, target);
        assert_eq!(answer.status, 401, "{target}");
        let field = answer.field("WWW-Authenticate").expect("a field");
        assert!(field.starts_with("Basic "), "{field}");
        assert_eq!(answer.json()["code"], "unauthenticated");
        // A page's script, which asks for the token itself, keeps the browser from doing so.
        let fields = ["X-Requested-With: fetch"];
        let answer = HttpClient::connect(&service).ask("GET", target, &fields, "");
        let field = answer.field("WWW-Authenticate").expect("a field");
        assert!(field.starts_with("Bearer "), "{field}");
        // Who guesses connects again for each guess.
        let wrong = ["Authorization: Bearer wrong"];
        let answer = HttpClient::connect(&service).ask("GET", target, &wrong, "");
        assert_eq!(
            (answer.status, answer.field("Connection")),
            (401, Some("close")),
            "{target}"
        );
    }
    assert_eq!(
        post(&service, "/api/register", r#"{"type":"a","port":1}"#).status,
        401
    );
    for field in [
        "Authorization: Bearer abc",
        "authorization: bearer def",
        "Authorization: Basic dXNlcjphYmM=",
        "X-Consul-Token: abc",
    ] {
        assert_eq!(ask(&service, "/api/types", &[field]), 200, "{field}");
        assert_eq!(ask(&service, "/v1/agent/self", &[field]), 200, "{field}");
        assert_eq!(ask(&service, "/no", &[field]), 404, "{field}");
    }
    assert_eq!(ask(&service, "/v1/agent/self?token=abc", &[]), 200);
    assert_eq!(ask(&service, "/api/types?token=abc", &[]), 401);
    for target in ["/v1/agent/self", "/v1/agent/self?token=no", "/v1/no"] {
        let answer = get(&service, target);
        assert_eq!(
            (answer.status, answer.field("Content-Type")),
            (403, Some("text/plain; charset=utf-8")),
            "{target}"
        );
    }
    // Clients that share a connection do not share their rights.
    let mut client = HttpClient::connect(&service);
    let token = "Authorization: Bearer abc";
    let offer = r#"{"type":"a","port":1}"#;
    let answer = client.ask("POST", "/api/register", &[token], offer);
    assert_eq!(answer.status, 200);
    for target in ["/api/types", "/api/query?type=a"] {
        for times in [1, 3] {
            for (fields, status) in [(&[token][..], 200), (&[], 401)] {
                for _ in 0..times {
                    let answer = client.ask("GET", target, fields, "");
                    assert_eq!(answer.status, status, "{target} {fields:?}");
                }
            }
        }
    }
    assert!(!service.log().contains("abc"));
}

#[test]
fn what_is_asked_for_is_not_logged() {
    let service = Service::start(&["--insecure"]);
    get(&service, "/v1/agent/self?token=very-secret");
    post(
        &service,
        "/api/why",
        r#"{"uuid":"3999da30-2a11-463a-be8e-6b2beca7bfe6"}"#,
    );
    let log = service.log();
    assert!(
        !log.contains("very-secret") && !log.contains("3999da30-2a11"),
        "{log}"
    );
}
