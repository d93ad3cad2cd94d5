//! The verb about the page: `open`.

use std::env;
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::json;

use super::Failure;
use super::options::Common;
use crate::output;

/// Print the address of the registry's page, and open it where there is a desktop
#[derive(Args)]
#[command(after_help = "Example:\n  discovery open")]
pub(crate) struct Open {
    #[command(flatten)]
    common: Common,
}

impl Open {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut client = self.common.client()?;
        client.ping()?;
        let server = client.server().unwrap_or_default();
        let page = format!("http://{server}/");
        let printed = if self.common.json {
            output::json(&json!({ "url": page }))
        } else {
            output::line(&page)
        };
        if let Some(mut opener) = opener() {
            let quiet = opener.stdin(Stdio::null()).stdout(Stdio::null());
            // Without such a program, the address is there to be copied.
            let _ = quiet.stderr(Stdio::null()).arg(&page).spawn();
        }
        printed
    }
}

/// The program that shows an address in the browser of this desktop, if there is a desktop.
fn opener() -> Option<Command> {
    if cfg!(target_os = "macos") {
        return Some(Command::new("open"));
    }
    let has = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
    (has("WAYLAND_DISPLAY") || has("DISPLAY")).then(|| Command::new("xdg-open"))
}
