//! `discovery run`: a command that is registered for as long as it lives.

pub(crate) mod child;
mod port;
mod runner;
mod signals;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use rustix::event::PollFlags;

use discovery_service::client::{Options, TIMEOUT};

use super::{Failure, USAGE, args, number, options, text, time};
use crate::output;
use runner::Runner;

/// The command could not be started.
const CANNOT_START: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;

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

/// Runs the command until it has ended; returns its status.
pub(super) fn run(arguments: &ArgMatches) -> ExitCode {
    let started = Run::from_arguments(arguments)
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
    fn from_arguments(arguments: &ArgMatches) -> Result<Run, Failure> {
        let timeout = time(arguments, args::TIMEOUT).unwrap_or(TIMEOUT);
        let token_file = arguments
            .get_one::<String>(args::TOKEN_FILE)
            .map(String::as_str);
        Ok(Run {
            service_type: text(arguments, args::TYPE).to_owned(),
            port: number(arguments, args::PORT).unwrap_or(0),
            ip: text(arguments, args::IP).to_owned(),
            wait_port_timeout: time(arguments, args::WAIT_PORT_TIMEOUT).unwrap_or_default(),
            drain: time(arguments, args::DRAIN).unwrap_or_default(),
            options: options(text(arguments, args::SERVER), timeout, token_file)?,
            command: arguments
                .get_many::<OsString>(args::COMMAND)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        })
    }
}
