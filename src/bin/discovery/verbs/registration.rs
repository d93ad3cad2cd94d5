//! The verbs that change registrations: `register`, `heartbeat` and `deregister`.

use serde_json::json;

use discovery_service::client::{Client, Register};

use super::{Failure, verdict};
use crate::output;

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
        output::json(&json!({ "uuid": uuid }))
    } else {
        output::line(&uuid)
    }
}

/// Tells whether a registration is known.
pub(super) fn known(found: bool, json: bool) -> Result<(), Failure> {
    let printed = match json {
        true => output::json(&json!({ "found": found })),
        false => output::line(if found { "OK" } else { "NOT FOUND" }),
    };
    verdict(found, printed)
}
