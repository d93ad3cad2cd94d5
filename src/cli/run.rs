//! `discovery run`: a command that is registered for as long as it lives.
//!
//! A loop over signals and the command's port; the registry is waited for by the thread of
//! [`Registration`]. The command is never made to wait for any of them.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, Command, ExitCode};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Pid, Signal, WaitOptions, getppid, kill_process, set_parent_process_death_signal, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook_mio::v1_0::Signals;

use discovery_service::client::{Notice, Options, Registration};

use super::port::Probe;
use super::{Failure, USAGE, args, explain, number, options, print, text, time};

/// The command could not be started.
const CANNOT_START: u8 = 126;
/// How many events are taken at a time.
const EVENTS_MAX: usize = 4;
const SIGNALS: Token = Token(0);
const PORT: Token = Token(1);

/// What is to be run, and how.
struct Run {
    service_type: String,
    port: u16,
    ip: String,
    wait_port_timeout: Duration,
    drain: Duration,
    command: Vec<OsString>,
}

/// The hidden verb: becomes the command, and sees to it that the system ends it when `run` is killed.
pub(super) fn become_command(arguments: &ArgMatches) -> ExitCode {
    // In this order there is no gap: a parent that is gone by now is not the one that is named.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != number(arguments, args::PARENT) {
        return ExitCode::from(128 + SIGTERM as u8);
    }
    let command = command_line(arguments);
    let Some((program, arguments)) = command.split_first() else { return ExitCode::from(USAGE) };
    let error = Command::new(program).args(arguments).exec();
    print::complain(&format!("cannot start {}: {error}", program.to_string_lossy()));
    ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

fn command_line(arguments: &ArgMatches) -> Vec<OsString> {
    arguments.get_many::<OsString>(args::COMMAND).into_iter().flatten().cloned().collect()
}

/// Runs the command until it ends; returns its status.
pub(super) fn run(arguments: &ArgMatches) -> ExitCode {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(Failure::Message(message)) => {
            print::complain(&message);
            return ExitCode::from(USAGE);
        }
        Err(_) => return ExitCode::from(USAGE),
    };
    let run = Run {
        service_type: text(arguments, args::TYPE).to_owned(),
        port: number(arguments, args::PORT).unwrap_or(0),
        ip: text(arguments, args::IP).to_owned(),
        wait_port_timeout: time(arguments, args::WAIT_PORT_TIMEOUT).unwrap_or_default(),
        drain: time(arguments, args::DRAIN).unwrap_or_default(),
        command: command_line(arguments),
    };
    match run.start(options) {
        Ok(runner) => runner.run(),
        Err(message) => {
            print::complain(&message);
            ExitCode::from(CANNOT_START)
        }
    }
}

impl Run {
    /// Starts the command.
    fn start(self, options: Options) -> Result<Runner, String> {
        // Before the command is started, so that no signal is missed.
        let (poll, signals) = receive_signals().map_err(|error| format!("cannot handle signals: {error}"))?;
        let process = self.spawn().map_err(|error| format!("cannot start the command: {error}"))?;
        let pid = pid_of(&process);
        let probe = Some(Probe::new(self.port_addresses(), PORT, self.wait_port_timeout, Instant::now()));
        Ok(Runner { run: self, options, pid, poll, signals, probe, registration: None, stopping: None })
    }

    fn spawn(&self) -> std::io::Result<Process> {
        let this = std::env::current_exe()?;
        let parent = std::process::id().to_string();
        Command::new(this).args([args::CHILD, &parent, "--"]).args(&self.command).spawn()
    }

    /// Where the command's port is tried: at its own address, or on this host.
    fn port_addresses(&self) -> Vec<SocketAddr> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let given = self.ip.parse().ok();
        let ips = given.into_iter().chain(loopback);
        ips.map(|ip| SocketAddr::new(ip, self.port)).collect()
    }
}

fn pid_of(process: &Process) -> Pid {
    Pid::from_raw(process.id() as i32).expect("a process that was started has a number")
}

fn receive_signals() -> std::io::Result<(Poll, Signals)> {
    let poll = Poll::new()?;
    let mut signals = Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH])?;
    poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
    Ok((poll, signals))
}

/// The loop of `run`.
struct Runner {
    run: Run,
    options: Options,
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
    fn run(mut self) -> ExitCode {
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
        let Run { service_type, ip, port, .. } = &self.run;
        match Registration::keep(&self.options, service_type, ip, *port, observe) {
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
