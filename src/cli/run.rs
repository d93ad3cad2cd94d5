//! `discovery run`: a command that is registered for as long as it lives.
//!
//! Three threads wait for three things and tell the main thread: signals, the command's port, and the
//! registry (in [`Registration`]). The command is never made to wait for any of them.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, Command, ExitCode};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use rustix::process::{Pid, Signal, WaitOptions, getppid, kill_process, set_parent_process_death_signal, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use discovery_service::client::{Notice, Options, Registration};

use super::{Failure, USAGE, args, explain, number, options, print, text, time};

/// The command could not be started.
const CANNOT_START: u8 = 126;
/// How often the port is tried.
const PORT_INTERVAL: Duration = Duration::from_millis(50);
/// How often it is tried once it has not answered for so long as it may.
const PORT_INTERVAL_LATE: Duration = Duration::from_secs(1);

/// What is to be run, and how.
struct Run {
    service_type: String,
    port: u16,
    ip: String,
    wait_port_timeout: Duration,
    drain: Duration,
    command: Vec<OsString>,
}

/// What the main thread is told.
enum Event {
    Signal(i32),
    /// The command's port answers.
    PortAnswers,
    /// It has not for so long as it may take.
    PortIsLate,
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
    let (sender, events) = mpsc::channel();
    // Before the command is started, so that no signal is missed.
    if let Err(error) = receive_signals(sender.clone()) {
        print::complain(&format!("cannot handle signals: {error}"));
        return ExitCode::from(CANNOT_START);
    }
    let process = match run.spawn() {
        Ok(process) => process,
        Err(error) => {
            print::complain(&format!("cannot start the command: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    let addresses = run.port_addresses();
    let patience = run.wait_port_timeout;
    std::thread::spawn(move || wait_for_port(&addresses, patience, &sender));
    Runner { run, options, pid: pid_of(&process), registration: None, stopping: None, events }.run()
}

impl Run {
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

fn receive_signals(sender: Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn wait_for_port(addresses: &[SocketAddr], patience: Duration, sender: &Sender<Event>) {
    let begun = Instant::now();
    let mut late = false;
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, PORT_INTERVAL_LATE).is_ok();
    while !addresses.iter().any(answers) {
        if !late && begun.elapsed() >= patience {
            late = true;
            if sender.send(Event::PortIsLate).is_err() {
                return;
            }
        }
        std::thread::sleep(if late { PORT_INTERVAL_LATE } else { PORT_INTERVAL });
    }
    let _ = sender.send(Event::PortAnswers);
}

/// The main thread of `run`.
struct Runner {
    run: Run,
    options: Options,
    pid: Pid,
    registration: Option<Registration>,
    /// The signal that the command is to get when it has drained, and when that is.
    stopping: Option<(i32, Instant)>,
    events: Receiver<Event>,
}

impl Runner {
    fn run(mut self) -> ExitCode {
        loop {
            // A child that ended before its signal was received is not told twice.
            if let Some(status) = self.reap() {
                if let Some(registration) = self.registration.take() {
                    registration.deregister();
                }
                return status;
            }
            match self.next_event() {
                Some(Event::Signal(SIGCHLD)) => {}
                Some(Event::Signal(signal)) => self.receive(signal),
                Some(Event::PortAnswers) if self.stopping.is_none() => self.register(),
                Some(Event::PortAnswers) => {}
                Some(Event::PortIsLate) => print::complain(&format!(
                    "port {} does not answer yet, so {} is not registered; still trying",
                    self.run.port, self.run.service_type
                )),
                None => self.pass_on_if_drained(),
            }
        }
    }

    /// The next event; `None` when the time to drain may be over.
    fn next_event(&self) -> Option<Event> {
        let Some((_, at)) = self.stopping else { return self.events.recv().ok() };
        self.events.recv_timeout(at.saturating_duration_since(Instant::now())).ok()
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

    fn receive(&mut self, signal: i32) {
        let ends = matches!(signal, SIGTERM | SIGINT | SIGQUIT);
        if !ends {
            return self.pass_on(signal);
        }
        if self.stopping.is_some() {
            // Whoever asks twice does not want to wait.
            self.stopping = Some((signal, Instant::now()));
            return;
        }
        if let Some(registration) = self.registration.take() {
            registration.deregister();
        }
        self.stopping = Some((signal, Instant::now() + self.run.drain));
    }

    fn pass_on_if_drained(&mut self) {
        if let Some((signal, at)) = self.stopping
            && at <= Instant::now()
        {
            // From here on the command's end is waited for, and nothing else.
            const LONG: Duration = Duration::from_secs(365 * 86_400);
            self.stopping = Some((signal, Instant::now() + LONG));
            // A terminal has told every process in the foreground itself.
            if signal == SIGTERM || !std::io::stdin().is_terminal() {
                self.pass_on(signal);
            }
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
