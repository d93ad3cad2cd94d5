//! The part of Consul's API that reads, as its clients use it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::HttpClient;
use super::{get, post, register};
use crate::common::{Service, wait_until};

fn follow(service: &Service, target: &str) -> HttpClient {
    let mut client = HttpClient::connect(service);
    client.start("GET", target, &[], "");
    client
}

#[test]
fn services_have_the_shapes_that_clients_read() {
    let service = Service::start(&["--datacenter", "east"]);
    assert_eq!(
        get(&service, "/v1/agent/self").json()["Config"]["Datacenter"],
        "east"
    );
    assert_eq!(
        get(&service, "/v1/catalog/datacenters").json(),
        json!(["east"])
    );
    assert_eq!(get(&service, "/v1/catalog/services").json(), json!({}));
    assert_eq!(get(&service, "/v1/health/service/web").json(), json!([]));
    assert!(get(&service, "/v1/status/leader").json().is_string());
    let body = r#"{"type":"web","ip":"2001:db8::7","port":80,"tags":["b","a"],"meta":{"weight":"5","k":"v"}}"#;
    let id = post(&service, "/api/register", body).json()["id"].clone();
    register(
        &service,
        r#"{"type":"web","ip":"10.0.0.8","port":81,"tags":["a"]}"#,
    );
    assert_eq!(
        get(&service, "/v1/catalog/services").json(),
        json!({"web": ["a", "b"]})
    );
    let entry = &get(&service, "/v1/health/service/web").json()[0];
    assert_eq!(entry["Service"]["ID"], id);
    assert_eq!(entry["Service"]["Address"], "2001:db8::7");
    assert_eq!(entry["Service"]["Port"], 80);
    assert_eq!(entry["Service"]["Tags"], json!(["b", "a"]));
    assert_eq!(entry["Service"]["Meta"], json!({"weight": "5", "k": "v"}));
    assert_eq!(
        entry["Service"]["Weights"],
        json!({"Passing": 5, "Warning": 1})
    );
    assert_eq!(entry["Node"]["Datacenter"], "east");
    assert_eq!(entry["Checks"][0]["Status"], "passing");
    assert_eq!(entry["Checks"][0]["ServiceID"], id);
    let flat = &get(&service, "/v1/catalog/service/web").json()[0];
    assert_eq!(
        (&flat["ServiceID"], &flat["ServiceAddress"]),
        (&id, &json!("2001:db8::7"))
    );
    for (target, len) in [
        ("/v1/health/service/web?passing", 2),
        ("/v1/health/service/web?tag=b&stale&dc=east&near=_agent", 1),
        ("/v1/health/service/web?tag=a&tag=b", 1),
        ("/v1/health/service/web?tag=c", 0),
        // Clients send parameters empty that they do not use.
        ("/v1/health/service/web?tag=&filter=", 2),
        ("/v1/health/service/web?tag=&tag=b", 1),
        ("/v1/health/service/web?index=&wait=", 2),
        ("/v1/health/service/web?node-meta=k%3Av", 0),
        ("/v1/health/service/%77eb", 2),
        ("/v1/health/service/a%20b", 0),
        ("/v1/health/state/any", 2),
        ("/v1/health/state/passing", 2),
        ("/v1/health/state/critical", 0),
        ("/v1/health/checks/web", 2),
        ("/v1/catalog/nodes", 1),
        ("/v1/catalog/nodes?node-meta=k%3Av", 0),
        ("/v1/health/state/critical?node-meta=k%3Av", 0),
        ("/v1/health/state/passing?node-meta=k%3Av", 0),
        ("/v1/catalog/service/web?node-meta=k%3Av", 0),
    ] {
        let answer = get(&service, target);
        assert_eq!(
            answer.json().as_array().map(Vec::len),
            Some(len),
            "{target}"
        );
    }
    let of_agent = get(&service, "/v1/agent/services");
    assert_eq!(
        of_agent.json()[id.as_str().expect("text")]["Service"],
        "web"
    );
    assert_eq!(of_agent.field("X-Consul-Index"), None, "nobody follows it");
    let none = get(&service, "/v1/catalog/services?node-meta=k%3Av");
    assert_eq!(none.json(), json!({}));
    for (target, status) in [
        ("/v1/health/service/web?filter=x", 400),
        ("/v1/health/service/web?index=x", 400),
        ("/v1/health/service/web?wait=5", 400),
        ("/v1/health/state/no", 404),
        ("/v1/session/list", 404),
        ("/v1/kv/a", 404),
    ] {
        let answer = get(&service, target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
    }
    let put = HttpClient::connect(&service).ask("PUT", "/v1/agent/self", &[], "");
    assert_eq!((put.status, put.field("Allow")), (405, Some("GET, HEAD")));
}

#[test]
fn an_index_moves_with_its_own_body_and_with_nothing_else() {
    let service = Service::start(&[]);
    let targets = [
        "/v1/health/service/a",
        "/v1/health/service/b",
        "/v1/catalog/services",
        "/v1/health/state/any",
    ];
    let indexes = || targets.map(|target| get(&service, target).index());
    let moved = |before: [u64; 4], after: [u64; 4]| {
        std::array::from_fn::<bool, 4, _>(|number| {
            assert!(after[number] >= before[number], "an index went back");
            after[number] > before[number]
        })
    };
    let start = indexes();
    assert!(
        start.iter().all(|&index| index > 1_700_000_000_000_000),
        "{start:?}"
    );
    let mut before = start;
    let mut step = |what: &str, expected: [bool; 4]| {
        let after = indexes();
        assert_eq!(moved(before, after), expected, "{what}");
        before = after;
    };
    let first = register(&service, r#"{"type":"a","port":1}"#);
    step("a new type", [true, false, true, true]);
    let second = register(&service, r#"{"type":"a","port":2}"#);
    step("one more of it", [true, false, false, true]);
    service.connect().ask(format!("heartbeat {first}").as_str());
    step("a heartbeat", [false; 4]);
    service
        .connect()
        .ask(format!("update {second} tag=x").as_str());
    step("a new tag", [true, false, true, true]);
    service
        .connect()
        .ask(format!("update {second} tag=x meta.k=v").as_str());
    step("other metadata", [true, false, false, true]);
    register(&service, r#"{"type":"b","port":1}"#);
    step("another type", [false, true, true, true]);
    service
        .connect()
        .ask(format!("deregister {first}").as_str());
    step("one less", [true, false, false, true]);
    service
        .connect()
        .ask(format!("deregister {second}").as_str());
    step("the end of a type", [true, false, true, true]);
}

#[test]
fn row_56_a_blocked_query_is_answered_by_a_change_of_its_own_and_by_no_other() {
    let service = Service::start(&[]);
    let uuid = register(&service, r#"{"type":"web","ip":"10.0.0.1","port":80}"#);
    let index = get(&service, "/v1/health/service/web").index();
    let mut client = follow(
        &service,
        &format!("/v1/health/service/web?index={index}&wait=60s"),
    );
    register(&service, r#"{"type":"other","port":1}"#);
    service.connect().ask(format!("heartbeat {uuid}").as_str());
    assert!(client.is_silent_for(Duration::from_millis(200)));
    service.connect().ask(format!("deregister {uuid}").as_str());
    let answer = client.response(false);
    assert_eq!((answer.status, answer.text()), (200, "[]"));
    let gone = answer.index();
    assert!(gone > index);
    // The same connection follows on.
    client.start(
        "GET",
        &format!("/v1/health/service/web?index={gone}"),
        &[],
        "",
    );
    assert!(client.is_silent_for(Duration::from_millis(200)));
    register(&service, r#"{"type":"web","ip":"10.0.0.2","port":80}"#);
    let answer = client.response(false);
    assert_eq!(answer.json()[0]["Service"]["Address"], "10.0.0.2");
    // One that is behind, or ahead, is answered at once.
    for index in [1, gone, answer.index() + 1_000_000] {
        let at_once = client.get(&format!("/v1/health/service/web?index={index}&wait=60s"));
        assert_eq!(at_once.index(), answer.index());
    }
}

#[test]
fn a_blocked_query_ends_after_its_time_with_the_whole_answer() {
    let service = Service::start(&[]);
    register(&service, r#"{"type":"web","port":80}"#);
    for target in [
        "/v1/health/service/web",
        "/v1/catalog/services",
        "/v1/health/state/any",
        "/v1/catalog/nodes",
        "/v1/kv/a?recurse=",
    ] {
        let first = get(&service, target);
        let start = Instant::now();
        let sign = if target.contains('?') { '&' } else { '?' };
        let again = get(
            &service,
            &format!("{target}{sign}index={}&wait=300ms", first.index()),
        );
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(300), "{took:?}");
        assert_eq!(
            (again.status, again.index()),
            (first.status, first.index()),
            "{target}"
        );
        assert_eq!(again.text(), first.text(), "{target}");
    }
}

#[test]
fn row_56_a_blocked_client_that_goes_away_is_freed_at_once() {
    let service = Service::start(&[]);
    let index = get(&service, "/v1/health/service/web").index();
    let connections = || {
        let stats = get(&service, "/api/stats").json();
        stats["connections"].as_u64().expect("a number")
    };
    let clients: Vec<HttpClient> = (0..20)
        .map(|_| follow(&service, &format!("/v1/health/service/web?index={index}")))
        .collect();
    wait_until("they are there", || (connections() >= 20).then_some(()));
    drop(clients);
    wait_until("they are freed", || (connections() <= 1).then_some(()));
}

#[test]
fn row_56_blocked_queries_are_answered_when_the_service_stops() {
    let mut service = Service::start(&[]);
    register(&service, r#"{"type":"web","ip":"10.0.0.1","port":80}"#);
    let index = get(&service, "/v1/health/service/web").index();
    let mut clients: Vec<HttpClient> = (0..50)
        .map(|_| follow(&service, &format!("/v1/health/service/web?index={index}")))
        .collect();
    assert!(clients[49].is_silent_for(Duration::from_millis(200)));
    service.signal("TERM");
    for client in &mut clients {
        let answer = client.response(false);
        assert_eq!((answer.status, answer.index()), (200, index));
        assert_eq!(answer.json()[0]["Service"]["Address"], "10.0.0.1");
        assert_eq!(client.rest(), "");
    }
    assert!(service.wait().success());
}

#[test]
fn row_55_a_thousand_blocked_queries_are_answered_by_one_change_and_others_are_served() {
    let service = Service::start(&[]);
    register(&service, r#"{"type":"web","ip":"10.0.0.1","port":80}"#);
    let index = get(&service, "/v1/health/service/web").index();
    let mut clients: Vec<HttpClient> = (0..1_000)
        .map(|_| follow(&service, &format!("/v1/health/service/web?index={index}")))
        .collect();
    assert!(clients[999].is_silent_for(Duration::from_millis(200)));
    let before = service.processor_time();
    assert!(clients[500].is_silent_for(Duration::from_secs(1)));
    let used = service.processor_time() - before;
    assert!(
        used <= Duration::from_millis(50),
        "waiting costs {used:?} a second"
    );
    register(&service, r#"{"type":"web","ip":"10.0.0.2","port":80}"#);
    for client in &mut clients {
        let answer = client.response(false);
        assert_eq!(answer.json().as_array().map(Vec::len), Some(2));
    }
    assert_eq!(get(&service, "/health").status, 200);
}
