//! The verbs of the service's clients, a file for each group.
//!
//! A new verb is a variant of [`Verb`] and a struct with its arguments, its help and a `run`, in
//! the file that suits it. Arguments that several verbs share are in `options`, types of values in
//! `crate::values`. What it prints is pinned by `tests/it/command_line`.

mod completions;
mod failure;
mod health;
mod lookup;
mod open;
mod options;
mod outage;
mod registration;
#[cfg(unix)]
pub(crate) mod run;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use crate::output;

pub(crate) use failure::Failure;

/// Exit status: the answer is no, or the verb failed.
const NO: u8 = 1;

/// A verb with its arguments, in the order of the help.
#[derive(Subcommand)]
pub(crate) enum Verb {
    Register(registration::Register),
    Heartbeat(registration::Heartbeat),
    Update(registration::Update),
    Deregister(registration::Deregister),
    Query(lookup::Query),
    List(lookup::List),
    Types(lookup::Types),
    Stats(health::Stats),
    Why(lookup::Why),
    Watch(watch::Watch),
    Wait(wait::Wait),
    #[cfg(unix)]
    Run(run::Run),
    Ping(health::Ping),
    Open(open::Open),
    Completions(completions::Completions),
}

impl Verb {
    /// Does what is asked; returns the exit status.
    pub(crate) fn run(self) -> ExitCode {
        let result = match self {
            Verb::Register(verb) => verb.run(),
            Verb::Heartbeat(verb) => verb.run(),
            Verb::Update(verb) => verb.run(),
            Verb::Deregister(verb) => verb.run(),
            Verb::Query(verb) => verb.run(),
            Verb::List(verb) => verb.run(),
            Verb::Types(verb) => verb.run(),
            Verb::Stats(verb) => verb.run(),
            Verb::Why(verb) => verb.run(),
            Verb::Watch(verb) => verb.run(),
            Verb::Wait(verb) => verb.run(),
            // Its exit status is that of its command.
            #[cfg(unix)]
            Verb::Run(verb) => return verb.run(),
            Verb::Ping(verb) => verb.run(),
            Verb::Open(verb) => verb.run(),
            Verb::Completions(verb) => verb.run(),
        };
        match result {
            Ok(()) | Err(Failure::OutputGone) => ExitCode::SUCCESS,
            Err(Failure::No) => ExitCode::from(NO),
            Err(Failure::Message(message)) => {
                output::message(&message);
                ExitCode::from(NO)
            }
        }
    }
}
