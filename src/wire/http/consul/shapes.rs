//! The JSON of Consul's API, with the fields that its clients read. Lists and maps that are empty are
//! never null, and addresses have no brackets.

use super::super::route::Consul;
use super::super::site::Site;
use crate::message::{Form, Labels, Name, Service};
use crate::wire::json::{push_ip, push_number, push_pairs, push_string, push_strings};

/// The one node, and its id, which some clients need.
const NODE: &str = "discovery";
const NODE_ID: &str = "00000000-0000-4000-8000-000000000001";
const NODE_ADDRESS: &str = "127.0.0.1";

/// What stands around the entries of an answer.
pub(in super::super) fn brackets(route: Consul) -> (&'static [u8], &'static [u8]) {
    match route {
        Consul::AgentServices | Consul::Names => (b"{", b"}"),
        _ => (b"[", b"]"),
    }
}

/// The form in which an answer to this is kept. It differs where the entries do.
pub(in super::super) fn form(route: Consul) -> Form {
    match route {
        Consul::CatalogService => Form::ConsulCatalog,
        Consul::HealthChecks | Consul::HealthState => Form::ConsulChecks,
        Consul::AgentServices => Form::ConsulAgent,
        Consul::Names => Form::ConsulNames,
        _ => Form::ConsulHealth,
    }
}

/// An answer that no registration changes.
pub(in super::super) fn constant(route: Consul, site: &Site) -> Vec<u8> {
    let mut text = Vec::new();
    match route {
        Consul::Leader => push_string(&mut text, "127.0.0.1:8300"),
        Consul::Datacenters => {
            text.push(b'[');
            push_string(&mut text, &site.datacenter);
            text.push(b']');
        }
        Consul::Nodes => {
            text.push(b'[');
            push_node(&mut text, site);
            text.push(b']');
        }
        _ => push_agent(&mut text, site),
    }
    text
}

