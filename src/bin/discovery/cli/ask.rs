//! The verbs that ask one question.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use discovery_service::client::{Client, Register};
use discovery_service::escape::printable;

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
    if json {
        print::json(&json!({ "uuid": uuid }))
    } else {
        print::line(&uuid)
    }
}

/// Tells whether a registration is known.
pub(super) fn known(found: bool, json: bool) -> Result<(), Failure> {
    let printed = match json {
        true => print::json(&json!({ "found": found })),
        false => print::line(if found { "OK" } else { "NOT FOUND" }),
    };
    verdict(found, printed)
}

/// What the exit status says, even where nobody reads what is printed.
fn verdict(yes: bool, printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Ok(()) | Err(Failure::OutputGone) if !yes => Err(Failure::No),
        printed => printed,
    }
}

pub(super) fn query(
    client: &mut Client,
    service_type: &str,
    one: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut addresses = client.query(service_type)?;
    if one && !addresses.is_empty() {
        let chance = getrandom::u64().unwrap_or(0) % addresses.len() as u64;
        addresses = vec![addresses[chance as usize]];
    }
    verdict(!addresses.is_empty(), print_addresses(&addresses, json))
}

/// Addresses, one a line, or as the array of a query.
pub(super) fn print_addresses(addresses: &[SocketAddr], json: bool) -> Result<(), Failure> {
    if json {
        let object = |address: &SocketAddr| json!({ "ip": address.ip().to_string(), "port": address.port() });
        return print::json(&addresses.iter().map(object).collect());
    }
    let lines: String = addresses
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    print::bytes(lines.as_bytes())
}

pub(super) fn list(
    client: &mut Client,
    service_type: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let list = client.list(service_type)?;
    if json {
        return print::json(&list.into());
    }
    let rows: Vec<Vec<String>> = list.iter().map(listed).collect();
    print::table(
        &["TYPE", "ADDRESS", "AGE", "TTL", "KEPT BY", "LAST HEARTBEAT"],
        &rows,
    )
}

fn listed(row: &Value) -> Vec<String> {
    let kept_by = if row["held"] == true {
        "connection"
    } else {
        "heartbeats"
    };
    let seconds = |key: &str| {
        let tenths = row[key].as_u64().unwrap_or(0) / 100;
        format!("{}.{}s", tenths / 10, tenths % 10)
    };
    let (name, heartbeat) = (text(&row["type"]), text(&row["heartbeat"]));
    vec![
        name,
        address(row),
        seconds("age_ms"),
        seconds("ttl_ms"),
        kept_by.to_owned(),
        heartbeat,
    ]
}

/// The address in a row, as `ip:port`.
fn address(row: &Value) -> String {
    let (ip, port) = (text(&row["ip"]), text(&row["port"]));
    match (ip.parse(), port.parse()) {
        (Ok(ip), Ok(port)) => SocketAddr::new(ip, port).to_string(),
        _ => format!("{ip} {port}"),
    }
}

/// A value as people read it.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| printable(&value.to_string()), printable)
}

pub(super) fn types(client: &mut Client, json: bool) -> Result<(), Failure> {
    let types = client.types()?;
    if json {
        return print::json(&types.into());
    }
    let rows: Vec<Vec<String>> = types
        .iter()
        .map(|row| vec![text(&row["type"]), text(&row["count"])])
        .collect();
    print::table(&["TYPE", "REGISTRATIONS"], &rows)
}

pub(super) fn stats(client: &mut Client, json: bool) -> Result<(), Failure> {
    let stats = client.stats()?;
    if json {
        return print::json(&stats.into());
    }
    print_members(&stats)
}

pub(super) fn why(client: &mut Client, uuid: &str, json: bool) -> Result<(), Failure> {
    let Some(why) = client.why(uuid)? else {
        print::complain("nobody with that UUID is live, or among the last 1024 that went");
        return Err(Failure::No);
    };
    if json {
        return print::json(&why.into());
    }
    print_members(&why)
}

/// The members of an object, and those of the objects in it, as rows.
fn print_members(object: &Map<String, Value>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (key, value) in object {
        let row = |name: &str, value| vec![printable(name), text(value)];
        match value.as_object() {
            Some(inner) => rows.extend(
                inner
                    .iter()
                    .map(|(name, value)| row(&format!("{key}.{name}"), value)),
            ),
            None => rows.push(row(key, value)),
        }
    }
    print::table(&["WHAT", "VALUE"], &rows)
}

pub(super) fn ping(client: &mut Client, json: bool) -> Result<(), Failure> {
    let begun = std::time::Instant::now();
    client.ping()?;
    let us = begun.elapsed().as_micros() as u64;
    if json {
        print::json(&json!({ "pong": true, "us": us }))
    } else {
        print::line("PONG")
    }
}
