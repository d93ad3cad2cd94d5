//! The `discovery` binary: the service, and the verbs of its clients.

mod command_line;
mod logging;
mod output;
mod values;
mod verbs;

use std::io::Write;
use std::process::ExitCode;

use command_line::Invocation;
use discovery_service::server;
use discovery_service::server::config::Config;

/// The service could not run.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match Invocation::from_process() {
        Ok(Invocation::Service(config)) => serve(&config),
        #[cfg(unix)]
        Ok(Invocation::Stage(stage)) => stage.run(),
        Ok(Invocation::Verb(verb)) => verb.run(),
        Err(error) => error.exit(),
    }
}

fn serve(config: &Config) -> ExitCode {
    logging::init();
    let mut announce = |address| {
        // Whoever closed standard output does not want to know.
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    };
    match server::run(config, &mut announce, logging::dropped) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(FAILED)
        }
    }
}
