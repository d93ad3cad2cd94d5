//! The `discovery` binary: the service, and the verbs of its clients.

mod command_line;
mod flags;
mod logging;
mod output;
mod values;
mod verbs;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::ExitCode;

use command_line::{Invocation, named_by};
use discovery_service::server::config::Config;
use discovery_service::server::{self, Listening, StartError};
#[cfg(unix)]
use verbs::run::child;

/// The service could not run.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // Not a verb of the command line, because only `run` starts it.
    #[cfg(unix)]
    if let Some(arguments) = child::arguments_of(&args) {
        return child::become_command(arguments);
    }
    match Invocation::parse(&args) {
        Ok(Invocation::Service(config)) => serve(&config),
        Ok(Invocation::Verb(verb)) => verb.run(),
        Err(error) => error.exit(),
    }
}

fn serve(config: &Config) -> ExitCode {
    logging::init();
    let mut announce = |listening: Listening| {
        // A closed standard output is no reason to stop.
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "{listening}").and_then(|()| stdout.flush());
    };
    match server::run(config, &mut announce, logging::dropped) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}{}", origin(&error));
            ExitCode::from(FAILED)
        }
    }
}

/// Which variable names the file or the address that cannot be used, if one does.
fn origin(error: &StartError) -> String {
    match error {
        StartError::TokenFile(path, _) => named_by("DISCOVERY_TOKEN_FILE", |value| path == value),
        StartError::StateFile(path, _) => named_by("DISCOVERY_STATE", |value| path == value),
        StartError::Listen(address, _) => {
            let is_among = |value: &OsStr| {
                let value = value.to_string_lossy();
                value
                    .split(',')
                    .any(|one| one.trim().parse() == Ok(*address))
            };
            let variables = ["DISCOVERY_LISTEN", "DISCOVERY_DNS_LISTEN"];
            variables
                .map(|variable| named_by(variable, is_among))
                .concat()
        }
        StartError::PasswordFile(path, _) => {
            named_by("DISCOVERY_CLUSTER_PASSWORD_FILE", |value| path == value)
        }
        StartError::Config(_)
        | StartError::System(..)
        | StartError::EtcdAddress(..)
        | StartError::OtherCluster(_) => String::new(),
    }
}
