//! What monitors read: metrics, and targets to scrape.

use std::collections::BTreeSet;

use serde_json::json;

use super::{get, register};
use crate::common::Service;

#[test]
fn metrics_are_families_with_help_and_type_and_no_series_twice() {
    let service = Service::start(&[]);
    register(&service, r#"{"type":"web","port":80}"#);
    let answer = get(&service, "/metrics");
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let (mut family, mut kind) = ("", "");
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name");
            assert!(families.insert(family), "{family} stands twice");
        } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
            let (name, of) = of_type.split_once(' ').expect("a type");
            assert_eq!(name, family);
            kind = of;
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(series.insert(name), "{name} stands twice");
            assert_eq!(name.split('{').next(), Some(family), "{line}");
            assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
            assert!(family.starts_with("discovery_") || family.starts_with("process_"));
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        }
    }
    for name in [
        "discovery_registrations",
        "discovery_commands_total{verb=\"register\"}",
        "discovery_closed_connections_total{reason=\"peer\"}",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        assert!(series.contains(name), "{name}");
    }
    assert!(!text.contains("web"), "types are told on request only");
}

#[test]
fn the_registrations_of_each_type_are_told_on_request() {
    let service = Service::start(&["--metrics-types"]);
    for name in [r"a", r#"q\"uote"#, r"back\\slash"] {
        register(&service, &format!(r#"{{"type":"{name}","port":80}}"#));
    }
    let text = get(&service, "/metrics").text().to_owned();
    for line in [
        r#"discovery_type_registrations{type="a"} 1"#,
        r#"discovery_type_registrations{type="q\"uote"} 1"#,
        r#"discovery_type_registrations{type="back\\slash"} 1"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn targets_are_grouped_by_their_labels_in_a_stable_order() {
    let service = Service::start(&[]);
    assert_eq!(get(&service, "/sd").text(), "[]");
    for body in [
        r#"{"type":"web","ip":"10.0.0.1","port":80,"tags":["a","b"],"meta":{"zone-1":"x","zone.1":"y"}}"#,
        r#"{"type":"web","ip":"2001:db8::1","port":80}"#,
        r#"{"type":"web","ip":"10.0.0.2","port":80,"tags":["a","b"],"meta":{"zone-1":"x","zone.1":"y"}}"#,
        r#"{"type":"api","ip":"10.0.0.3","port":81}"#,
        r#"{"type":"web","ip":"10.0.0.4","port":80,"meta":{"k":"v"}}"#,
    ] {
        register(&service, body);
    }
    let answer = get(&service, "/sd");
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    assert_eq!(answer.field("X-Consul-Index"), None);
    assert_eq!(
        answer.json(),
        json!([
            {"targets": ["10.0.0.3:81"], "labels": {"__meta_discovery_type": "api"}},
            {"targets": ["10.0.0.1:80", "10.0.0.2:80"], "labels": {
                "__meta_discovery_type": "web",
                "__meta_discovery_tags": ",a,b,",
                "__meta_discovery_meta_zone_1": "x",
            }},
            {"targets": ["[2001:db8::1]:80"], "labels": {"__meta_discovery_type": "web"}},
            {"targets": ["10.0.0.4:80"], "labels": {
                "__meta_discovery_type": "web",
                "__meta_discovery_meta_k": "v",
            }},
        ])
    );
    assert_eq!(get(&service, "/sd").body, answer.body);
    let some = get(&service, "/sd?type=web&tag=a").json();
    assert_eq!(some.as_array().map(Vec::len), Some(1));
    assert_eq!(get(&service, "/sd?type=none").text(), "[]");
}
