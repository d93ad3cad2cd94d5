//! The command line: the service's flags, and the verbs of its clients.

use std::ffi::{OsStr, OsString};

use clap::Arg;
use clap::builder::Resettable;

use discovery_service::server::config::Config;

#[cfg(unix)]
use crate::verbs::run;
use crate::verbs::{Verb, args};

/// What the process is to do.
pub(crate) enum Invocation {
    /// Go on with what `run` has begun.
    #[cfg(unix)]
    Stage(run::Stage),
    /// Run the service.
    Service(Config),
    /// Ask a service.
    Verb(Verb),
}

impl Invocation {
    /// Reads the arguments of this process and its environment; an argument beats the environment,
    /// and an empty variable counts as unset.
    ///
    /// # Errors
    /// Wrong usage, or a request for `--help` or `--version`: `clap::Error::exit` says it and ends
    /// the process with the right status.
    pub(crate) fn from_process() -> Result<Invocation, clap::Error> {
        let args: Vec<OsString> = std::env::args_os().collect();
        #[cfg(unix)]
        if let Some(stage) = run::Stage::of(&args) {
            return Ok(Invocation::Stage(stage));
        }
        Self::parse(args)
    }

    /// Not inlined, so that it takes no memory in the process of a stage.
    #[inline(never)]
    fn parse(args: Vec<OsString>) -> Result<Invocation, clap::Error> {
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
        let help = args.iter().any(|arg| arg == "-h" || arg == "--help");
        let mut command = match args.get(1).and_then(|first| first.to_str()) {
            // What stays in memory for long does not build what it does not need.
            Some(verb) if has_verb => args::command_of(verb).unwrap_or_else(args::command),
            _ if has_verb || help => args::command(),
            _ => Config::command(),
        };
        command = command
            .mut_args(without(false))
            .mut_subcommands(|verb| verb.mut_args(without(true)));
        let matches = command.try_get_matches_from_mut(args)?;
        if matches.subcommand_name().is_some() {
            return Ok(Invocation::Verb(Verb(matches)));
        }
        Config::from_matches(&matches, &mut command).map(Invocation::Service)
    }
}
