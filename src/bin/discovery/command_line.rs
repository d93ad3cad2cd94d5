//! The command line: the service's flags, and the verbs of its clients.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser};

use discovery_service::server::config::{Config, ConfigError};

use crate::flags::Flags;
use crate::verbs::{Verb, args};

const ABOUT: &str = "\
A service registry over plain TCP: services register and send heartbeats, clients ask for a type.
Without a verb it runs the service, in the foreground until SIGINT or SIGTERM.";

const EXAMPLES: &str = "\
Examples:
  discovery                                                 the service, on 127.0.0.1:65432
  discovery run web 8000 -- python3 -m http.server 8000     a program that is registered while it lives
  discovery watch web                                       what comes and goes
  printf 'register hive 127.0.0.1 65433\\nquery hive\\n' | nc -N 127.0.0.1 65432

An option beats its environment variable; an empty variable counts as unset.
Exit status: 0 stopped by a signal, 1 could not run, 2 wrong usage.";

/// What follows the message that an address is not protected.
const REMEDY: &str = ".
Give --token-file <PATH> to ask clients for a token, or --insecure to allow everybody";

/// The service's part of the command line.
#[derive(Parser)]
#[command(name = "discovery", version, about = ABOUT, after_help = EXAMPLES)]
struct CommandLine {
    #[command(flatten)]
    service: Flags,
}

/// The flags of the service, without the verbs.
pub(crate) fn command() -> Command {
    CommandLine::command()
}

/// What the process is to do.
pub(crate) enum Invocation {
    /// Run the service.
    Service(Config),
    /// Ask a service.
    Verb(Verb),
}

impl Invocation {
    /// Reads the arguments of a process, its name first, and its environment; an argument beats the environment,
    /// and an empty variable counts as unset.
    ///
    /// # Errors
    /// Wrong usage, or a request for `--help` or `--version`: `clap::Error::exit` says it and ends
    /// the process with the right status.
    pub(crate) fn parse(args: Vec<OsString>) -> Result<Invocation, clap::Error> {
        // With a verb the variables of the service mean nothing.
        let has_verb = args
            .get(1)
            .is_some_and(|first| !first.to_string_lossy().starts_with('-'));
        let ignored = |arg: &Arg, of_verb: bool| {
            let is_empty =
                |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
            arg.get_env()
                .is_some_and(|name| has_verb != of_verb || is_empty(name))
        };
        let without = |of_verb| {
            move |arg: Arg| {
                if ignored(&arg, of_verb) {
                    arg.env(Resettable::Reset)
                } else {
                    arg
                }
            }
        };
        // Options of the service and their help do not fit into a line; those of a verb do, and would
        // inherit it.
        let of_verb = has_verb && args[1] != "help";
        let mut command = args::command()
            .next_line_help(!of_verb)
            .mut_args(without(false))
            .mut_subcommands(|verb| verb.mut_args(without(true)));
        let matches = command.try_get_matches_from_mut(args)?;
        if matches.subcommand_name().is_some() {
            return Ok(Invocation::Verb(Verb(matches)));
        }
        let line = CommandLine::from_arg_matches(&matches)?;
        let config = Config::from(line.service);
        match config.validate() {
            Ok(()) => Ok(Invocation::Service(config)),
            Err(error) => {
                let mut message = error.to_string();
                if matches!(error, ConfigError::Unprotected(_)) {
                    message += REMEDY;
                }
                Err(command.error(ErrorKind::MissingRequiredArgument, message))
            }
        }
    }
}
