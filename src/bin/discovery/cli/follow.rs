//! The verbs that follow what comes and goes: `watch` and `wait`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use discovery_service::client::{Error, Options, Service, Update, Watcher};
use discovery_service::escape::{Plain, printable};

use super::screen::Screen;
use super::{Failure, ask, print};

/// How often it is looked around while nothing changes: at the terminal, and at the connection.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where changes go.
enum Output<'a> {
    Screen(Screen),
    Command(&'a str),
    Json,
    Lines,
}

/// Follows a type or all, until the process is ended.
pub(super) fn watch(
    options: &Options,
    service_type: Option<&str>,
    exec: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let mut output = match exec {
        Some(command) => Output::Command(command),
        None if json => Output::Json,
        None if print::to_screen() => Output::Screen(Screen::new(
            service_type.unwrap_or("all types"),
            &options.servers(),
        )),
        None => Output::Lines,
    };
    let mut watcher = Watcher::new(options, service_type);
    let mut trouble = Trouble::default();
    let mut is_first = true;
    loop {
        let next = match output {
            // These show what is live now; the others are a record of what has happened.
            Output::Screen(_) | Output::Command(_) => watcher.latest_within(INTERVAL),
            Output::Json | Output::Lines => watcher.next_within(INTERVAL),
        };
        match next {
            Some(Ok(update)) => {
                match &mut output {
                    Output::Screen(screen) => screen.show(&update, Utc::now())?,
                    Output::Command(command) => run(command, &update, service_type, json),
                    Output::Json => print::json(&as_json(&update, is_first))?,
                    Output::Lines => print_changes(&update)?,
                }
                is_first = false;
            }
            // At the start it is said and that is all; later it is waited for.
            Some(Err(error)) if is_first || !error.is_transient() => return Err(error.into()),
            Some(Err(error)) => {
                if let Some(message) = trouble.begins(&error) {
                    tell(&mut output, Some(message))?;
                }
            }
            None if !matches!(output, Output::Command(_)) && print::has_gone() => {
                return Err(Failure::OutputGone);
            }
            None => {}
        }
        if watcher.is_connected() && trouble.ends() {
            tell(&mut output, None)?;
        }
        if let Output::Screen(screen) = &mut output {
            screen.fit()?;
        }
    }
}

/// Says that the service is away, or no longer.
fn tell(output: &mut Output<'_>, trouble: Option<String>) -> Result<(), Failure> {
    match output {
        Output::Screen(screen) => screen.show_trouble(trouble)?,
        _ => print::complain(trouble.as_deref().unwrap_or(BACK)),
    }
    Ok(())
}

/// Said when trouble has ended.
const BACK: &str = "the registry is back";

/// Whether the service is away: something to be said when that changes, however often it is tried.
#[derive(Default)]
struct Trouble {
    is_told: bool,
}

impl Trouble {
    /// The message, once.
    fn begins(&mut self, error: &Error) -> Option<String> {
        (!std::mem::replace(&mut self.is_told, true)).then(|| format!("{error}; trying again"))
    }

    /// Whether there was any.
    fn ends(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}

/// `up hive 127.0.0.1:65433`
fn print_changes(update: &Update) -> Result<(), Failure> {
    let mut lines = String::new();
    for (word, services) in [("up", &update.up), ("down", &update.down)] {
        for Service {
            service_type,
            address,
        } in services
        {
            lines += &format!("{word} {} {address}\n", printable(service_type));
        }
    }
    print::bytes(lines.as_bytes())
}

/// The line of the service's own stream: the state at first, then the changes.
fn as_json(update: &Update, first: bool) -> Value {
    let objects = |services: &[Service]| services.iter().map(object).collect::<Value>();
    if first {
        json!({ "index": update.index, "services": objects(&update.services) })
    } else {
        json!({ "index": update.index, "up": objects(&update.up), "down": objects(&update.down) })
    }
}

fn object(service: &Service) -> Value {
    let Service {
        service_type,
        address,
    } = service;
    json!({ "type": service_type, "ip": address.ip().to_string(), "port": address.port() })
}

/// Runs a command with the present list on its standard input: `ip:port` a line, with the type
/// before it where all are watched.
fn run(command: &str, update: &Update, service_type: Option<&str>, json: bool) {
    let line = |service: &Service| match service_type {
        Some(_) => format!("{}\n", service.address),
        None => format!("{} {}\n", printable(&service.service_type), service.address),
    };
    let list: String = match json {
        true => format!(
            "{}\n",
            update.services.iter().map(object).collect::<Value>()
        ),
        false => update.services.iter().map(line).collect(),
    };
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn();
    let status = child.and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // A command need not read the list.
            let _ = stdin.write_all(list.as_bytes());
        }
        child.wait()
    });
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => print::complain(&format!("{command}: {status}")),
        Err(error) => print::complain(&format!("cannot run sh: {}", Plain(&error))),
    }
}

/// Returns when so many are live.
pub(super) fn wait(
    options: &Options,
    service_type: &str,
    count: usize,
    timeout: Option<Duration>,
    json: bool,
) -> Result<(), Failure> {
    let mut watcher = Watcher::new(options, Some(service_type));
    if let Some(timeout) = timeout {
        watcher = watcher.until(Instant::now() + timeout);
    }
    let mut live = None;
    let mut trouble = Trouble::default();
    loop {
        match watcher.latest_within(INTERVAL) {
            Some(Ok(update)) if update.services.len() >= count => {
                let addresses: Vec<_> = update
                    .services
                    .iter()
                    .map(|service| service.address)
                    .collect();
                return ask::print_addresses(&addresses, json);
            }
            Some(Ok(update)) => live = Some(update.services.len()),
            Some(Err(error))
                if watcher.is_over()
                    || !error.is_transient()
                    || (live.is_none() && timeout.is_none()) =>
            {
                return Err(error.into());
            }
            Some(Err(error)) => {
                if let Some(message) = trouble.begins(&error) {
                    print::complain(&message);
                }
            }
            None if watcher.is_over() => {
                let live = match live {
                    Some(live) if watcher.is_connected() => format!("{live} of {count} are live"),
                    _ => "the registry was away".to_owned(),
                };
                let message = format!(
                    "waited in vain for {service_type} at {}: {live}",
                    options.servers()
                );
                return Err(Failure::Message(message));
            }
            None => {}
        }
        if watcher.is_connected() && trouble.ends() {
            print::complain(BACK);
        }
    }
}
