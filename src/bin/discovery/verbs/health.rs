//! The verbs about the service itself: `stats` and `ping`.

use serde_json::json;

use discovery_service::client::Client;

use super::Failure;
use crate::output;

pub(super) fn stats(client: &mut Client, json: bool) -> Result<(), Failure> {
    let stats = client.stats()?;
    if json {
        return output::json(&stats.into());
    }
    output::members(&stats)
}

pub(super) fn ping(client: &mut Client, json: bool) -> Result<(), Failure> {
    let begun = std::time::Instant::now();
    client.ping()?;
    let us = begun.elapsed().as_micros() as u64;
    if json {
        output::json(&json!({ "pong": true, "us": us }))
    } else {
        output::line("PONG")
    }
}
