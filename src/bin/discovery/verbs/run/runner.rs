//! The event loop of `run`: signals and the command's port. The registry has a thread of its own,
//! that of [`Registration`], so a slow registry never holds up the command.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rustix::process::{WaitOptions, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGKILL, SIGQUIT, SIGTERM};

use discovery_service::client::{Options, Register, Registration};
use discovery_service::escape::Plain;

use super::child::Child;
use super::port::{self, Check, Probe};
use super::reporter::{Choice, LOOPBACK, Reporter};
use super::signals::{Received, Signals};
use super::{Run, say};
use crate::values::Ip;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 4;
/// How often to check whether the command has ended, if SIGCHLD is blocked.
const CHILD_INTERVAL: Duration = Duration::from_secs(1);
/// How often to check whether the rest of the command's process group has ended.
const REST_INTERVAL: Duration = Duration::from_millis(20);
/// How long the rest of the command's process group may take to end before it is killed.
const REST_MAX: Duration = Duration::from_secs(2);
/// Pause before the next attempt when this host could not start the registration's thread.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How long each address is tried before the command starts.
const BEFORE_MAX: Duration = Duration::from_millis(100);
const SIGNALS: Token = Token(0);
const PORT: Token = Token(1);

impl Run {
    /// Where the command may answer: at the address that was given, or those that a registry sees,
    /// and on loopback.
    fn addresses(&self, options: &Options) -> Vec<SocketAddr> {
        let mut ips = match self.ip {
            Ip::Observed => options.sources(),
            Ip::Given(ip) => vec![ip],
        };
        ips.extend(LOOPBACK);
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for ip in ips {
            let address = SocketAddr::new(ip, self.port.get());
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// The addresses that answer before the command has started; says so.
    fn foreign(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut foreign = addresses.to_vec();
        foreign.retain(|address| port::answers(*address, BEFORE_MAX));
        if let Some(first) = foreign.first() {
            say(&format!(
                "{first} answers already, before the command has been started, so it is somebody \
                 else's; {} is registered once it is the command's",
                self.service_type.as_str()
            ));
        }
        foreign
    }
}

/// The loop of `run`.
pub(super) struct Runner {
    run: Run,
    options: Options,
    /// How it is registered.
    how: Register,
    child: Child,
    poll: Poll,
    signals: Signals,
    port: Port,
    registration: Option<Registration>,
    stopping: Option<Stopping>,
}

/// What is known of the command's port.
enum Port {
    /// It has not answered yet.
    Unanswered(Probe),
    /// It has answered, and is to answer again before the service is registered again.
    Silent(Probe),
    /// It has answered, and the registered address is checked.
    Checked(Check),
    /// It is not tried, or not any more.
    Untried,
}

/// The command is to end, and drains.
struct Stopping {
    /// The signal that it has not been sent yet.
    signal: Option<i32>,
    /// When the signal is sent.
    at: Instant,
}

impl Runner {
    /// Starts the command.
    pub(super) fn start(run: Run, options: Options, how: Register) -> Result<Runner, String> {
        // Before the command starts, so that no signal is missed.
        let receive = || {
            let poll = Poll::new()?;
            let signals = Signals::new(poll.registry(), SIGNALS)?;
            Ok((poll, signals))
        };
        let (poll, signals) =
            receive().map_err(|error| format!("cannot handle signals: {}", Plain(&error)))?;
        let probe = (!run.no_wait_port).then(|| {
            let addresses = run.addresses(&options);
            let foreign = run.foreign(&addresses);
            (addresses, foreign)
        });
        let child = Child::start(&run.command, run.group)
            .map_err(|error| format!("cannot start the command: {}", Plain(&error)))?;
        let port = probe.map_or(Port::Untried, |(addresses, foreign)| {
            let probe = Probe::new(addresses, PORT, run.wait_port_timeout, Instant::now());
            Port::Unanswered(probe.without(foreign))
        });
        Ok(Runner {
            run,
            options,
            how,
            child,
            poll,
            signals,
            port,
            registration: None,
            stopping: None,
        })
    }

    /// Runs until the command has ended; returns its exit status.
    pub(super) fn run(mut self) -> ExitCode {
        if let Port::Untried = self.port {
            self.register(vec![], false);
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            // There are few sources of events, so each is checked, whatever the events are.
            for received in self.signals.pending() {
                self.receive(received);
            }
            if let Some(status) = self.reap() {
                self.end(status);
                return ExitCode::from(status);
            }
            let now = Instant::now();
            self.try_port(now);
            self.forward_if_drained(now);
            // Interrupted by a signal, it returns early, and the signal is handled above.
            let _ = self.poll.poll(&mut events, self.time_left(now));
        }
    }

    /// Time until something is due even without an event.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let port = match &self.port {
            Port::Unanswered(probe) | Port::Silent(probe) => Some(probe.deadline()),
            Port::Checked(check) => Some(check.deadline()),
            Port::Untried => None,
        };
        let drained = self
            .stopping
            .as_ref()
            .filter(|stopping| stopping.signal.is_some())
            .map(|stopping| stopping.at);
        let child = (!self.signals.sees_children).then(|| now + CHILD_INTERVAL);
        let next = port.into_iter().chain(drained).chain(child).min()?;
        Some(next.saturating_duration_since(now))
    }

