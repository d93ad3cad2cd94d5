//! The verbs that follow what comes and goes: `watch` and `wait`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use discovery_service::client::{Error, Options, Service, Update, Watcher};

use super::{Failure, ask, explain, print};

/// Follows a type or all, until the process is ended.
pub(super) fn watch(
    options: &Options,
    service_type: Option<&str>,
    exec: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let mut screen = (print::to_terminal() && !json && exec.is_none()).then(|| Screen::new(options, service_type));
    let mut trouble = Trouble::default();
    let mut first = true;
    for update in Watcher::new(options, service_type) {
        match update {
            Ok(update) => {
                match (&mut screen, exec) {
                    (Some(screen), _) => screen.show(&update)?,
                    (None, Some(command)) => run(command, &update, service_type, json),
                    (None, None) if json => print::json(&as_json(&update, first))?,
                    (None, None) => print_changes(&update)?,
                }
                first = false;
                trouble.is_over();
            }
            // At the start it is said and that is all; later it is waited for.
            Err(error) if first || !error.is_transient() => return Err(error.into()),
            Err(error) => trouble.tell(&error),
        }
    }
    Ok(())
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

/// A table that is drawn anew at each change.
struct Screen {
    title: String,
    /// When each service was first seen by this process.
    since: BTreeMap<Service, DateTime<Utc>>,
    changes: Vec<String>,
}

/// Lines about the latest changes below the table.
const CHANGES_SHOWN: usize = 5;

impl Screen {
    fn new(options: &Options, service_type: Option<&str>) -> Self {
        let what = service_type.map_or("all types".to_owned(), print::printable);
        Screen { title: format!("{what} at {}", options.servers()), since: BTreeMap::new(), changes: Vec::new() }
    }

    fn show(&mut self, update: &Update) -> Result<(), Failure> {
        let now = Utc::now();
        let clock = |time: &DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let first = self.since.is_empty() && self.changes.is_empty();
        for service in &update.services {
            self.since.entry(service.clone()).or_insert(now);
        }
        self.since.retain(|service, _| update.services.binary_search(service).is_ok());
        let came = update.up.iter().filter(|_| !first).map(|service| ("up", service));
        for (word, service) in came.chain(update.down.iter().map(|service| ("down", service))) {
            let name = print::printable(&service.service_type);
            self.changes.insert(0, format!("{} {word:<4} {name} {}", clock(&now), service.address));
        }
        self.changes.truncate(CHANGES_SHOWN);
        let row = |service: &Service| {
            let since = self.since.get(service).map_or(String::new(), clock);
            vec![print::printable(&service.service_type), service.address.to_string(), since]
        };
        let rows: Vec<Vec<String>> = update.services.iter().map(row).collect();
        let mut text = format!("{}: {} live\n\n", self.title, rows.len());
        text += &print::format_table(&["TYPE", "ADDRESS", "SEEN SINCE"], &rows, true, print::in_colour());
        if !self.changes.is_empty() {
            text += &format!("\n{}\n", self.changes.join("\n"));
        }
        // Written over what was there, so that nothing flickers as it would after a clearing.
        let text = text.replace('\n', "\x1b[K\n");
        print::bytes(format!("\x1b[H{text}\x1b[J").as_bytes())
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
