//! What can go wrong between a client and the service.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::escape::{Plain, printable};
use crate::message::Refusal;

/// Why a client has no answer.
#[derive(Debug)]
pub enum Error {
    /// No address could be connected to, or none of several has answered.
    Unreachable {
        /// The addresses.
        servers: String,
        /// Why.
        error: io::Error,
    },
    /// The service did not answer in time.
    Timeout {
        /// The address.
        server: String,
    },
    /// The connection ended or broke before the answer.
    Broken {
        /// The address.
        server: String,
    },
    /// The service refused, for this reason.
    Refused {
        /// The address.
        server: String,
        /// The beginning of the reason, in its words.
        reason: String,
    },
    /// What answers is not this service.
    Nonsense {
        /// The address.
        server: String,
        /// The beginning of what it said.
        answer: String,
    },
    /// What is named here cannot be sent: it is empty, or has a blank or a line end in it.
    Word(String),
    /// The token file cannot be used.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// This host does not let another thread be started.
    Thread(io::Error),
}

impl Error {
    pub(super) fn nonsense(server: &str, answer: &str) -> Error {
        const SHOWN: usize = 60;
        Error::Nonsense {
            server: server.to_owned(),
            answer: beginning(answer, SHOWN),
        }
    }

    pub(super) fn refused(server: &str, reason: &str) -> Error {
        const SHOWN: usize = 300;
        Error::Refused {
            server: server.to_owned(),
            reason: beginning(reason, SHOWN),
        }
    }

    /// Whether another try can help: the service may come back, but it does not change its mind.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. }
            | Error::Timeout { .. }
            | Error::Broken { .. }
            | Error::Thread(_) => true,
            Error::Refused { reason, .. } => [Refusal::RegistryFull, Refusal::TooManyConnections]
                .iter()
                .any(|refusal| refusal.reason() == *reason),
            Error::Nonsense { .. } | Error::Word(_) | Error::TokenFile { .. } => false,
        }
    }
}

/// The beginning of what a peer says, harmless wherever it is shown.
fn beginning(text: &str, chars: usize) -> String {
    printable(&text.chars().take(chars).collect::<String>())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable { servers, error } => {
                write!(
                    f,
                    "cannot reach the registry at {servers}: {}",
                    Plain(error)
                )
            }
            Error::Timeout { server } => {
                write!(f, "the registry at {server} did not answer in time")
            }
            Error::Broken { server } => write!(f, "the registry at {server} closed the connection"),
            Error::Refused { server, reason } => {
                write!(f, "the registry at {server} refused: {reason}")
            }
            Error::Nonsense { server, answer } => {
                write!(
                    f,
                    "what listens at {server} is not the registry: it said \"{answer}\""
                )
            }
            Error::TokenFile { path, reason } => {
                write!(f, "cannot use the token file {}: {reason}", path.display())
            }
            Error::Thread(error) => write!(f, "cannot start a thread: {}", Plain(error)),
            Error::Word(what) => {
                write!(
                    f,
                    "{what} cannot be sent: it is empty, or has a blank or a line end in it"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Unreachable { error, .. } | Error::Thread(error) => Some(error),
            _ => None,
        }
    }
}
