//! The verbs about the service itself: `stats` and `ping`.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Failure;
use super::options::Common;
use crate::output;

/// Show what the service has done so far
#[derive(Args)]
#[command(after_help = "Example:\n  discovery stats --json")]
pub(crate) struct Stats {
    #[command(flatten)]
    common: Common,
}

impl Stats {
    pub(super) fn run(self) -> Result<(), Failure> {
        let stats = self.common.client()?.stats()?;
        if self.common.json {
            return output::json(&stats);
        }
        output::members(&stats)
    }
}

/// Exit status 0 when the service answers
#[derive(Args)]
#[command(after_help = "Example:\n  HEALTHCHECK CMD [\"discovery\", \"ping\"]")]
pub(crate) struct Ping {
    #[command(flatten)]
    common: Common,
}

impl Ping {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut client = self.common.client()?;
        let begun = Instant::now();
        client.ping()?;
        let us = begun.elapsed().as_micros() as u64;
        if self.common.json {
            output::json(&json!({ "pong": true, "us": us }))
        } else {
            output::line("PONG")
        }
    }
}
