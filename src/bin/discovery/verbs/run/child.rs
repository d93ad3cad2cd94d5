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

use rustix::process::{Pid, getppid};
use signal_hook::consts::SIGTERM;

use discovery_service::escape::Plain;

use super::{CANNOT_START, NOT_FOUND, USAGE};
use crate::output;

/// The first argument of the process that becomes the command.
const NAME: &str = "run-child";

/// Starts a process that becomes the command; returns its process ID.
pub(super) fn start(command: &[OsString]) -> io::Result<Pid> {
    let process = this_program()?
        .arg(NAME)
        .arg(std::process::id().to_string())
        .args(command)
        .spawn()?;
    Ok(Pid::from_child(&process))
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
    output::message(&format!(
        "cannot start {}: {}",
        program.to_string_lossy(),
        Plain(&error)
    ));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        CANNOT_START
    })
}

#[cfg(target_os = "linux")]
fn end_with_parent() {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // If the system refuses, the command outlives a `run` that is killed, as it does on other
    // systems.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}
