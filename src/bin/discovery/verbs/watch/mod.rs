//! `watch`: shows registrations and removals as they happen.

mod handler;
mod process;
mod screen;

use std::time::{Duration, Instant};

use chrono::Utc;
use clap::{Args, ValueHint};
use serde::Serialize;

use discovery_service::client::{Error, GRACE, Options, Service, Update, Watcher};
use discovery_service::escape::printable;
use discovery_service::message::ServiceType;

use handler::Handler;
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
    #[arg(id = "type", value_name = "type", value_parser = values::Parser(values::service_type))]
    service_type: Option<ServiceType<'static>>,

    /// Run this at each change, with the present list on its standard input
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    exec: Option<String>,

    /// Run it once the list has been still for so long
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        requires = "exec",
        value_parser = values::Parser(values::seconds_or_none)
    )]
    settle: Duration,

    /// How long it may run before it is ended
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        requires = "exec",
        value_parser = values::Parser(values::seconds)
    )]
    exec_timeout: Duration,

    #[command(flatten)]
    common: Common,
}

/// Where updates go.
enum Output {
    Screen(Screen),
    Command(Box<Handler>),
    Json,
    Lines,
}

impl Watch {
    /// Follows a type or all until the process is ended or nobody reads its output.
    pub(super) fn run(self) -> Result<(), Failure> {
        let options = self.common.options()?;
        let service_type = self.service_type.as_ref().map(ServiceType::as_str);
        let mut output = self.output(&options, service_type);
        let mut watcher = Watcher::new(&options, service_type);
        let mut outage = Outage::default();
        let mut is_first = true;
        loop {
            match output.next(&mut watcher) {
                Some(Ok(update)) => {
                    output.show(update, is_first)?;
                    is_first = false;
                }
                Some(Err(error)) if watcher.is_over() => return Err(error.into()),
                Some(Err(error)) => {
                    if let Some(message) = outage.failed(&error) {
                        output.tell(Some(message))?;
                    }
                }
                None if output.is_closed() => return Err(Failure::OutputGone),
                None => {}
            }
            if watcher.is_connected() && outage.ends() {
                output.tell(None)?;
                output.tell_unconfirmed(watcher.unconfirmed().len());
            }
            output.turn(&watcher)?;
        }
    }

    fn output(&self, options: &Options, service_type: Option<&str>) -> Output {
        match &self.exec {
            Some(command) => {
                let mut handler = Handler::new(command, service_type, options.servers());
                handler.json = self.common.json;
                (handler.settle, handler.timeout) = (self.settle, self.exec_timeout);
                Output::Command(Box::new(handler))
            }
            None if self.common.json => Output::Json,
            None if output::to_screen() => Output::Screen(Screen::new(
                service_type.unwrap_or("all types"),
                &options.servers(),
            )),
            None => Output::Lines,
        }
    }
}

impl Output {
    /// The next update, or `None` when something else may be due.
    fn next(&self, watcher: &mut Watcher) -> Option<Result<Update, Error>> {
        match self {
            // These show what is live now; the others record every change.
            Output::Screen(_) => watcher.latest_within(INTERVAL),
            Output::Command(handler) => {
                watcher.latest_within(handler.time_left(INTERVAL, Instant::now()))
            }
            Output::Json | Output::Lines => watcher.next_within(INTERVAL),
        }
    }

    fn show(&mut self, update: Update, is_first: bool) -> Result<(), Failure> {
        match self {
            Output::Screen(screen) => screen.show(&update, Utc::now()),
            Output::Command(handler) => {
                handler.offer(update, Instant::now());
                Ok(())
            }
            Output::Json => output::json(&Line::of(&update, is_first)),
            Output::Lines => print_changes(&update),
        }
    }

    /// Does what is due beside updates.
    fn turn(&mut self, watcher: &Watcher) -> Result<(), Failure> {
        match self {
            Output::Screen(screen) => {
                screen.mark(watcher.unconfirmed())?;
                screen.fit()
            }
            Output::Command(handler) => {
                handler.turn();
                Ok(())
            }
            Output::Json | Output::Lines => Ok(()),
        }
    }

    /// Says that the service is away, and why, or that it is back.
    fn tell(&mut self, outage: Option<String>) -> Result<(), Failure> {
        match self {
            Output::Screen(screen) => return screen.show_outage(outage),
            _ => output::message(outage.as_deref().unwrap_or(BACK)),
        }
        Ok(())
    }

    /// Says how many services count as live that the registry does not know after its return. A
    /// screen marks them.
    fn tell_unconfirmed(&self, count: usize) {
        if count > 0 && !matches!(self, Output::Screen(_)) {
            output::message(&format!(
                "unconfirmed: it does not know {count} of the services yet; they have {} s to return",
                GRACE.as_secs()
            ));
        }
    }

    fn is_closed(&self) -> bool {
        !matches!(self, Output::Command(_)) && output::reader_is_gone()
    }
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
