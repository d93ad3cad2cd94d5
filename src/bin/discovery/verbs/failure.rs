//! Why a verb failed, and what its user can do about it.

use discovery_service::client::Error;
use discovery_service::escape::Plain;
use discovery_service::message::Refusal;

use crate::command_line::named_by;

/// Why a verb did not succeed.
pub(crate) enum Failure {
    /// The answer is no, and was printed as such.
    No,
    /// A message for standard error.
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

/// Turns an answer into the exit status, even where nobody reads what is printed.
pub(super) fn verdict(yes: bool, printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Ok(()) | Err(Failure::OutputGone) if !yes => Err(Failure::No),
        printed => printed,
    }
}

/// An error with the next step.
pub(super) fn explain(error: &Error) -> String {
    let is_reason = |reason: &str, refusal: Refusal| reason == refusal.reason();
    let step = match error {
        Error::Unreachable { .. } => {
            "is it running? `discovery` starts it, --server names another address"
        }
        Error::Timeout { .. } => "is it overloaded or stopped? --timeout gives it longer",
        Error::Broken { .. } => "was it restarted? try again, and look at its log",
        Error::Unexpected { .. } => "--server names another address",
        Error::Refused { reason, .. } if reason.starts_with("authentication") => {
            "give --token-file with a token that it knows"
        }
        Error::Refused { reason, .. } if is_reason(reason, Refusal::TooManyConnections) => {
            "try again, or start it with a larger --max-connections"
        }
        Error::Refused { reason, .. } if is_reason(reason, Refusal::RegistryFull) => {
            "try again, or start it with a larger --max-services"
        }
        Error::Refused { .. } if error.is_transient() => "try again in a moment",
        Error::TokenFile { path, .. } => {
            let origin = named_by("DISCOVERY_TOKEN_FILE", |value| path == value);
            return format!("{error}{origin}");
        }
        Error::Refused { .. } | Error::Argument(_) | Error::Withheld(_) | Error::Thread(_) => {
            return error.to_string();
        }
    };
    format!("{error}: {step}")
}
