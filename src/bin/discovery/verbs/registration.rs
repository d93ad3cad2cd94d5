//! The verbs that change registrations: `register`, `heartbeat`, `update` and `deregister`.

use std::num::NonZeroU16;

use clap::Args;
use serde_json::json;

use discovery_service::client;
use discovery_service::message::ServiceType;

use super::Failure;
use super::failure::verdict;
use super::options::{Common, LabelOptions};
use crate::output;
use crate::values::{self, Ip};

/// Register a service and print its UUID
#[derive(Args)]
#[command(after_help = "Example:\n  discovery register hive 127.0.0.1 65433 --ttl 60 --replace")]
pub(crate) struct Register {
    /// What kind of service it is
    #[arg(id = "type", value_name = "type", value_parser = values::Parser(values::service_type))]
    service_type: ServiceType<'static>,

    /// Its address; - stands for the one that this host connects from
    #[arg(value_name = "ip", value_parser = values::Parser(values::ip), allow_hyphen_values = true)]
    ip: Ip,

    /// The port on which it answers
    #[arg(value_name = "port", value_parser = values::Parser(values::port))]
    port: NonZeroU16,

    /// How long it lives without a heartbeat; 1 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = values::Parser(values::ttl))]
    ttl: Option<u32>,

    /// Take the place of all others of this type at this address
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    labels: LabelOptions,

    #[command(flatten)]
    common: Common,
}

impl Register {
    pub(super) fn run(self) -> Result<(), Failure> {
        let how = client::Register {
            ttl: self.ttl,
            replace: self.replace,
            labels: self.labels.labels()?,
        };
        let (name, ip) = (self.service_type.as_str(), self.ip.to_string());
        let mut client = self.common.client()?;
        let uuid = client.register(name, &ip, self.port.get(), how)?;
        if self.common.json {
            output::json(&json!({ "uuid": uuid }))
        } else {
            output::line(&uuid)
        }
    }
}

const HEARTBEAT_HELP: &str = "\
With a type, an ip and a port, a registration that is not known is made again under its UUID, with these options.

Example:
  discovery heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6";

/// Keep a registration alive; exit status 1 when it is not known
#[derive(Args)]
#[command(after_help = HEARTBEAT_HELP)]
// Tags and metadata are for a registration that may have to be made again.
#[command(mut_arg("tags", |tags| tags.requires("type")))]
#[command(mut_arg("meta", |meta| meta.requires("type")))]
pub(crate) struct Heartbeat {
    /// The registration
    #[arg(value_name = "uuid", value_parser = values::Parser(values::uuid))]
    uuid: String,

    /// What kind of service it is
    #[arg(
        id = "type",
        value_name = "type",
        value_parser = values::Parser(values::service_type),
        requires_all = ["ip", "port"]
    )]
    service_type: Option<ServiceType<'static>>,

    /// Its address; - stands for the one that this host connects from
    #[arg(value_name = "ip", value_parser = values::Parser(values::ip), allow_hyphen_values = true)]
    ip: Option<Ip>,

    /// The port on which it answers
    #[arg(value_name = "port", value_parser = values::Parser(values::port))]
    port: Option<NonZeroU16>,

    /// How long it lives without a heartbeat; 1 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = values::Parser(values::ttl), requires = "type")]
    ttl: Option<u32>,

    #[command(flatten)]
    labels: LabelOptions,

    #[command(flatten)]
    common: Common,
}

impl Heartbeat {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut client = self.common.client()?;
        let found = match (&self.service_type, self.ip, self.port) {
            (Some(service_type), Some(ip), Some(port)) => {
                let how = client::Register {
                    ttl: self.ttl,
                    labels: self.labels.labels()?,
                    ..client::Register::default()
                };
                let (name, ip) = (service_type.as_str(), ip.to_string());
                client.revive(&self.uuid, name, &ip, port.get(), how)?;
                true
            }
            _ => client.heartbeat(&self.uuid)?,
        };
        print_found(found, self.common.json)
    }
}

/// Replace the tags and metadata of a registration; exit status 1 when it is not known
#[derive(Args)]
#[command(
    after_help = "Example:\n  discovery update 3999da30-2a11-463a-be8e-6b2beca7bfe6 --tag blue --meta version=2"
)]
pub(crate) struct Update {
    /// The registration
    #[arg(value_name = "uuid", value_parser = values::Parser(values::uuid))]
    uuid: String,

    #[command(flatten)]
    labels: LabelOptions,

    #[command(flatten)]
    common: Common,
}

impl Update {
    pub(super) fn run(self) -> Result<(), Failure> {
        let labels = self.labels.labels()?;
        let found = self.common.client()?.update(&self.uuid, &labels)?;
        print_found(found, self.common.json)
    }
}

/// Remove a registration; exit status 1 when it is not known
#[derive(Args)]
#[command(after_help = "Example:\n  discovery deregister 3999da30-2a11-463a-be8e-6b2beca7bfe6")]
pub(crate) struct Deregister {
    /// The registration
    #[arg(value_name = "uuid", value_parser = values::Parser(values::uuid))]
    uuid: String,

    #[command(flatten)]
    common: Common,
}

impl Deregister {
    pub(super) fn run(self) -> Result<(), Failure> {
        let found = self.common.client()?.deregister(&self.uuid)?;
        print_found(found, self.common.json)
    }
}

/// Prints whether a registration is known.
fn print_found(found: bool, json: bool) -> Result<(), Failure> {
    let printed = match json {
        true => output::json(&json!({ "found": found })),
        false => output::line(if found { "OK" } else { "NOT FOUND" }),
    };
    verdict(found, printed)
}
