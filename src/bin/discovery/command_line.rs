//! The command line: the service's flags, and the verbs of its clients.

use std::ffi::{OsStr, OsString};

use clap::Arg;
use clap::builder::Resettable;

use discovery_service::server::config::Config;

use crate::verbs::{Verb, args};

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
        Config::from_matches(&matches, &mut command).map(Invocation::Service)
    }
}
