//! The verbs that look registrations up: `query`, `list`, `types` and `why`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use discovery_service::client::Client;

use super::{Failure, verdict};
use crate::output::{self, text};

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
        return output::json(&addresses.iter().map(object).collect());
    }
    let lines: String = addresses
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    output::bytes(lines.as_bytes())
}

pub(super) fn list(
    client: &mut Client,
    service_type: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let list = client.list(service_type)?;
    if json {
        return output::json(&list.into());
    }
    let rows: Vec<Vec<String>> = list.iter().map(listed).collect();
    output::table(
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

pub(super) fn types(client: &mut Client, json: bool) -> Result<(), Failure> {
    let types = client.types()?;
    if json {
        return output::json(&types.into());
    }
    let rows: Vec<Vec<String>> = types
        .iter()
        .map(|row| vec![text(&row["type"]), text(&row["count"])])
        .collect();
    output::table(&["TYPE", "REGISTRATIONS"], &rows)
}

pub(super) fn why(client: &mut Client, uuid: &str, json: bool) -> Result<(), Failure> {
    let Some(why) = client.why(uuid)? else {
        output::complain("nobody with that UUID is live, or among the last 1024 that went");
        return Err(Failure::No);
    };
    if json {
        return output::json(&why.into());
    }
    output::members(&why)
}
