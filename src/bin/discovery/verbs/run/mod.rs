//! `discovery run`: a command that is registered for as long as it lives.

pub(crate) mod child;
mod interpreter;
mod port;
mod reporter;
mod runner;
mod signals;

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueHint};
use rustix::event::PollFlags;

use discovery_service::client::Register;
use discovery_service::message::ServiceType;

use super::Failure;
use super::options::{ClientOptions, LabelOptions};
use crate::output;
use crate::values::{self, Ip};
use runner::Runner;

const HELP: &str = "\
The command is registered once its port accepts connections, and held registered by a connection: it is gone from
the registry the moment it dies. While the registry is away it runs on, and is registered again when that comes back.
The address that clients would be told is tried, too: where it does not answer, and no other one that they can reach
does, the command is not registered, and a message says which address answers. --no-wait-port tries nothing.
On SIGTERM, SIGINT or SIGQUIT it is deregistered first, then --drain passes, then it gets the signal; a second
signal is passed on at once. Other signals are passed on as they are. What is ignored here stays ignored in the
command, except SIGPIPE and SIGCHLD. Exit status: that of the command, 128 and the signal that ended it, 126 when it
cannot be started, 127 when there is no such command.

Example:
  discovery run web 8000 --drain 5 -- python3 -m http.server 8000";

/// Exit status: wrong usage, including a token file that cannot be used.
const USAGE: u8 = 2;
/// Exit status: the command could not be started.
const CANNOT_START: u8 = 126;
/// Exit status: there is no such command.
const NOT_FOUND: u8 = 127;

/// Run a command that is registered for as long as it lives
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Run {
    /// What kind of service it is
    #[arg(id = "type", value_name = "type", value_parser = values::Parser(values::service_type))]
    service_type: ServiceType<'static>,

    /// The port on which it answers
    #[arg(value_name = "port", value_parser = values::Parser(values::port))]
    port: NonZeroU16,

    /// The address at which others reach it; - stands for the one that this host connects from
    #[arg(
        long,
        value_name = "IP",
        default_value = "-",
        value_parser = values::Parser(values::reachable_ip),
        allow_hyphen_values = true
    )]
    ip: Ip,

    /// The TTL that its record tells: a dead host is noticed within it; 1 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = values::Parser(values::ttl))]
    ttl: Option<u32>,

    #[command(flatten)]
    labels: LabelOptions,

    /// How long its port may take before a message says that it does not answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = values::Parser(values::seconds))]
    wait_port_timeout: Duration,

    /// Register it at once, and try no address: for UDP, or a port that serves one connection
    #[arg(long, conflicts_with_all = ["wait_port_timeout", "check"])]
    no_wait_port: bool,

    /// Try the registered address so often; while it does not answer, the command is deregistered
    #[arg(long, value_name = "SECONDS", value_parser = values::Parser(values::seconds))]
    check: Option<Duration>,

    /// How long it goes on after it was deregistered, before it gets the signal to end
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        value_parser = values::Parser(values::seconds_or_none)
    )]
    drain: Duration,

    /// Pass signals on to the command's whole process group, and end what is left of it with the command
    #[arg(long)]
    group: bool,

    /// What SIGTERM is passed on as, such as QUIT
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = values::Parser(values::signal))]
    stop_signal: i32,

    #[command(flatten)]
    client: ClientOptions,

    /// The command and its arguments, behind --
    #[arg(
        value_name = "command",
        required = true,
        last = true,
        num_args = 1..,
        value_hint = ValueHint::CommandName
    )]
    command: Vec<OsString>,
}

impl Run {
    /// Runs the command until it has ended; returns its status.
    pub(super) fn run(self) -> ExitCode {
        let options = match self.client.options() {
            Ok(options) => options,
            Err(error) => return fail(USAGE, error.into()),
        };
        let how = match self.how() {
            Ok(how) => how,
            Err(error) => return fail(USAGE, error),
        };
        match Runner::start(self, options, how) {
            Ok(runner) => runner.run(),
            Err(error) => fail(CANNOT_START, Failure::Message(error)),
        }
    }
}

impl Run {
    /// It takes the place of whoever is registered at its address: an earlier life of itself, which the
    /// registry has not missed yet.
    fn how(&self) -> Result<Register, Failure> {
        Ok(Register {
            ttl: self.ttl,
            replace: true,
            labels: self.labels.labels()?,
        })
    }
}

fn fail(status: u8, failure: Failure) -> ExitCode {
    if let Failure::Message(message) = failure {
        output::message(&message);
    }
    ExitCode::from(status)
}

/// Writes a message to standard error, which `run` shares with the command. Drops the message if
/// the write would block.
fn say(message: &str) {
    if output::state(&io::stderr(), PollFlags::OUT).contains(PollFlags::OUT) {
        // A pipe that is ready takes at least PIPE_BUF bytes, 4096, without blocking (pipe(7)).
        const CHARS_MAX: usize = 1000;
        output::message(&message.chars().take(CHARS_MAX).collect::<String>());
    }
}
