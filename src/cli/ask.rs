//! The verbs that ask one question.

use std::net::SocketAddr;

use serde_json::{Value, json};

use discovery_service::client::{Client, Register};

use super::{Failure, print};

pub(super) fn register(
    client: &mut Client,
    service_type: &str,
    ip: &str,
    port: u16,
    how: Register,
    json: bool,
) -> Result<(), Failure> {
    let uuid = client.register(service_type, ip, port, how)?;
    if json { print::json(&json!({ "uuid": uuid })) } else { print::line(&uuid) }
}

/// Tells whether a registration is known.
pub(super) fn known(found: bool, json: bool) -> Result<(), Failure> {
    if json {
        print::json(&json!({ "found": found }))?;
    } else {
        print::line(if found { "OK" } else { "NOT FOUND" })?;
    }
    if found { Ok(()) } else { Err(Failure::No) }
}

pub(super) fn query(client: &mut Client, service_type: &str, one: bool, json: bool) -> Result<(), Failure> {
    let mut addresses = client.query(service_type)?;
    if one && !addresses.is_empty() {
        let chance = getrandom::u64().unwrap_or(0) % addresses.len() as u64;
        addresses = vec![addresses[chance as usize]];
    }
    print_addresses(&addresses, json)?;
    if addresses.is_empty() { Err(Failure::No) } else { Ok(()) }
}

/// Addresses, one a line, or as the array of a query.
pub(super) fn print_addresses(addresses: &[SocketAddr], json: bool) -> Result<(), Failure> {
    if json {
        let object = |address: &SocketAddr| json!({ "ip": address.ip().to_string(), "port": address.port() });
        return print::json(&addresses.iter().map(object).collect());
    }
    let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    print::bytes(lines.as_bytes())
}

pub(super) fn list(client: &mut Client, service_type: Option<&str>, json: bool) -> Result<(), Failure> {
    let command = service_type.map_or("list".to_owned(), |name| format!("list {name}"));
    let list = client.document(&command)?;
    if json {
        return print::json(&list);
    }
    let rows: Vec<Vec<String>> = list.as_array().into_iter().flatten().map(listed).collect();
    print::table(&["TYPE", "ADDRESS", "AGE", "TTL", "KEPT BY", "LAST HEARTBEAT"], &rows)
}

fn listed(row: &Value) -> Vec<String> {
    let kept_by = if row["held"] == true { "connection" } else { "heartbeats" };
    let seconds = |key: &str| {
        let tenths = row[key].as_u64().unwrap_or(0) / 100;
        format!("{}.{}s", tenths / 10, tenths % 10)
    };
    let (name, heartbeat) = (text(&row["type"]), text(&row["heartbeat"]));
    vec![name, address(row), seconds("age_ms"), seconds("ttl_ms"), kept_by.to_owned(), heartbeat]
}

/// The address in a row, as `ip:port`.
fn address(row: &Value) -> String {
    match text(&row["ip"]).parse() {
        Ok(ip) => SocketAddr::new(ip, row["port"].as_u64().unwrap_or(0) as u16).to_string(),
        Err(_) => text(&row["ip"]),
    }
}

/// A value as people read it.
fn text(value: &Value) -> String {
    print::printable(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str())
}

pub(super) fn types(client: &mut Client, json: bool) -> Result<(), Failure> {
    let types = client.document("types")?;
    if json {
        return print::json(&types);
    }
    let row = |row: &Value| vec![text(&row["type"]), text(&row["count"])];
    let rows: Vec<Vec<String>> = types.as_array().into_iter().flatten().map(row).collect();
    print::table(&["TYPE", "REGISTRATIONS"], &rows)
}

pub(super) fn stats(client: &mut Client, json: bool) -> Result<(), Failure> {
    let stats = client.document("stats")?;
    if json {
        return print::json(&stats);
    }
    let mut rows = Vec::new();
    for (key, value) in stats.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => rows.extend(inner.iter().map(|(name, value)| vec![format!("{key}.{name}"), text(value)])),
            None => rows.push(vec![key.clone(), text(value)]),
        }
    }
    print::table(&["WHAT", "VALUE"], &rows)
}

pub(super) fn why(client: &mut Client, uuid: &str, json: bool) -> Result<(), Failure> {
    let why = client.document(&format!("why {uuid}"))?;
    if why.is_null() {
        print::complain("nobody with that UUID is live, or among the last 1024 that went");
        return Err(Failure::No);
    }
    if json {
        return print::json(&why);
    }
    let rows: Vec<Vec<String>> =
        why.as_object().into_iter().flatten().map(|(key, value)| vec![key.clone(), text(value)]).collect();
    print::table(&["WHAT", "VALUE"], &rows)
}

pub(super) fn ping(client: &mut Client, json: bool) -> Result<(), Failure> {
    let begun = std::time::Instant::now();
    client.ping()?;
    let us = begun.elapsed().as_micros() as u64;
    if json { print::json(&json!({ "pong": true, "us": us })) } else { print::line("PONG") }
}
