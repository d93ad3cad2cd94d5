//! The loop of `run`, over signals and the command's port; the registry is waited for by the thread of
//! [`Registration`]. The command is never made to wait for any of them.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook_mio::v1_0::Signals;

use discovery_service::client::{Notice, Registration};
use discovery_service::plain::Plain;

use super::port::Probe;
use super::{Run, child};
use crate::cli::{explain, print};

/// How many events are taken at a time.
const EVENTS_MAX: usize = 4;
const SIGNALS: Token = Token(0);
const PORT: Token = Token(1);

fn receive_signals() -> io::Result<(Poll, Signals)> {
    let poll = Poll::new()?;
    let mut signals = Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH])?;
    poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
    Ok((poll, signals))
}

/// Where the command's port is tried: at its own address, or on this host.
fn port_addresses(run: &Run) -> Vec<SocketAddr> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let given = run.ip.parse().ok();
    given.into_iter().chain(loopback).map(|ip| SocketAddr::new(ip, run.port)).collect()
}

/// The loop of `run`.
pub(super) struct Runner {
    run: Run,
    pid: Pid,
    poll: Poll,
    signals: Signals,
    /// Until the port answers, or need not any more.
    probe: Option<Probe>,
    registration: Option<Registration>,
    stopping: Option<Stopping>,
}

/// The command is to end.
struct Stopping {
    signal: i32,
    /// When it gets the signal; `None` once it has.
    at: Option<Instant>,
}

impl Runner {
    /// Starts the command.
    pub(super) fn start(run: Run) -> Result<Runner, String> {
        // Before the command is started, so that no signal is missed.
        let (poll, signals) = receive_signals().map_err(|error| format!("cannot handle signals: {}", Plain(&error)))?;
        let pid = child::start(&run.command).map_err(|error| format!("cannot start the command: {}", Plain(&error)))?;
        let probe = Some(Probe::new(port_addresses(&run), PORT, run.wait_port_timeout, Instant::now()));
        Ok(Runner { run, pid, poll, signals, probe, registration: None, stopping: None })
    }

    /// Goes on until the command has ended; returns its status.
    pub(super) fn run(mut self) -> ExitCode {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            // Few things can have happened, so each is looked at, whatever the events say.
            let signals: Vec<i32> = self.signals.pending().collect();
            for signal in signals {
                self.receive(signal);
            }
            if let Some(status) = self.reap() {
                self.deregister();
                return status;
            }
            let now = Instant::now();
            self.try_port(now);
            self.pass_on_if_drained(now);
            // A signal interrupts it, and is found above.
            let _ = self.poll.poll(&mut events, self.time_left(now));
        }
    }

    /// How long nothing is to be done unless something happens.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let probe = self.probe.as_ref().map(Probe::deadline);
        let drained = self.stopping.as_ref().and_then(|stopping| stopping.at);
        let next = probe.into_iter().chain(drained).min()?;
        Some(next.saturating_duration_since(now))
    }

    fn try_port(&mut self, now: Instant) {
        let Some(probe) = &mut self.probe else { return };
        if probe.answers(self.poll.registry(), now) {
            self.probe = None;
            self.register();
        } else if probe.is_late(now) {
            print::complain(&format!(
                "port {} does not answer yet, so {} is not registered; still trying",
                self.run.port, self.run.service_type
            ));
        }
    }

    fn register(&mut self) {
        let mut lost = false;
        let name = self.run.service_type.clone();
        let observe = move |notice| match notice {
            Notice::Registered { server, .. } if lost => {
                lost = false;
                print::complain(&format!("{name} is registered with {server} again"));
            }
            Notice::Registered { .. } => {}
            Notice::Lost(error) if !lost => {
                lost = true;
                print::complain(&format!("{name} is not registered, and runs on: {}; trying again", explain(&error)));
            }
            Notice::Lost(_) => {}
        };
        let Run { service_type, ip, port, options, .. } = &self.run;
        match Registration::keep(options, service_type, ip, *port, observe) {
            Ok(registration) => self.registration = Some(registration),
            Err(error) => print::complain(&error.to_string()),
        }
    }

    fn deregister(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.deregister();
        }
    }

    fn receive(&mut self, signal: i32) {
        match signal {
            // Whoever has ended is taken leave of anyway.
            SIGCHLD => {}
            SIGTERM | SIGINT | SIGQUIT => self.stop(signal),
            _ => self.pass_on(signal),
        }
    }

    fn stop(&mut self, signal: i32) {
        self.probe = None;
        // Whoever asks twice does not want to wait.
        let drain = if self.stopping.is_some() { Duration::ZERO } else { self.run.drain };
        self.deregister();
        self.stopping = Some(Stopping { signal, at: Some(Instant::now() + drain) });
    }

    fn pass_on_if_drained(&mut self, now: Instant) {
        let Some(stopping) = &mut self.stopping else { return };
        let signal = stopping.signal;
        // A terminal has told every process in the foreground itself.
        if stopping.at.take_if(|at| *at <= now).is_some() && (signal == SIGTERM || !std::io::stdin().is_terminal()) {
            self.pass_on(signal);
        }
    }

    fn pass_on(&self, signal: i32) {
        let signals = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2, Signal::WINCH];
        if let Some(signal) = signals.into_iter().find(|known| known.as_raw() == signal) {
            // A command that has just ended needs no signal.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Takes leave of every process that has ended: as the first process of a container, `run` gets
    /// those of others too. Returns the status to exit with once the command has ended.
    fn reap(&self) -> Option<ExitCode> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                ended = Some(ExitCode::from(code.unwrap_or(1) as u8));
            }
        }
        ended
    }
}
