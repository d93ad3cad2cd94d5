//! The command's own process, before it is the command.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, getppid};
use signal_hook::consts::SIGTERM;

use discovery_service::escape::Plain;

use super::{CANNOT_START, CHILD, NOT_FOUND, NOT_OURS, this_program};
use crate::output;
use crate::verbs::USAGE;

/// Starts a process that becomes the command; returns its number.
pub(super) fn start(command: &[OsString]) -> io::Result<Pid> {
    let process = this_program(CHILD)?
        .arg(std::process::id().to_string())
        .args(command)
        .spawn()?;
    Ok(Pid::from_child(&process))
}

/// Becomes the command, and sees to it that the system ends it when its parent is killed. The words are
/// the parent's number and the command.
pub(super) fn become_command(words: &[OsString]) -> ExitCode {
    let [parent, program, arguments @ ..] = words else {
        output::complain(NOT_OURS);
        return ExitCode::from(USAGE);
    };
    // In this order there is no gap: a parent that is gone by now is not the one that is named. One in
    // another process namespace has no number here (getppid(2)).
    end_with_parent();
    let parent = parent.to_str().and_then(|parent| parent.parse().ok());
    if getppid().is_some_and(|pid| Some(pid.as_raw_nonzero().get()) != parent) {
        return ExitCode::from(128 + SIGTERM as u8);
    }
    let error = Command::new(program).args(arguments).exec();
    output::complain(&format!(
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
    // Where it is not to be had the command outlives a `run` that is killed, as everywhere else.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}
