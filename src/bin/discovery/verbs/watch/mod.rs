//! `watch`: shows what comes and goes.

mod screen;

use chrono::Utc;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

use discovery_service::client::{Options, Service, Update, Watcher};
use discovery_service::escape::{Plain, printable};

use screen::Screen;

use super::Failure;
use super::outage::{BACK, INTERVAL, Trouble};
use crate::output;

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
        None if output::to_screen() => Output::Screen(Screen::new(
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
                    Output::Json => output::json(&as_json(&update, is_first))?,
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
            None if !matches!(output, Output::Command(_)) && output::has_gone() => {
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
        _ => output::complain(trouble.as_deref().unwrap_or(BACK)),
    }
    Ok(())
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
    output::bytes(lines.as_bytes())
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
        Ok(status) => output::complain(&format!("{command}: {status}")),
        Err(error) => output::complain(&format!("cannot run sh: {}", Plain(&error))),
    }
}
