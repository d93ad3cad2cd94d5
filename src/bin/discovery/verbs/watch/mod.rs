//! `watch`: shows registrations and removals as they happen.

mod screen;

use std::io::Write;
use std::process::{Command, Stdio};

use chrono::Utc;
use clap::{Args, ValueHint};
use serde::Serialize;

use discovery_service::client::{Service, Update, Watcher};
use discovery_service::escape::{Plain, printable};
use discovery_service::message::ServiceType;

use screen::Screen;

use super::Failure;
use super::options::Common;
use super::outage::{BACK, INTERVAL, Outage};
use crate::{output, values};

/// Show what comes and goes: a live table on a terminal, a line for each change in a pipe
#[derive(Args)]
#[command(
    after_help = "Example:\n  discovery watch web --exec 'cat >/etc/upstreams && nginx -s reload'"
)]
pub(crate) struct Watch {
    /// The type; without it, all
    #[arg(id = "type", value_name = "type", value_parser = values::service_type)]
    service_type: Option<ServiceType<'static>>,

    /// Run this at each change, with the present list on its standard input
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    exec: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// Where updates go.
enum Output<'a> {
    Screen(Screen),
    Command(&'a str),
    Json,
    Lines,
}

impl Watch {
    /// Follows a type or all until the process is ended or nobody reads its output.
    pub(super) fn run(self) -> Result<(), Failure> {
        let options = self.common.options()?;
        let service_type = self.service_type.as_ref().map(ServiceType::as_str);
        let json = self.common.json;
        let mut output = match &self.exec {
            Some(command) => Output::Command(command),
            None if json => Output::Json,
            None if output::to_screen() => Output::Screen(Screen::new(
                service_type.unwrap_or("all types"),
                &options.servers(),
            )),
            None => Output::Lines,
        };
        let mut watcher = Watcher::new(&options, service_type);
        let mut outage = Outage::default();
        let mut is_first = true;
        loop {
            let next = match output {
                // These show what is live now; the others record every change.
                Output::Screen(_) | Output::Command(_) => watcher.latest_within(INTERVAL),
                Output::Json | Output::Lines => watcher.next_within(INTERVAL),
            };
            match next {
                Some(Ok(update)) => {
                    match &mut output {
                        Output::Screen(screen) => screen.show(&update, Utc::now())?,
                        Output::Command(command) => execute(command, &update, service_type, json),
                        Output::Json => output::json(&Line::of(&update, is_first))?,
                        Output::Lines => print_changes(&update)?,
                    }
                    is_first = false;
                }
                // If the service is away at the start, that is an error. Later, `watch` waits for
                // it.
                Some(Err(error)) if is_first || !error.is_transient() => return Err(error.into()),
                Some(Err(error)) => {
                    if let Some(message) = outage.failed(&error) {
                        tell(&mut output, Some(message))?;
                    }
                }
                None if !matches!(output, Output::Command(_)) && output::reader_is_gone() => {
                    return Err(Failure::OutputGone);
                }
                None => {}
            }
            if watcher.is_connected() && outage.ends() {
                tell(&mut output, None)?;
            }
            if let Output::Screen(screen) = &mut output {
                screen.fit()?;
            }
        }
    }
}

/// Says that the service is away, and why, or that it is back.
fn tell(output: &mut Output<'_>, outage: Option<String>) -> Result<(), Failure> {
    match output {
        Output::Screen(screen) => screen.show_outage(outage)?,
        _ => output::message(outage.as_deref().unwrap_or(BACK)),
    }
    Ok(())
}

/// `up hive 127.0.0.1:65433`
fn print_changes(update: &Update) -> Result<(), Failure> {
    let mut lines = String::new();
    for (change, services) in [("up", &update.up), ("down", &update.down)] {
        for Service {
            service_type,
            address,
        } in services
        {
            lines += &format!("{change} {} {address}\n", printable(service_type));
        }
    }
    output::bytes(lines.as_bytes())
}

/// A line of the service's own stream.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Snapshot {
        index: u64,
        services: &'a [Service],
    },
    Delta {
        index: u64,
        up: &'a [Service],
        down: &'a [Service],
    },
}

impl<'a> Line<'a> {
    /// A snapshot at first, then deltas.
    fn of(update: &'a Update, is_first: bool) -> Self {
        let index = update.index;
        match is_first {
            true => Line::Snapshot {
                index,
                services: &update.services,
            },
            false => Line::Delta {
                index,
                up: &update.up,
                down: &update.down,
            },
        }
    }
}

/// Runs a command with the present list on its standard input: a line `ip:port` for each service,
/// with its type before it where all are watched.
fn execute(command: &str, update: &Update, service_type: Option<&str>, json: bool) {
    let line = |service: &Service| match service_type {
        Some(_) => format!("{}\n", service.address),
        None => format!("{} {}\n", printable(&service.service_type), service.address),
    };
    let list: String = match json {
        true => serde_json::to_string(&update.services).unwrap_or_default() + "\n",
        false => update.services.iter().map(line).collect(),
    };
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn();
    let status = child.and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // The command need not read the list.
            let _ = stdin.write_all(list.as_bytes());
        }
        child.wait()
    });
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => output::message(&format!("{command}: {status}")),
        Err(error) => output::message(&format!("cannot run sh: {}", Plain(&error))),
    }
}