fn push_agent(text: &mut Vec<u8>, site: &Site) {
    text.extend_from_slice(br#"{"Config":{"Datacenter":"#);
    push_string(text, &site.datacenter);
    push_member(text, "NodeName", NODE);
    push_member(text, "NodeID", NODE_ID);
    text.extend_from_slice(br#","Server":true"#);
    push_member(text, "Version", env!("CARGO_PKG_VERSION"));
    text.extend_from_slice(br#"},"Member":{"Name":"#);
    push_string(text, NODE);
    push_member(text, "Addr", NODE_ADDRESS);
    text.extend_from_slice(br#","Port":8301,"Tags":{},"Status":1},"Meta":{}}"#);
}

/// Appends entries, with commas between them.
pub(in super::super) fn push_services(
    text: &mut Vec<u8>,
    route: Consul,
    services: &[Service],
    site: &Site,
) {
    let push = match route {
        Consul::CatalogService => push_catalog_entry,
        Consul::HealthChecks | Consul::HealthState => push_check,
        Consul::AgentServices => push_agent_service,
        _ => push_health_entry,
    };
    for (position, service) in services.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        push(text, service, site);
    }
}

/// Appends a name with its tags.
pub(in super::super) fn push_name(text: &mut Vec<u8>, name: &Name) {
    push_string(text, &name.service_type);
    text.push(b':');
    push_strings(text, &name.tags);
}

fn push_health_entry(text: &mut Vec<u8>, service: &Service, site: &Site) {
    text.extend_from_slice(br#"{"Node":"#);
    push_node(text, site);
    text.extend_from_slice(br#","Service":"#);
    push_service(text, service);
    text.extend_from_slice(br#","Checks":["#);
    push_check(text, service, site);
    text.extend_from_slice(b"]}");
}

/// Appends the beginning of an object: what says which node it is.
fn begin_node(text: &mut Vec<u8>, site: &Site) {
    text.extend_from_slice(br#"{"ID":"#);
    push_string(text, NODE_ID);
    push_member(text, "Node", NODE);
    push_member(text, "Address", NODE_ADDRESS);
    push_member(text, "Datacenter", &site.datacenter);
}

fn push_node(text: &mut Vec<u8>, site: &Site) {
    begin_node(text, site);
    text.extend_from_slice(br#","TaggedAddresses":{},"Meta":{},"#);
    text.extend_from_slice(INDEXES);
    text.push(b'}');
}

/// The indexes of single entries, which nobody follows.
const INDEXES: &[u8] = br#""CreateIndex":1,"ModifyIndex":1"#;

fn push_service(text: &mut Vec<u8>, service: &Service) {
    text.extend_from_slice(br#"{"ID":""#);
    text.extend_from_slice(&service.id.digits());
    text.push(b'"');
    push_member(text, "Service", &service.service_type);
    push_labels(text, service, "Tags", "Meta");
    text.extend_from_slice(br#","Address":""#);
    push_ip(text, service.address.ip);
    text.extend_from_slice(br#"","Port":"#);
    push_number(text, service.address.port.get());
    text.extend_from_slice(br#","Weights":"#);
    push_weights(text, service);
    text.extend_from_slice(br#","EnableTagOverride":false,"#);
    text.extend_from_slice(INDEXES);
    text.push(b'}');
}

fn push_agent_service(text: &mut Vec<u8>, service: &Service, _: &Site) {
    text.push(b'"');
    text.extend_from_slice(&service.id.digits());
    text.extend_from_slice(b"\":");
    push_service(text, service);
}

fn push_catalog_entry(text: &mut Vec<u8>, service: &Service, site: &Site) {
    begin_node(text, site);
    text.extend_from_slice(br#","TaggedAddresses":{},"NodeMeta":{},"ServiceID":""#);
    text.extend_from_slice(&service.id.digits());
    text.push(b'"');
    push_member(text, "ServiceName", &service.service_type);
    push_labels(text, service, "ServiceTags", "ServiceMeta");
    text.extend_from_slice(br#","ServiceAddress":""#);
    push_ip(text, service.address.ip);
    text.extend_from_slice(br#"","ServicePort":"#);
    push_number(text, service.address.port.get());
    text.extend_from_slice(br#","ServiceWeights":"#);
    push_weights(text, service);
    text.extend_from_slice(br#","ServiceEnableTagOverride":false,"#);
    text.extend_from_slice(INDEXES);
    text.push(b'}');
}

fn push_check(text: &mut Vec<u8>, service: &Service, _: &Site) {
    text.extend_from_slice(br#"{"Node":"#);
    push_string(text, NODE);
    text.extend_from_slice(br#","CheckID":"service:"#);
    text.extend_from_slice(&service.id.digits());
    text.extend_from_slice(
        br#"","Name":"heartbeat","Status":"passing","Notes":"","Output":"","ServiceID":""#,
    );
    text.extend_from_slice(&service.id.digits());
    text.push(b'"');
    push_member(text, "ServiceName", &service.service_type);
    text.extend_from_slice(br#","ServiceTags":"#);
    push_strings(text, tags(service));
    text.extend_from_slice(br#","Type":"ttl","#);
    text.extend_from_slice(INDEXES);
    text.push(b'}');
}

fn tags(service: &Service) -> &[Box<str>] {
    service.labels.as_deref().map_or(&[], Labels::tags)
}

fn push_labels(text: &mut Vec<u8>, service: &Service, tags_name: &str, meta_name: &str) {
    push_name_of(text, tags_name);
    push_strings(text, tags(service));
    push_name_of(text, meta_name);
    let meta = service.labels.as_deref().map_or(&[][..], Labels::meta);
    push_pairs(text, meta);
}

/// The weight is in the metadata.
fn push_weights(text: &mut Vec<u8>, service: &Service) {
    let weight = service.labels.as_deref().and_then(Labels::weight);
    text.extend_from_slice(br#"{"Passing":"#);
    push_number(text, weight.unwrap_or(1));
    text.extend_from_slice(br#","Warning":1}"#);
}

/// Appends a further member of an object, whose value is a string.
fn push_member(text: &mut Vec<u8>, name: &str, value: &str) {
    push_name_of(text, name);
    push_string(text, value);
}

fn push_name_of(text: &mut Vec<u8>, name: &str) {
    text.extend_from_slice(b",\"");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\":");
}
