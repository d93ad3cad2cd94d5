//! The event loop of `run`: signals and the command's port. The registry has a thread of its own,
//! that of [`Registration`], so a slow registry never holds up the command.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT, SIGTERM};

use discovery_service::client::{Notice, Options, Registration};
use discovery_service::escape::Plain;

use super::port::Probe;
use super::signals::{Received, Signals};
use super::{Run, child, say};
use crate::values::Ip;
use crate::verbs::failure::explain;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 4;
/// How often to check whether the command has ended, if SIGCHLD is blocked.
const CHILD_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before the next attempt when this host could not start the registration's thread.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
const SIGNALS: Token = Token(0);
const PORT: Token = Token(1);

impl Run {
    /// A probe of the command's port from `begin` on: at the address that was given, and on
    /// loopback.
    fn probe(&self, begin: Instant) -> Probe {
        let loopback = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let given = match self.ip {
            Ip::Observed => None,
            Ip::Given(ip) => Some(ip),
        };
        let ips = given
            .into_iter()
            .chain(loopback.into_iter().filter(|ip| Some(*ip) != given));
        let addresses = ips.map(|ip| SocketAddr::new(ip, self.port.get())).collect();
        Probe::new(addresses, PORT, self.wait_port_timeout, begin)
    }
}

/// The loop of `run`.
pub(super) struct Runner {
    run: Run,
    options: Options,
    pid: Pid,
    poll: Poll,
    signals: Signals,
    /// `None` after the port has answered, or when the command is to end.
    probe: Option<Probe>,
    registration: Option<Registration>,
    stopping: Option<Stopping>,
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
    pub(super) fn start(run: Run, options: Options) -> Result<Runner, String> {
        // Before the command starts, so that no signal is missed.
        let receive = || {
            let poll = Poll::new()?;
            let signals = Signals::new(poll.registry(), SIGNALS)?;
            Ok((poll, signals))
        };
        let (poll, signals) =
            receive().map_err(|error| format!("cannot handle signals: {}", Plain(&error)))?;
        let pid = child::start(&run.command)
            .map_err(|error| format!("cannot start the command: {}", Plain(&error)))?;
        let probe = Some(run.probe(Instant::now()));
        Ok(Runner {
            run,
            options,
            pid,
            poll,
            signals,
            probe,
            registration: None,
            stopping: None,
        })
    }

    /// Runs until the command has ended; returns its exit status.
    pub(super) fn run(mut self) -> ExitCode {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            // There are few sources of events, so each is checked, whatever the events are.
            for received in self.signals.pending() {
                self.receive(received);
            }
            if let Some(status) = self.reap() {
                self.deregister();
                return status;
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
        let probe = self.probe.as_ref().map(Probe::deadline);
        let drained = self
            .stopping
            .as_ref()
            .filter(|stopping| stopping.signal.is_some())
            .map(|stopping| stopping.at);
        let child = (!self.signals.sees_children).then(|| now + CHILD_INTERVAL);
        let next = probe.into_iter().chain(drained).chain(child).min()?;
        Some(next.saturating_duration_since(now))
    }

    fn try_port(&mut self, now: Instant) {
        let Some(probe) = &mut self.probe else { return };
        if probe.answers(self.poll.registry(), now) {
            self.probe = None;
            self.register();
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

    fn register(&mut self) {
        let mut lost = None;
        let name = self.run.service_type.as_str().to_owned();
        let observe = move |notice: Notice| match notice {
            Notice::Removed(_) => {}
            Notice::Registered { server, .. } => {
                if lost.take().is_some() {
                    say(&format!("{name} is registered with {server} again"));
                }
            }
            Notice::Lost(error) => {
                let reason = explain(&error);
                // While the registry is away, the reason may change without being news.
                if lost.is_none() || (!error.is_transient() && lost.as_ref() != Some(&reason)) {
                    say(&format!(
                        "{name} is not registered, and runs on: {reason}; trying again"
                    ));
                    lost = Some(reason);
                }
            }
        };
        let (service_type, ip) = (self.run.service_type.as_str(), self.run.ip.to_string());
        let port = self.run.port.get();
        match Registration::keep(&self.options, service_type, &ip, port, observe) {
            Ok(registration) => self.registration = Some(registration),
            Err(error) => {
                say(&format!(
                    "{service_type} is not registered, and runs on: {error}; trying again"
                ));
                self.probe = Some(self.run.probe(Instant::now() + RETRY_INTERVAL));
            }
        }
    }

    fn deregister(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.deregister();
        }
    }

    fn receive(&mut self, received: Received) {
        match received.signal {
            // Each turn of the loop reaps whatever has ended.
            SIGCHLD => {}
            SIGTERM | SIGINT | SIGQUIT => self.stop(received),
            signal if !received.by_terminal => self.forward(signal),
            _ => {}
        }
    }

    fn stop(
        &mut self,
        Received {
            signal,
            by_terminal,
        }: Received,
    ) {
        self.probe = None;
        self.deregister();
        let signal = Some(signal).filter(|_| !by_terminal);
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
                    .for_each(|signal| self.forward(signal));
            }
        }
    }

    fn forward_if_drained(&mut self, now: Instant) {
        let drained = self.stopping.as_mut().filter(|stopping| stopping.at <= now);
        if let Some(signal) = drained.and_then(|stopping| stopping.signal.take()) {
            self.forward(signal);
        }
    }

    fn forward(&self, signal: i32) {
        if let Some(signal) = Signal::from_named_raw(signal) {
            // It fails only when the command has just ended.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Reaps every child that has ended: as the first process of a container, `run` also inherits
    /// orphans. Returns the exit status once the command has ended.
    fn reap(&self) -> Option<ExitCode> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                ended = Some(ExitCode::from(code.unwrap_or(1) as u8));
            }
        }
        ended
    }
}
