//! The process that becomes the command.
//!
//! The command must end when `run` is killed. Linux sends a child a signal when its parent dies if
//! the child has asked for it (PR_SET_PDEATHSIG in prctl(2)), and `exec` keeps that request. To ask
//! between `fork` and `exec` takes `CommandExt::pre_exec`, which is unsafe. So `run` starts this
//! program again as `run-child`, which asks for the signal and then becomes the command with
//! `exec`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::process::{
    Pid, Signal, getppid, kill_process, kill_process_group, test_kill_process_group,
};
use signal_hook::consts::SIGTERM;

use discovery_service::escape::Plain;

use super::{CANNOT_START, NOT_FOUND, USAGE, interpreter};
use crate::output;

/// The first argument of the process that becomes the command.
const NAME: &str = "run-child";

/// The command as a process.
pub(super) struct Child {
    pid: Pid,
    /// Whether it leads a process group of its own.
    leads_group: bool,
}

impl Child {
    /// Starts a process that becomes the command, in a process group of its own if `in_group`.
    pub(super) fn start(command: &[OsString], in_group: bool) -> io::Result<Child> {
        let mut program = this_program()?;
        program.arg(NAME).arg(std::process::id().to_string());
        if in_group {
            program.process_group(0);
        }
        let process = program.args(command).spawn()?;
        Ok(Child {
            pid: Pid::from_child(&process),
            leads_group: in_group,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the command, or to its process group.
    pub(super) fn signal(&self, signal: i32) {
        match Signal::from_named_raw(signal) {
            // It fails only when the command has just ended.
            Some(signal) if !self.leads_group => drop(kill_process(self.pid, signal)),
            _ => self.signal_rest(signal),
        }
    }

    /// Sends a signal to the command's process group, if it has one.
    pub(super) fn signal_rest(&self, signal: i32) {
        if let Some(signal) = Signal::from_named_raw(signal).filter(|_| self.leads_group) {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Whether there is anybody in the command's process group, if it has one.
    pub(super) fn has_rest(&self) -> bool {
        self.leads_group && test_kill_process_group(self.pid).is_ok()
    }
}

/// This program, to be started again.
fn this_program() -> io::Result<Command> {
    let name = std::env::args_os().next();
    // Without /proc the path is not known.
    let path =
        std::env::current_exe().or_else(|error| name.clone().map(PathBuf::from).ok_or(error))?;
    let mut program = Command::new(path);
    // With the name that this process was called by, so that process lists show the same.
    if let Some(name) = name {
        program.arg0(name);
    }
    Ok(program)
}

/// The arguments after `run-child`; `None` when this process was not started as that.
pub(crate) fn arguments_of(process: &[OsString]) -> Option<&[OsString]> {
    match process {
        [_, first, arguments @ ..] if first == NAME => Some(arguments),
        _ => None,
    }
}

/// Becomes the command, which the system ends when its parent dies. The arguments are the parent's
/// process ID and the command.
pub(crate) fn become_command(arguments: &[OsString]) -> ExitCode {
    let [parent, program, arguments @ ..] = arguments else {
        output::message("this is a part of `discovery run`, which starts it");
        return ExitCode::from(USAGE);
    };
    // In this order there is no gap: if the parent died before the request, this process has
    // another parent by now. A parent in another PID namespace has no ID here (getppid(2)).
    end_with_parent();
    let parent = parent.to_str().and_then(|parent| parent.parse().ok());
    if getppid().is_some_and(|pid| Some(pid.as_raw_nonzero().get()) != parent) {
        return ExitCode::from(128 + SIGTERM as u8);
    }
    let error = Command::new(program).args(arguments).exec();
    let interpreter = (error.kind() == io::ErrorKind::NotFound)
        .then(|| interpreter::of(program))
        .flatten();
    let name = program.to_string_lossy();
    let (reason, status) = match interpreter {
        Some(interpreter) => (
            format!("its interpreter {interpreter} does not exist"),
            CANNOT_START,
        ),
        None if error.kind() == io::ErrorKind::NotFound => (Plain(&error).to_string(), NOT_FOUND),
        None => (Plain(&error).to_string(), CANNOT_START),
    };
    output::message(&format!("cannot start {name}: {reason}"));
    ExitCode::from(status)
}

#[cfg(target_os = "linux")]
fn end_with_parent() {
    use rustix::process::set_parent_process_death_signal;
    // If the system refuses, the command outlives a `run` that is killed, as it does on other
    // systems.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}
