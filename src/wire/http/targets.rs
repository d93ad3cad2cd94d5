//! The targets of Prometheus (<https://prometheus.io/docs/prometheus/latest/http_sd/>): groups of
//! addresses that have the same labels.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::message::{Labels, Service};
use crate::wire::json::{push_ip, push_number, push_string};

/// Appends groups, with commas between them, in the order of their oldest registrations.
pub(super) fn push_groups(text: &mut Vec<u8>, services: &[Service]) {
    for (position, group) in groups(services).iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        text.extend_from_slice(br#"{"targets":["#);
        for (position, service) in group.iter().enumerate() {
            if position > 0 {
                text.push(b',');
            }
            push_target(text, service);
        }
        text.extend_from_slice(br#"],"labels":"#);
        push_labels(text, group[0]);
        text.push(b'}');
    }
}

fn groups(services: &[Service]) -> Vec<Vec<&Service>> {
    let mut groups: Vec<Vec<&Service>> = Vec::new();
    let mut numbers: HashMap<(&Arc<str>, Option<&Labels>), usize> = HashMap::new();
    for service in services {
        let key = (&service.service_type, service.labels.as_deref());
        let number = *numbers.entry(key).or_insert(groups.len());
        match groups.get_mut(number) {
            Some(group) => group.push(service),
            None => groups.push(vec![service]),
        }
    }
    groups
}

fn push_target(text: &mut Vec<u8>, service: &Service) {
    let address = service.address;
    let (open, close): (&[u8], &[u8]) = match address.ip {
        IpAddr::V4(_) => (b"\"", b":"),
        IpAddr::V6(_) => (b"\"[", b"]:"),
    };
    text.extend_from_slice(open);
    push_ip(text, address.ip);
    text.extend_from_slice(close);
    push_number(text, address.port.get());
    text.push(b'"');
}

fn push_labels(text: &mut Vec<u8>, service: &Service) {
    text.extend_from_slice(br#"{"__meta_discovery_type":"#);
    push_string(text, &service.service_type);
    if let Some(labels) = service.labels.as_deref() {
        if !labels.tags().is_empty() {
            text.extend_from_slice(br#","__meta_discovery_tags":"#);
            push_string(text, &format!(",{},", labels.tags().join(",")));
        }
        push_meta(text, labels);
    }
    text.push(b'}');
}

/// The name of a label has letters, digits and underscores only. Where two keys become the same name,
/// the first counts.
fn push_meta(text: &mut Vec<u8>, labels: &Labels) {
    let mut names: Vec<String> = Vec::new();
    for (key, value) in labels.meta() {
        let name = key.replace(['-', '.'], "_");
        if names.contains(&name) {
            continue;
        }
        text.push(b',');
        push_string(text, &format!("__meta_discovery_meta_{name}"));
        text.push(b':');
        push_string(text, value);
        names.push(name);
    }
}
