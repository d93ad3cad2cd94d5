//! The `discovery` binary: arguments, logging, exit status.

mod logging;

use std::io::Write;
use std::process::ExitCode;

use discovery_service::config::Config;
use discovery_service::server;

/// The service could not run.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let config = match Config::from_process() {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    logging::init();
    let mut announce = |address| {
        // Whoever closed standard output does not want to know.
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    };
    match server::run(&config, &mut announce) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(FAILED)
        }
    }
}
