//! The verbs that follow what comes and goes: `watch` and `wait`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use discovery_service::client::{Error, Options, Service, Update, Watcher};

use super::screen::Screen;
use super::{Failure, ask, explain, print};

/// How often the height of the terminal is looked at while nothing changes.
const FIT_INTERVAL: Duration = Duration::from_secs(1);

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
        None if print::to_terminal() => {
            Output::Screen(Screen::new(service_type.unwrap_or("all types"), &options.servers()))
        }
        None => Output::Lines,
    };
    let mut watcher = Watcher::new(options, service_type);
    let mut trouble = Trouble::default();
    let mut is_first = true;
    loop {
        match (watcher.next_within(FIT_INTERVAL), &mut output) {
            (Some(Ok(update)), output) => {
                match output {
                    Output::Screen(screen) => screen.show(&update, is_first, Utc::now())?,
                    Output::Command(command) => run(command, &update, service_type, json),
                    Output::Json => print::json(&as_json(&update, is_first))?,
                    Output::Lines => print_changes(&update)?,
                }
                is_first = false;
                trouble.is_over();
            }
            // At the start it is said and that is all; later it is waited for.
            (Some(Err(error)), _) if is_first || !error.is_transient() => return Err(error.into()),
            (Some(Err(error)), _) => trouble.tell(&error),
            (None, Output::Screen(screen)) => screen.fit()?,
            (None, _) => {}
        }
    }
}

/// Says once that the service is away, however often it was tried.
#[derive(Default)]
struct Trouble {
    told: bool,
}

impl Trouble {
    fn tell(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.told, true) {
            print::complain(&format!("{error}; trying again"));
        }
    }

    fn is_over(&mut self) {
        self.told = false;
    }
}

/// `up hive 127.0.0.1:65433`
fn print_changes(update: &Update) -> Result<(), Failure> {
    let mut lines = String::new();
    for (word, services) in [("up", &update.up), ("down", &update.down)] {
        for Service { service_type, address } in services {
            lines += &format!("{word} {} {address}\n", print::printable(service_type));
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
    let Service { service_type, address } = service;
    json!({ "type": service_type, "ip": address.ip().to_string(), "port": address.port() })
}

/// Runs a command with the present list on its standard input: `ip:port` a line, with the type
/// before it where all are watched.
fn run(command: &str, update: &Update, service_type: Option<&str>, json: bool) {
    let line = |service: &Service| match service_type {
        Some(_) => format!("{}\n", service.address),
        None => format!("{} {}\n", print::printable(&service.service_type), service.address),
    };
    let list: String = match json {
        true => format!("{}\n", update.services.iter().map(object).collect::<Value>()),
        false => update.services.iter().map(line).collect(),
    };
    let child = Command::new("sh").args(["-c", command]).stdin(Stdio::piped()).spawn();
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
        Err(error) => print::complain(&format!("cannot run sh: {error}")),
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
    // Long enough to be for ever.
    const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
    let begun = Instant::now();
    let mut options = options.clone();
    if let Some(timeout) = timeout {
        options = options.timeout(timeout.min(discovery_service::client::TIMEOUT));
    }
    let mut watcher = Watcher::new(&options, Some(service_type));
    let mut live = None;
    let mut trouble = Trouble::default();
    loop {
        let left = timeout.unwrap_or(FOR_EVER).saturating_sub(begun.elapsed());
        match watcher.next_within(left) {
            Some(Ok(update)) => {
                trouble.is_over();
                if update.services.len() >= count {
                    let addresses: Vec<_> = update.services.iter().map(|service| service.address).collect();
                    return ask::print_addresses(&addresses, json);
                }
                live = Some(update.services.len());
            }
            Some(Err(error)) if !error.is_transient() || (live.is_none() && timeout.is_none()) => {
                return Err(error.into());
            }
            Some(Err(error)) if begun.elapsed() >= timeout.unwrap_or(FOR_EVER) => {
                return Err(Failure::Message(explain(&error)));
            }
            Some(Err(error)) => trouble.tell(&error),
            None => {
                let live = live
                    .map_or("the registry was never reached".to_owned(), |live| format!("{live} of {count} are live"));
                return Err(Failure::Message(format!("waited in vain for {service_type}: {live}")));
            }
        }
    }
}