    fn try_port(&mut self, now: Instant) {
        let was_silent = matches!(self.port, Port::Silent(_));
        match &mut self.port {
            Port::Unanswered(probe) | Port::Silent(probe) => {
                if probe.answers(self.poll.registry(), now) {
                    let foreign = probe.foreign().to_vec();
                    self.register(foreign, was_silent);
                } else if probe.is_late(now) {
                    let addresses: Vec<String> =
                        probe.addresses().iter().map(ToString::to_string).collect();
                    say(&format!(
                        "{} does not answer yet, so {} is not registered; still trying (--ip names another address)",
                        addresses.join(" or "),
                        self.run.service_type.as_str()
                    ));
                }
            }
            Port::Checked(check) => {
                let address = self.registration.as_ref().and_then(Registration::address);
                if let Some(address) = check.failed(address, self.poll.registry(), now) {
                    say(&format!(
                        "{address} does not answer any more, so {} is deregistered until it does",
                        self.run.service_type.as_str()
                    ));
                    self.deregister();
                    self.port = self.silent(now);
                }
            }
            Port::Untried => {}
        }
    }

    /// The port is to answer from `begin` on before the service is registered again.
    fn silent(&self, begin: Instant) -> Port {
        let addresses = self.run.addresses(&self.options);
        let patience = self.run.wait_port_timeout;
        Port::Silent(Probe::new(addresses, PORT, patience, begin))
    }

    /// Registers the service, for the port answers, or is not tried. Somebody else answers at the
    /// `foreign` addresses.
    fn register(&mut self, foreign: Vec<SocketAddr>, was_lost: bool) {
        let name = self.run.service_type.as_str();
        let choice = Choice {
            ip: self.run.ip,
            port: self.run.port,
            foreign,
        };
        let reporter = Reporter {
            name: name.to_owned(),
            choice: (!self.run.no_wait_port).then_some(choice),
            lost: was_lost.then(String::new),
            server: None,
        };
        let (ip, port) = (self.run.ip.to_string(), self.run.port.get());
        let now = Instant::now();
        match Registration::keep(&self.options, name, &ip, port, self.how.clone(), reporter) {
            Ok(registration) => {
                self.registration = Some(registration);
                let check = self.run.check.map(|every| Check::new(every, PORT, now));
                self.port = check.map_or(Port::Untried, Port::Checked);
            }
            Err(error) => {
                say(&format!(
                    "{name} is not registered, and runs on: {error}; trying again"
                ));
                self.port = self.silent(now + RETRY_INTERVAL);
            }
        }
    }

    fn deregister(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.deregister();
        }
    }

    /// The command has ended.
    fn end(&mut self, status: u8) {
        let is_unanswered = matches!(self.port, Port::Unanswered(_));
        if is_unanswered && self.stopping.is_none() && status == 0 {
            let name = self.run.service_type.as_str();
            say(&format!(
                "the command has ended before its port answered, so {name} was never registered \
                 (a command that goes on in the background cannot be registered: keep it in the \
                 foreground)"
            ));
        }
        self.deregister();
        self.end_rest();
    }

    /// Ends what is left of the command's process group, if it has one.
    fn end_rest(&mut self) {
        let begun = Instant::now();
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.child.signal_rest(SIGTERM);
        while self.child.has_rest() {
            if begun.elapsed() >= REST_MAX {
                self.child.signal_rest(SIGKILL);
                return;
            }
            // Signals wake it, and are for the rest, too.
            let _ = self.poll.poll(&mut events, Some(REST_INTERVAL));
            for received in self.signals.pending() {
                self.child.signal_rest(received.signal);
            }
            self.reap();
        }
    }

    fn receive(&mut self, received: Received) {
        // A terminal signals its foreground, which a process group of the command's own is not in.
        let has_it = received.by_terminal && !self.run.group;
        match received.signal {
            // Each turn of the loop reaps whatever has ended.
            SIGCHLD => {}
            SIGTERM => self.stop(Some(self.run.stop_signal)),
            signal @ (SIGINT | SIGQUIT) => self.stop(Some(signal).filter(|_| !has_it)),
            signal if !has_it => self.child.signal(signal),
            _ => {}
        }
    }

    /// The command is to end. It has not been sent `signal` yet.
    fn stop(&mut self, signal: Option<i32>) {
        self.port = Port::Untried;
        self.deregister();
        match &mut self.stopping {
            None => {
                self.stopping = Some(Stopping {
                    signal,
                    at: Instant::now() + self.run.drain,
                })
            }
            // A second request ends the draining.
            Some(stopping) => {
                let earlier = stopping.signal.take();
                earlier
                    .into_iter()
                    .chain(signal)
                    .for_each(|signal| self.child.signal(signal));
            }
        }
    }

    fn forward_if_drained(&mut self, now: Instant) {
        let drained = self.stopping.as_mut().filter(|stopping| stopping.at <= now);
        if let Some(signal) = drained.and_then(|stopping| stopping.signal.take()) {
            self.child.signal(signal);
        }
    }

    /// Reaps every child that has ended: as the first process of a container, `run` also inherits
    /// orphans. Returns the exit status once the command has ended.
    fn reap(&self) -> Option<u8> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.child.pid() {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                ended = Some(code.unwrap_or(1) as u8);
            }
        }
        ended
    }
}
