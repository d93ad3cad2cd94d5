//! The verbs that look registrations up: `query`, `list`, `types` and `why`.

use std::net::SocketAddr;

use clap::Args;
use serde_json::{Value, json};

use discovery_service::client::{Labels, Record, Selection};
use discovery_service::escape::printable;
use discovery_service::message::ServiceType;

use super::Failure;
use super::failure::verdict;
use super::options::{Common, LabelOptions};
use crate::output;
use crate::values;

/// Print the addresses of a type, one a line; exit status 1 when there are none
#[derive(Args)]
#[command(after_help = "Example:\n  curl http://$(discovery query web --one)/")]
pub(crate) struct Query {
    /// What kind of service it is
    #[arg(id = "type", value_name = "type", value_parser = values::Parser(values::service_type))]
    service_type: ServiceType<'static>,

    /// Print one of them, chosen by chance
    #[arg(long)]
    one: bool,

    /// Only those whose last heartbeat is less than so old; 1 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = values::Parser(values::ttl))]
    max_age: Option<u32>,

    /// At most so many, drawn at random; 1 to 4096
    #[arg(long, value_name = "N", value_parser = values::Parser(values::limit), conflicts_with = "one")]
    limit: Option<u32>,

    #[command(flatten)]
    labels: LabelOptions,

    #[command(flatten)]
    common: Common,
}

impl Query {
    pub(super) fn run(self) -> Result<(), Failure> {
        let selection = Selection {
            max_age: self.max_age,
            labels: self.labels.labels()?,
            limit: if self.one { Some(1) } else { self.limit },
        };
        let mut client = self.common.client()?;
        let addresses = client.query_some(self.service_type.as_str(), &selection)?;
        let printed = print_addresses(&addresses, self.common.json);
        verdict(!addresses.is_empty(), printed)
    }
}

/// Prints addresses, one a line, or as the array that answers a query.
pub(super) fn print_addresses(addresses: &[SocketAddr], json: bool) -> Result<(), Failure> {
    if json {
        let object = |address: &SocketAddr| json!({ "ip": address.ip(), "port": address.port() });
        return output::json(&addresses.iter().map(object).collect::<Value>());
    }
    let lines: String = addresses
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    output::bytes(lines.as_bytes())
}

/// Show the registrations of a type, or all
#[derive(Args)]
#[command(after_help = "Example:\n  discovery list hive")]
pub(crate) struct List {
    /// The type; without it, all
    #[arg(id = "type", value_name = "type", value_parser = values::Parser(values::service_type))]
    service_type: Option<ServiceType<'static>>,

    #[command(flatten)]
    common: Common,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let service_type = self.service_type.as_ref().map(ServiceType::as_str);
        let list = self.common.client()?.list(service_type)?;
        if self.common.json {
            return output::json(&list);
        }
        let rows: Vec<Vec<String>> = list.iter().map(listed).collect();
        output::table(
            &[
                "TYPE",
                "ADDRESS",
                "AGE",
                "TTL",
                "KEPT BY",
                "LAST HEARTBEAT",
                "TAGS AND METADATA",
            ],
            &rows,
        )
    }
}

fn listed(record: &Record) -> Vec<String> {
    let seconds = |ms: u64| format!("{}.{}s", ms / 1000, ms % 1000 / 100);
    // Another node of the cluster owns it.
    let unknown = || "-".to_owned();
    let kept_by = if record.held {
        "connection"
    } else {
        "heartbeats"
    };
    vec![
        printable(&record.service_type),
        SocketAddr::new(record.ip, record.port.get()).to_string(),
        record.age_ms.map_or_else(unknown, seconds),
        seconds(record.ttl_ms),
        kept_by.to_owned(),
        record
            .heartbeat
            .map_or_else(unknown, |heard| heard.to_string()),
        in_words(&record.labels),
    ]
}

/// Tags, and pairs with an equals sign.
fn in_words(labels: &Labels) -> String {
    let tags = labels.tags().iter().map(|tag| printable(tag).to_string());
    let pairs = labels.meta().iter();
    let pairs = pairs.map(|(key, value)| format!("{key}={}", printable(value)));
    tags.chain(pairs).collect::<Vec<_>>().join(" ")
}

/// Show the types with the number of their registrations
#[derive(Args)]
#[command(after_help = "Example:\n  discovery types --json")]
pub(crate) struct Types {
    #[command(flatten)]
    common: Common,
}

impl Types {
    pub(super) fn run(self) -> Result<(), Failure> {
        let types = self.common.client()?.types()?;
        if self.common.json {
            return output::json(&types);
        }
        let rows: Vec<Vec<String>> = types
            .iter()
            .map(|row| vec![printable(&row.service_type), row.count.to_string()])
            .collect();
        output::table(&["TYPE", "REGISTRATIONS"], &rows)
    }
}

/// Show whether a registration is live, or why it went; exit status 1 when nobody knows
#[derive(Args)]
#[command(after_help = "Example:\n  discovery why 3999da30-2a11-463a-be8e-6b2beca7bfe6")]
pub(crate) struct Why {
    /// The registration
    #[arg(value_name = "uuid", value_parser = values::Parser(values::uuid))]
    uuid: String,

    #[command(flatten)]
    common: Common,
}

impl Why {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(why) = self.common.client()?.why(&self.uuid)? else {
            if self.common.json {
                return verdict(false, output::json(&json!({ "state": "unknown" })));
            }
            output::message(
                "no live registration has this UUID, nor had one of the last 1024 removed",
            );
            return Err(Failure::No);
        };
        if self.common.json {
            return output::json(&why);
        }
        output::members(&why)
    }
}
