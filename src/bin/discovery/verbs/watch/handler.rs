//! The command of `watch --exec`: one at a time, with the present list on its standard input.

use std::io::{ErrorKind, Write};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use discovery_service::client::{Service, Update};
use discovery_service::escape::{Plain, printable};

use super::process::{self, Process};
use crate::output;

/// How often to look at a command that runs.
const INTERVAL: Duration = Duration::from_millis(20);

/// Runs the command.
pub(super) struct Handler {
    pub(super) command: String,
    /// The type that is watched; all types if there is none.
    pub(super) service_type: Option<String>,
    pub(super) servers: String,
    pub(super) json: bool,
    /// How long the list must have been still.
    pub(super) settle: Duration,
    /// How long the command may run.
    pub(super) timeout: Duration,
    running: Option<Running>,
    /// The list that the command is to be given next, and when.
    due: Option<(Update, Instant)>,
    signals: process::Signals,
}

/// A command that runs.
struct Running {
    process: Process,
    /// What it has not read of its list yet.
    list: Vec<u8>,
    stdin: Option<ChildStdin>,
    ends_at: Instant,
}

impl Handler {
    pub(super) fn new(command: &str, service_type: Option<&str>, servers: String) -> Self {
        Handler {
            command: command.to_owned(),
            service_type: service_type.map(str::to_owned),
            servers,
            json: false,
            settle: Duration::ZERO,
            timeout: Duration::MAX,
            running: None,
            due: None,
            signals: process::Signals::new(),
        }
    }

    /// The list has changed.
    pub(super) fn offer(&mut self, update: Update, now: Instant) {
        self.due = Some((update, now + self.settle));
    }

    /// How long it needs no [`turn`](Self::turn), `most` at most.
    pub(super) fn time_left(&self, most: Duration, now: Instant) -> Duration {
        match (&self.running, &self.due) {
            (Some(_), _) => INTERVAL.min(most),
            (None, Some((_, at))) => at.saturating_duration_since(now).min(most),
            (None, None) => most,
        }
    }

    /// Does what is due.
    pub(super) fn turn(&mut self) {
        if let Some(signal) = self.signals.received() {
            self.end();
            process::die_of(signal);
        }
        self.look();
        // To end a command takes time.
        let now = Instant::now();
        let is_due = self.due.as_ref().is_some_and(|(_, at)| *at <= now);
        if self.running.is_none() && is_due {
            self.start(now);
        }
        self.signals.set_idle(self.running.is_none());
    }

    /// Looks at the command that runs.
    fn look(&mut self) {
        if let Some(running) = &mut self.running {
            running.write();
            if let Some(status) = running.process.status() {
                self.running = None;
                self.report(status);
            } else if running.ends_at <= Instant::now() {
                output::message(&format!(
                    "{} has not ended within {} s, and is ended now",
                    self.command,
                    self.timeout.as_secs_f64()
                ));
                self.end();
            }
        }
    }

    fn start(&mut self, now: Instant) {
        let Some((update, _)) = self.due.take() else {
            return;
        };
        // Before the command starts, so that no signal leaves it behind.
        self.signals.set_idle(false);
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.command])
            .env("DISCOVERY_INDEX", update.index.to_string())
            .env("DISCOVERY_SERVER", &self.servers)
            .stdin(Stdio::piped());
        match &self.service_type {
            Some(service_type) => command.env("DISCOVERY_TYPE", service_type),
            None => command.env_remove("DISCOVERY_TYPE"),
        };
        match Process::start(command) {
            Ok((process, stdin)) => {
                self.running = Some(Running {
                    process,
                    list: self.list(&update),
                    stdin,
                    ends_at: now.checked_add(self.timeout).unwrap_or(now),
                });
            }
            Err(error) => output::message(&format!("cannot run sh: {}", Plain(&error))),
        }
    }

    /// A line `ip:port` for each service, with its type before it where all are watched.
    fn list(&self, update: &Update) -> Vec<u8> {
        let line = |service: &Service| match self.service_type {
            Some(_) => format!("{}\n", service.address),
            None => format!("{} {}\n", printable(&service.service_type), service.address),
        };
        let list: String = match self.json {
            true => serde_json::to_string(&update.services).unwrap_or_default() + "\n",
            false => update.services.iter().map(line).collect(),
        };
        list.into_bytes()
    }

    fn report(&self, status: ExitStatus) {
        if !status.success() {
            output::message(&format!("{}: {status}", self.command));
        }
    }

    /// Ends the command, if one runs.
    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.end();
        }
    }
}

/// The command ends with `watch`.
impl Drop for Handler {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    /// Writes what the command is ready to read.
    fn write(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        while !self.list.is_empty() {
            match stdin.write(&self.list) {
                Ok(written) => drop(self.list.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It need not read the list.
                Err(_) => break,
            }
        }
        self.stdin = None;
    }
}
