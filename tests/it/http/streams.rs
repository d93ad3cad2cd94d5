//! Streams: `watch` and `hold` as the bodies of answers.

use serde_json::{Value, json};

use super::client::HttpClient;
use super::{get, register};
use crate::common::{Service, wait_until};

#[test]
fn a_watcher_is_told_the_lines_of_text() {
    let service = Service::start(&[]);
    let mut of_text = service.connect();
    of_text.send("watch web\n");
    let mut client = HttpClient::connect(&service);
    client.start("GET", "/api/watch?type=web", &[], "");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("Content-Type")),
        (200, Some("application/x-ndjson"))
    );
    assert_eq!(head.field("X-Accel-Buffering"), Some("no"));
    let told = |client: &mut HttpClient, of_text: &mut crate::common::Client| {
        let line = client.line();
        assert_eq!(
            serde_json::from_str::<Value>(&of_text.line()).expect("JSON"),
            line
        );
        line
    };
    assert_eq!(told(&mut client, &mut of_text)["services"], json!([]));
    let uuid = register(
        &service,
        r#"{"type":"web","ip":"10.0.0.1","port":80,"tags":["a"]}"#,
    );
    assert_eq!(
        told(&mut client, &mut of_text)["up"][0]["tags"],
        json!(["a"])
    );
    register(&service, r#"{"type":"other","ip":"10.0.0.1","port":80}"#);
    service.connect().ask(format!("deregister {uuid}").as_str());
    assert_eq!(
        told(&mut client, &mut of_text)["down"][0]["reason"],
        "deregistered"
    );
}

#[test]
fn a_browser_is_told_events() {
    let service = Service::start(&[]);
    let mut client = HttpClient::connect(&service);
    client.start("GET", "/api/watch", &["Accept: text/event-stream"], "");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("Content-Type")),
        (200, Some("text/event-stream"))
    );
    let event = |client: &mut HttpClient| {
        String::from_utf8(client.chunk().expect("an event")).expect("text")
    };
    let retry = event(&mut client);
    let ms = retry
        .strip_prefix("retry: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    let ms: u64 = ms.expect("a time").parse().expect("a number");
    assert!((1_000..5_000).contains(&ms), "{ms}");
    let first = event(&mut client);
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(lines[1], "event: services");
    let data: Value =
        serde_json::from_str(lines[2].strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(lines[0], format!("id: {}", data["index"]));
    assert!(first.ends_with("\n\n"));
    register(&service, r#"{"type":"a","port":1}"#);
    assert!(event(&mut client).contains("\nevent: change\ndata: {"));
}

#[test]
fn a_registration_is_held_as_long_as_its_answer_is_read() {
    let service = Service::start(&[]);
    let mut client = HttpClient::connect(&service);
    client.start(
        "POST",
        "/api/hold",
        &[],
        r#"{"type":"web","ip":"10.0.0.1","port":80,"tags":["a"]}"#,
    );
    let head = client.head();
    assert_eq!(
        (head.status, head.field("Content-Type")),
        (200, Some("application/x-ndjson"))
    );
    let first = client.line();
    assert!(first["uuid"].is_string() && first["id"].is_string());
    assert_eq!(get(&service, "/api/list?type=web").json()[0]["held"], true);
    // After 15 s of silence.
    assert_eq!(client.line(), json!({}));
    drop(client);
    wait_until("it is gone", || {
        (service.connect().ask("query web") == "[]").then_some(())
    });
}

#[test]
fn a_refused_hold_is_a_plain_answer_and_the_connection_goes_on() {
    let service = Service::start(&[]);
    let mut client = HttpClient::connect(&service);
    assert_eq!(
        client
            .post("/api/hold", r#"{"type":"web","port":0}"#)
            .status,
        400
    );
    assert_eq!(client.get("/health").status, 200);
}

#[test]
fn streams_end_whole_when_the_service_stops() {
    let mut service = Service::start(&[]);
    let mut watcher = HttpClient::connect(&service);
    watcher.start("GET", "/api/watch", &[], "");
    watcher.head();
    watcher.line();
    let mut holder = HttpClient::connect(&service);
    holder.start("POST", "/api/hold", &[], r#"{"type":"web","port":80}"#);
    holder.head();
    holder.line();
    watcher.line();
    service.signal("TERM");
    assert_eq!(watcher.chunk(), None);
    assert_eq!(holder.chunk(), None);
    assert!(service.wait().success());
}

#[test]
fn http_1_0_reads_a_stream_until_the_end() {
    let mut service = Service::start(&[]);
    let mut client = HttpClient::connect(&service);
    client.send("GET /api/watch HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.field("Transfer-Encoding")), (200, None));
    register(&service, r#"{"type":"a","port":1}"#);
    service.signal("TERM");
    let lines = client.rest();
    assert!(lines.starts_with("{\"index\":"), "{lines}");
    assert!(service.wait().success());
}

#[test]
fn row_55_five_hundred_browsers_are_all_told_each_change() {
    let service = Service::start(&[]);
    let mut clients: Vec<HttpClient> = (0..500)
        .map(|_| {
            let mut client = HttpClient::connect(&service);
            client.start("GET", "/api/watch", &["Accept: text/event-stream"], "");
            assert_eq!(client.head().status, 200);
            client.chunk().expect("when to come back");
            client.chunk().expect("a snapshot");
            client
        })
        .collect();
    for port in 1..=20 {
        let body = format!(r#"{{"type":"web","ip":"10.0.0.1","port":{port}}}"#);
        register(&service, &body);
    }
    for client in &mut clients {
        let mut told = String::new();
        while told.matches("\"port\":").count() < 20 {
            let event = client.chunk().expect("the stream goes on");
            told += std::str::from_utf8(&event).expect("text");
        }
        assert!(told.contains("\"port\":20}"), "{told}");
    }
    assert_eq!(get(&service, "/health").status, 200);
}
