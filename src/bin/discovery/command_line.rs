//! The command line: the flags of the service, or a verb of its clients.
//!
//! The tree is declared in [`Flags`] and [`Verb`]; each value is parsed once, into the type that is
//! used afterwards. Here is what the declaration cannot say: which variables of the environment
//! count.

use std::ffi::{OsStr, OsString};

use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser, ValueHint};

use discovery_service::server::config::{Config, ConfigError};

use crate::flags::Flags;
use crate::verbs::Verb;

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

#[derive(Parser)]
#[command(name = "discovery", version, about = ABOUT, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
struct CommandLine {
    #[command(flatten)]
    service: Flags,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What the process is asked to do. It is made once.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Invocation {
    /// Run the service.
    Service(Config),
    /// Run a verb.
    Verb(Verb),
}

impl Invocation {
    /// Reads the arguments of a process, its name first, and the environment. An option beats its
    /// variable, and an empty variable counts as unset. With a verb, the variables of the service
    /// are ignored.
    ///
    /// # Errors
    /// Wrong usage, or a request for `--help` or `--version`: `clap::Error::exit` prints it and ends
    /// the process with the right status.
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Invocation, clap::Error> {
        let verb = verb_in(arguments);
        let has_verb = verb.is_some();
        let mut command = tree()
            // The options of the service do not fit into a line with their help. Those of the verbs
            // do, and would inherit this.
            .next_line_help(!has_verb || verb == Some("help".as_ref()))
            .mut_args(|arg| match is_empty(&arg) || has_verb {
                true => arg.env(Resettable::Reset),
                false => arg,
            })
            .mut_subcommands(|verb| {
                verb.mut_args(|arg| match is_empty(&arg) {
                    true => arg.env(Resettable::Reset),
                    false => arg,
                })
            });
        let matches = command
            .try_get_matches_from_mut(arguments)
            .map_err(|error| name_variable(error, &command, arguments))
            .map_err(|error| name_place(error, &command, arguments))
            .map_err(|error| with_plain_usage(error, &mut command, arguments))?;
        let line =
            CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        match line.verb {
            Some(verb) => Ok(Invocation::Verb(verb)),
            None => config(line.service, &matches, &mut command).map(Invocation::Service),
        }
    }
}

/// The whole command line, for completions: without the environment.
pub(crate) fn without_environment() -> Command {
    tree().mut_args(|arg| arg.env(Resettable::Reset))
}

fn tree() -> Command {
    // A shell completes file names unless it is told that a value is something else.
    let hint = |arg: Arg| {
        let is_known = arg.get_value_hint() != ValueHint::Unknown;
        match arg.get_action().takes_values() && !is_known {
            true => arg.value_hint(ValueHint::Other),
            false => arg,
        }
    };
    CommandLine::command()
        .mut_args(hint)
        .mut_subcommands(|verb| verb.mut_args(hint))
}

/// The verb, or what stands in its place. Options of the service cannot precede it.
fn verb_in(arguments: &[OsString]) -> Option<&OsStr> {
    let first = arguments.get(1)?;
    (!first.to_string_lossy().starts_with('-')).then_some(first)
}

/// Whether the variable of an argument is set to nothing.
fn is_empty(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| value.is_empty())
}

/// The configuration that the service's flags ask for.
fn config(
    flags: Flags,
    matches: &ArgMatches,
    command: &mut Command,
) -> Result<Config, clap::Error> {
    let config = Config::from(flags);
    if let Err(error) = config.validate() {
        let mut message = error.to_string();
        if matches!(error, ConfigError::Unprotected(_)) {
            message += REMEDY;
        }
        if matches.value_source("listen") == Some(ValueSource::EnvVariable) {
            message += "\nThe address is that of the variable DISCOVERY_LISTEN";
        }
        return Err(command.error(ErrorKind::MissingRequiredArgument, message));
    }
    Ok(config)
}

/// What a message adds about a file or an address that a variable names; nothing where it does not.
pub(crate) fn named_by(variable: &str, is_named: impl FnOnce(&OsStr) -> bool) -> String {
    match std::env::var_os(variable) {
        Some(value) if is_named(&value) => format!("; the variable {variable} names it"),
        _ => String::new(),
    }
}

/// Adds to an error about the value of an environment variable which variable that is.
fn name_variable(mut error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let verb = verb_in(arguments).and_then(|verb| command.find_subcommand(verb));
    let arg = verb
        .unwrap_or(command)
        .get_arguments()
        .find(|arg| arg.to_string() == *wrong);
    let is_given = |arg: &Arg| {
        let option = format!("--{}", arg.get_long().unwrap_or_default());
        let is_option = |argument: &OsString| {
            let argument = argument.to_string_lossy();
            let rest = argument.strip_prefix(&option);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        arguments.iter().any(is_option)
    };
    let variable = arg
        .filter(|arg| !is_given(arg))
        .and_then(Arg::get_env)
        .filter(|variable| std::env::var_os(variable).is_some());
    if let Some(variable) = variable {
        let tip = format!("the value is that of the variable {}", variable.display());
        suggest(&mut error, tip);
    }
    error
}

/// Adds to an error about an option of a verb, which stands before the verb, where it belongs.
fn name_place(mut error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    let wrong = match error.kind() {
        ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
        // The service has an option of this name, too.
        ErrorKind::ArgumentConflict => error.get(ContextKind::PriorArg),
        _ => None,
    };
    let Some(ContextValue::String(wrong)) = wrong.filter(|_| verb_in(arguments).is_none()) else {
        return error;
    };
    let wrong = wrong.split(' ').next().unwrap_or_default();
    let has_it = |verb: &Command| {
        let mut options = verb.get_arguments().filter_map(Arg::get_long);
        options.any(|option| wrong.strip_prefix("--") == Some(option))
    };
    let verb = arguments
        .iter()
        .find_map(|argument| command.find_subcommand(argument));
    let fits = verb.map_or_else(|| command.get_subcommands().any(has_it), has_it);
    if fits {
        let verb = verb.map_or("<VERB>", Command::get_name);
        let tip = format!("it belongs behind the verb: discovery {verb} {wrong} …");
        suggest(&mut error, tip);
    }
    error
}

fn suggest(error: &mut clap::Error, tip: String) {
    let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
    error.insert(ContextKind::Suggested, tips);
}

/// Shows the usage without the options that variables have set, which would look as if they were
/// required.
fn with_plain_usage(
    mut error: clap::Error,
    command: &mut Command,
    arguments: &[OsString],
) -> clap::Error {
    if error.get(ContextKind::Usage).is_some() {
        let verb = verb_in(arguments).map(OsStr::to_owned);
        let verb = verb.filter(|verb| command.find_subcommand(verb).is_some());
        let usage = match verb.and_then(|verb| command.find_subcommand_mut(verb)) {
            Some(verb) => verb.render_usage(),
            None => command.render_usage(),
        };
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        tree().debug_assert();
    }
}
