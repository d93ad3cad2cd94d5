//! `discovery run`: a command that is registered for as long as it lives.
//!
//! It is this program three times: `run` checks its arguments and becomes `run-hold`, which stays, and so
//! begins anew without the parser of command lines in its memory; that starts `run-child`, which becomes
//! the command.

mod child;
mod port;
mod runner;
mod signals;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::ArgMatches;
use rustix::event::PollFlags;

use discovery_service::client::Options;

use super::{Failure, USAGE, args, options, text};
use crate::{output, values};
use runner::Runner;

/// The process that stays: holds the registration and sees to the command.
const HOLD: &str = "run-hold";
/// The process that becomes the command.
const CHILD: &str = "run-child";

/// Said to who starts one of these by hand.
const NOT_OURS: &str = "this is a part of `discovery run`, which starts it";

/// The command could not be started.
const CANNOT_START: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;

/// The arguments of `run` as words for `run-hold`, in this order; the command follows.
const WORDS: [&str; 8] = [
    args::TYPE,
    args::PORT,
    args::IP,
    args::WAIT_PORT_TIMEOUT,
    args::DRAIN,
    args::TIMEOUT,
    args::SERVER,
    args::TOKEN_FILE,
];

/// What is to be run, and how.
struct Run {
    service_type: String,
    port: u16,
    ip: String,
    wait_port_timeout: Duration,
    drain: Duration,
    options: Options,
    command: Vec<OsString>,
}

/// What `run` has made of this process; with the words that it gave it.
pub(crate) enum Stage {
    Hold(Vec<OsString>),
    Child(Vec<OsString>),
}

impl Stage {
    /// Of a process with these arguments, its name first; `None` when somebody else has started it.
    pub(crate) fn of(args: &[OsString]) -> Option<Stage> {
        let (first, words) = args.get(1..)?.split_first()?;
        match first.to_str()? {
            HOLD => Some(Stage::Hold(words.to_vec())),
            CHILD => Some(Stage::Child(words.to_vec())),
            _ => None,
        }
    }

    /// Goes on until the command has ended; returns its status.
    pub(crate) fn run(self) -> ExitCode {
        match self {
            Stage::Hold(words) => hold(&words),
            Stage::Child(words) => child::become_command(&words),
        }
    }
}

/// Becomes the process that stays.
pub(super) fn run(arguments: &ArgMatches) -> ExitCode {
    let words = WORDS.iter().map(|id| OsString::from(text(arguments, id)));
    let command = arguments
        .get_many::<OsString>(args::COMMAND)
        .into_iter()
        .flatten()
        .cloned();
    let words: Vec<OsString> = words.chain(command).collect();
    if let Ok(mut this) = this_program(HOLD) {
        // It returns only when it fails, and then the parser stays in memory.
        let _ = this.args(&words).exec();
    }
    hold(&words)
}

/// This program, to be started again as `stage`.
fn this_program(stage: &str) -> io::Result<Command> {
    let name = std::env::args_os().next();
    // Without /proc it cannot be known.
    let path =
        std::env::current_exe().or_else(|error| name.clone().map(PathBuf::from).ok_or(error))?;
    let mut program = Command::new(path);
    // Called as it was called, so that it is found by that name.
    if let Some(name) = name {
        program.arg0(name);
    }
    program.arg(stage);
    Ok(program)
}

fn hold(words: &[OsString]) -> ExitCode {
    let started = Run::from_words(words)
        .map_err(|failure| (USAGE, failure))
        .and_then(|run| {
            Runner::start(run).map_err(|error| (CANNOT_START, Failure::Message(error)))
        });
    match started {
        Ok(runner) => runner.run(),
        Err((status, failure)) => {
            if let Failure::Message(message) = failure {
                output::complain(&message);
            }
            ExitCode::from(status)
        }
    }
}

/// Says something on standard error, which is the command's: where it would have to wait until that is
/// read, it keeps silent.
fn say(message: &str) {
    if output::state(&io::stderr(), PollFlags::OUT).contains(PollFlags::OUT) {
        // What is ready takes so much at least (PIPE_BUF in poll(2) and pipe(7)).
        const CHARS_MAX: usize = 1000;
        output::complain(&message.chars().take(CHARS_MAX).collect::<String>());
    }
}

impl Run {
    /// Takes what `run` has checked.
    fn from_words(words: &[OsString]) -> Result<Run, Failure> {
        let not_ours = || Failure::Message(NOT_OURS.to_owned());
        let (words, command) = words.split_at_checked(WORDS.len()).ok_or_else(not_ours)?;
        let words: Vec<&str> = words.iter().map_while(|word| word.to_str()).collect();
        let [
            service_type,
            port,
            ip,
            wait_port_timeout,
            drain,
            timeout,
            server,
            token_file,
        ] = words[..].try_into().map_err(|_| not_ours())?;
        let time = |word| values::parse_time(word).ok_or_else(not_ours);
        let token_file = Some(token_file).filter(|path| !path.is_empty());
        Ok(Run {
            service_type: str::to_owned(service_type),
            port: str::parse(port).map_err(|_| not_ours())?,
            ip: str::to_owned(ip),
            wait_port_timeout: time(wait_port_timeout)?,
            drain: time(drain)?,
            options: options(server, time(timeout)?, token_file)?,
            command: command.to_vec(),
        })
    }
}
