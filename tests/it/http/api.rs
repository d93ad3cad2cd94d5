//! The API: each verb, and the answers of the other formats under it.

use serde_json::json;

use super::client::HttpClient;
use super::{get, post, register, text};
use crate::common::Service;

#[test]
fn a_registration_lives_and_ends_over_http_as_over_text() {
    let service = Service::start(&[]);
    let body = r#"{"type":"web","ip":"10.0.0.7","port":80,"ttl":60,"tags":["a","b c"],"meta":{"k":"v w"}}"#;
    let answer = post(&service, "/api/register", body);
    let (uuid, id) = (text(&answer.json()["uuid"]), text(&answer.json()["id"]));
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    let mut of_text = service.connect();
    assert_eq!(of_text.ask(format!("heartbeat {uuid}").as_str()), "OK");
    let of_uuid = format!(r#"{{"uuid":"{uuid}"}}"#);
    let ok = json!({"ok": true});
    assert_eq!(post(&service, "/api/heartbeat", &of_uuid).json(), ok);
    let list = get(&service, "/api/list?type=web&tag=b+c&meta.k=v%20w").json();
    assert_eq!(list[0]["id"], id.as_str());
    assert_eq!(list[0]["tags"], json!(["a", "b c"]));
    assert!(
        !list.to_string().contains(&uuid),
        "a UUID is told to nobody else"
    );
    for (target, len) in [
        ("/api/list?tag=no", 0),
        ("/api/list?meta.k=no", 0),
        ("/api/list?tag=a&tag=b+c", 1),
        ("/api/query?type=web&tag=a&limit=1&max-age=60", 1),
        ("/api/query?type=web&meta.k=x", 0),
    ] {
        assert_eq!(
            get(&service, target).json().as_array().map(Vec::len),
            Some(len),
            "{target}"
        );
    }
    let update = format!(r#"{{"uuid":"{uuid}","tags":["new"]}}"#);
    assert_eq!(post(&service, "/api/update", &update).json(), ok);
    assert_eq!(
        get(&service, "/api/query?type=web&tag=new")
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(post(&service, "/api/why", &of_uuid).json()["state"], "live");
    assert_eq!(
        get(&service, "/api/types").json(),
        json!([{"type": "web", "count": 1}])
    );
    assert_eq!(post(&service, "/api/deregister", &of_uuid).json(), ok);
    assert_eq!(
        post(&service, "/api/why", &of_uuid).json()["reason"],
        "deregistered"
    );
    for target in ["/api/heartbeat", "/api/deregister", "/api/update"] {
        let answer = post(&service, target, &of_uuid);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (404, &json!("not_found")),
            "{target}"
        );
    }
    let nobody = r#"{"uuid":"00000000-0000-4000-8000-000000000000"}"#;
    assert_eq!(post(&service, "/api/why", nobody).status, 404);
    let long = format!(r#"{{"uuid":"{uuid}","type":"web","ip":"10.0.0.7","port":80}}"#);
    assert_eq!(post(&service, "/api/heartbeat", &long).json(), ok);
    assert_eq!(of_text.ask("query web"), r#"[{"ip":"10.0.0.7","port":80}]"#);
}

#[test]
fn a_query_is_answered_with_the_bytes_of_text() {
    let service = Service::start(&[]);
    assert_eq!(get(&service, "/api/query?type=a").text(), "[]");
    for port in 1..=200 {
        let ip = if port % 3 == 0 {
            "2001:db8::1"
        } else {
            "192.0.2.9"
        };
        register(
            &service,
            &format!(r#"{{"type":"a","ip":"{ip}","port":{port}}}"#),
        );
    }
    let answer = get(&service, "/api/query?type=a");
    assert_eq!(answer.text(), service.connect().ask("query a"));
}

#[test]
fn a_client_that_asks_the_same_all_the_time_is_told_what_is_there_now() {
    let service = Service::start(&[]);
    let mut client = HttpClient::connect(&service);
    let mut ask = |target: &str| {
        let answer = client.get(target);
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.field("Content-Type"), Some("application/json"));
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        answer.text().to_owned()
    };
    for port in 1..=3 {
        register(&service, &format!(r#"{{"type":"a","port":{port}}}"#));
        for _ in 0..3 {
            for target in ["/api/query?type=a", "/api/query?type=%61"] {
                assert_eq!(ask(target), service.connect().ask("query a"));
            }
            assert_eq!(ask("/api/query?type=b"), "[]");
        }
    }
}

#[test]
fn without_an_ip_it_is_the_caller_s_own() {
    let service = Service::start(&[]);
    for body in [
        r#"{"type":"a","port":80}"#,
        r#"{"type":"a","port":"80","ip":null}"#,
        r#"{"type":"a","port":80,"ip":"-","unknown":[1]}"#,
    ] {
        register(&service, body);
    }
    let own = r#"{"ip":"127.0.0.1","port":80}"#;
    assert_eq!(
        get(&service, "/api/query?type=a").text(),
        format!("[{own},{own},{own}]")
    );
}

#[test]
fn what_is_wrong_is_named() {
    let service = Service::start(&[]);
    for (target, body, named) in [
        ("/api/register", "", "the body is not a JSON object"),
        ("/api/register", "[]", "the body is not a JSON object"),
        ("/api/register", r#"{"port":1}"#, "the content has no type"),
        ("/api/register", r#"{"type":"a","port":1,"ttl":"5"}"#, "ttl"),
        (
            "/api/register",
            r#"{"type":"a","port":1,"tags":"a"}"#,
            "tags is not an array of strings",
        ),
        (
            "/api/register",
            r#"{"type":"a","port":1,"meta":{"a":1}}"#,
            "meta is not an object of strings",
        ),
        (
            "/api/register",
            r#"{"type":"a","port":0}"#,
            "the port is not",
        ),
        ("/api/register", r#"{"type":"a b","port":1}"#, "white space"),
        (
            "/api/register?ttl=5",
            r#"{"type":"a","port":1}"#,
            "unknown parameter: ttl",
        ),
        (
            "/api/register",
            r#"{"type":"a","type":"b","port":1}"#,
            "a key is given twice",
        ),
        ("/api/heartbeat", "{}", "the content has no uuid"),
    ] {
        let answer = post(&service, target, body);
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["code"]),
            (400, &json!("invalid")),
            "{body}"
        );
        assert!(text(&told["error"]).contains(named), "{told}");
    }
    for (target, named) in [
        ("/api/query", "type is missing"),
        ("/api/query?type=a&type=b", "type is given twice"),
        ("/api/query?type=a&limit=0", "limit="),
        ("/api/query?type=a&max-age=x", "max-age="),
        ("/api/query?type=a&max-age=1&max-age=2", "given twice"),
        ("/api/query?type=", "the type is empty"),
        ("/api/query?type=%20", "white space"),
        ("/api/query?type=a&tga=x", "unknown parameter: tga"),
        ("/api/query?type=a&ttl=5", "unknown parameter: ttl"),
        ("/api/list?limit=5", "unknown parameter: limit"),
        ("/api/query?type=%00", "percent-encoded"),
        ("/sd?x=%22", "unknown parameter: x"),
    ] {
        let answer = get(&service, target);
        assert_eq!(answer.status, 400, "{target}");
        assert!(text(&answer.json()["error"]).contains(named), "{answer:?}");
    }
}

#[test]
fn long_answers_come_in_parts_and_the_connection_goes_on() {
    let service = Service::start(&[]);
    let mut of_text = service.connect();
    let commands: String = (0..20_000)
        .map(|number| {
            format!(
                "register big 10.{}.{}.1 {}\n",
                number / 250,
                number % 250,
                1 + number
            )
        })
        .collect();
    std::thread::scope(|scope| {
        let mut writer = service.connect();
        scope.spawn(move || {
            for chunk in commands.as_bytes().chunks(16 * 1024) {
                writer.send(chunk);
            }
            for _ in 0..20_000 {
                writer.line();
            }
        });
    });
    let mut client = HttpClient::connect(&service);
    let answer = client.get("/api/query?type=big");
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.text(), of_text.ask("query big"));
    for (target, len) in [
        ("/api/list", 20_000),
        ("/v1/health/service/big", 20_000),
        ("/v1/agent/services", 20_000),
    ] {
        let answer = client.get(target);
        let told = answer.json();
        let told = told
            .as_array()
            .map(Vec::len)
            .or_else(|| told.as_object().map(|all| all.len()));
        assert_eq!(told, Some(len), "{target}");
    }
    let groups = client.get("/sd").json();
    let targets = groups.as_array().expect("groups").iter();
    let targets: usize = targets
        .map(|group| group["targets"].as_array().expect("targets").len())
        .sum();
    assert_eq!(targets, 20_000);
    let mut old = HttpClient::connect(&service);
    old.send("GET /api/query?type=big HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert!(
        old.rest()
            .ends_with(&format!("\r\n\r\n{}", of_text.ask("query big")))
    );
    let head = client.ask("HEAD", "/api/query?type=big", &[], "");
    assert_eq!(head.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(client.get("/health").text(), "OK\n");
}

#[test]
fn the_page_is_kept_by_browsers_until_it_changes() {
    let service = Service::start(&[]);
    let page = get(&service, "/");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let policy = page.field("Content-Security-Policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.field("Referrer-Policy"), Some("no-referrer"));
    let mut client = HttpClient::connect(&service);
    for target in ["/", "/page.css", "/page.js", "/openapi.json"] {
        let file = client.get(target);
        let etag = file.field("ETag").expect("a hash");
        let again = client.ask("GET", target, &[&format!("If-None-Match: {etag}")], "");
        assert_eq!(
            (again.status, again.field("ETag")),
            (304, Some(etag)),
            "{target}"
        );
        assert_eq!(again.field("Content-Length"), None, "it is not of length 0");
        let any = client.ask("GET", target, &["If-None-Match: *"], "");
        assert_eq!(any.status, 304, "{target}");
        let other = client.ask("GET", target, &["If-None-Match: \"0000000000000000\""], "");
        assert_eq!((other.status, other.body), (200, file.body), "{target}");
    }
}

#[test]
fn the_api_is_described() {
    let service = Service::start(&[]);
    let described = get(&service, "/openapi.json").json();
    assert_eq!(described["openapi"], "3.1.0");
    let paths = described["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let target = path
                .replace("{name}", "web")
                .replace("{state}", "any")
                .replace("{key}", "k");
            let other = if method == "get" { "POST" } else { "GET" };
            let refused = HttpClient::connect(&service).ask(other, &target, &[], "");
            assert_eq!(refused.status, 405, "{other} {target}");
            assert!(operation["responses"].is_object(), "{path}");
        }
    }
    for path in [
        "/api/register",
        "/api/query",
        "/sd",
        "/metrics",
        "/v1/health/service/{name}",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
}
