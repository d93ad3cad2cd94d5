//! The verbs of the service's clients.

pub(crate) mod args;
mod health;
mod lookup;
mod outage;
mod registration;
#[cfg(unix)]
pub(crate) mod run;
mod wait;
mod watch;

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgMatches, ValueEnum};
use clap_complete::Shell;

use crate::{output, values};
use discovery_service::client::{Client, Error, Options, Register, TIMEOUT};
use discovery_service::escape::Plain;
use discovery_service::message::Refusal;

/// No, or failed.
const NO: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

/// A verb that was asked for, with its arguments.
pub(crate) struct Verb(pub(crate) ArgMatches);

/// The options of a client.
fn options(server: &str, timeout: Duration, token_file: Option<&str>) -> Result<Options, Error> {
    let options = Options::new(server).timeout(timeout);
    match token_file {
        Some(path) => Ok(options.token_file(path)?),
        None => Ok(options),
    }
}

/// The value of an argument that is always there.
fn text<'a>(arguments: &'a ArgMatches, id: &str) -> &'a str {
    arguments.get_one::<String>(id).map_or("", String::as_str)
}

/// The value of an argument that was checked to be a number of this kind.
fn number<T: FromStr>(arguments: &ArgMatches, id: &str) -> Option<T> {
    arguments.get_one::<String>(id)?.parse().ok()
}

/// The value of an argument that was checked to be a time.
fn time(arguments: &ArgMatches, id: &str) -> Option<Duration> {
    values::parse_time(arguments.get_one::<String>(id)?)
}

/// Why a verb has not succeeded.
pub(crate) enum Failure {
    /// The answer is no; nothing is to be said.
    No,
    /// To be said on standard error.
    Message(String),
    /// Whoever reads the output has gone.
    OutputGone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Message(explain(&error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::OutputGone;
        }
        Failure::Message(format!("cannot write: {}", Plain(&error)))
    }
}

/// What the exit status says, even where nobody reads what is printed.
fn verdict(yes: bool, printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Ok(()) | Err(Failure::OutputGone) if !yes => Err(Failure::No),
        printed => printed,
    }
}

/// An error with the next step.
fn explain(error: &Error) -> String {
    let is_reason = |reason: &str, refusal: Refusal| reason == refusal.reason();
    let step = match error {
        Error::Unreachable { .. } => {
            "is it running? `discovery` starts it, --server names another address"
        }
        Error::Timeout { .. } => "is it overloaded or stopped? --timeout gives it longer",
        Error::Broken { .. } => "was it restarted? try again, and look at its log",
        Error::Nonsense { .. } => "--server names another address",
        Error::Refused { reason, .. } if reason.starts_with("authentication") => {
            "give --token-file with a token that it knows"
        }
        Error::Refused { reason, .. } if is_reason(reason, Refusal::TooManyConnections) => {
            "try again, or start it with a larger --max-connections"
        }
        Error::Refused { reason, .. } if is_reason(reason, Refusal::RegistryFull) => {
            "try again, or start it with a larger --max-services"
        }
        Error::Refused { .. } | Error::Word(_) | Error::TokenFile { .. } | Error::Thread(_) => {
            return error.to_string();
        }
    };
    format!("{error}: {step}")
}

impl Verb {
    /// Does what is asked; returns the exit status.
    pub(crate) fn run(&self) -> ExitCode {
        let Some((verb, arguments)) = self.0.subcommand() else {
            return ExitCode::from(NO);
        };
        #[cfg(unix)]
        if verb == args::RUN {
            return run::run(arguments);
        }
        match ask(verb, arguments) {
            Ok(()) | Err(Failure::OutputGone) => ExitCode::SUCCESS,
            Err(Failure::No) => ExitCode::from(NO),
            Err(Failure::Message(message)) => {
                output::complain(&message);
                ExitCode::from(NO)
            }
        }
    }
}

/// Runs a verb that asks the service.
fn ask(verb: &str, arguments: &ArgMatches) -> Result<(), Failure> {
    if verb == args::COMPLETIONS {
        return completions(arguments);
    }
    let timeout = time(arguments, args::TIMEOUT).map_or(TIMEOUT, |time| match verb {
        // Which may try more than once.
        args::WAIT => time.min(TIMEOUT),
        _ => time,
    });
    let token_file = arguments
        .get_one::<String>(args::TOKEN_FILE)
        .map(String::as_str);
    let options = options(text(arguments, args::SERVER), timeout, token_file)?;
    let json = arguments.get_flag(args::JSON);
    let service_type = arguments
        .try_get_one::<String>(args::TYPE)
        .ok()
        .flatten()
        .map(String::as_str);
    let mut client = Client::new(&options);
    match (verb, service_type) {
        (args::REGISTER, Some(service_type)) => {
            let how = Register {
                ttl: number(arguments, args::TTL),
                replace: arguments.get_flag(args::REPLACE),
            };
            let port = number(arguments, args::PORT).unwrap_or(0);
            registration::register(
                &mut client,
                service_type,
                text(arguments, args::IP),
                port,
                how,
                json,
            )
        }
        (args::HEARTBEAT, _) => {
            registration::known(client.heartbeat(text(arguments, args::UUID))?, json)
        }
        (args::DEREGISTER, _) => {
            registration::known(client.deregister(text(arguments, args::UUID))?, json)
        }
        (args::QUERY, Some(service_type)) => lookup::query(
            &mut client,
            service_type,
            arguments.get_flag(args::ONE),
            json,
        ),
        (args::LIST, service_type) => lookup::list(&mut client, service_type, json),
        (args::TYPES, _) => lookup::types(&mut client, json),
        (args::STATS, _) => health::stats(&mut client, json),
        (args::WHY, _) => lookup::why(&mut client, text(arguments, args::UUID), json),
        (args::WATCH, service_type) => {
            let exec = arguments.get_one::<String>(args::EXEC).map(String::as_str);
            watch::watch(&options, service_type, exec, json)
        }
        (args::WAIT, Some(service_type)) => {
            let count = number(arguments, args::COUNT).unwrap_or(1);
            wait::wait(
                &options,
                service_type,
                count,
                time(arguments, args::TIMEOUT),
                json,
            )
        }
        _ => health::ping(&mut client, json),
    }
}

fn completions(arguments: &ArgMatches) -> Result<(), Failure> {
    let Ok(shell) = <Shell as ValueEnum>::from_str(text(arguments, args::SHELL), true) else {
        return Err(Failure::No);
    };
    let mut command = args::command().mut_args(|arg| arg.env(Resettable::Reset));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "discovery", &mut script);
    output::bytes(&script)
}
