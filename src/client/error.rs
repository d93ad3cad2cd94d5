//! Why a request of a client can fail.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::escape::{Plain, printable};
use crate::message::Refusal;

/// How the reason begins that a node of a cluster gives while it does not know yet what is registered.
const NOT_READY: &str = "not ready";

/// Why a request failed.
#[derive(Debug)]
pub enum Error {
    /// No connection could be made; or, of several servers, none answered.
    Unreachable {
        /// The servers.
        servers: String,
        /// Why.
        error: io::Error,
    },
    /// The service did not answer in time.
    Timeout {
        /// The server.
        server: String,
    },
    /// The connection was closed or failed before the answer.
    Broken {
        /// The server.
        server: String,
    },
    /// The service refused the request.
    Refused {
        /// The server.
        server: String,
        /// The beginning of the reason that it gave.
        reason: String,
    },
    /// The answer does not follow the protocol: whatever listens there is not this service.
    Unexpected {
        /// The server.
        server: String,
        /// The beginning of the answer.
        answer: String,
    },
    /// This argument cannot be sent: it is empty, or contains white space or a control character.
    Argument(String),
    /// The token file cannot be used.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An [`Observer`](super::Observer) let the service be registered at no address, for this reason.
    Withheld(String),
    /// The system refused to start a thread.
    Thread(io::Error),
}

impl Error {
    pub(super) fn unexpected(server: &str, answer: &str) -> Error {
        const SHOWN: usize = 60;
        Error::Unexpected {
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

    /// Whether a retry can help. The service may come back or have room again; other refusals stay.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. }
            | Error::Timeout { .. }
            | Error::Broken { .. }
            | Error::Thread(_) => true,
            Error::Refused { reason, .. } => {
                let passing = [Refusal::RegistryFull, Refusal::TooManyConnections];
                reason.starts_with(NOT_READY)
                    || passing.iter().any(|refusal| refusal.reason() == *reason)
            }
            Error::Unexpected { .. }
            | Error::Argument(_)
            | Error::TokenFile { .. }
            | Error::Withheld(_) => false,
        }
    }

    /// Whether the service wants another token.
    pub(super) fn is_about_the_token(&self) -> bool {
        let refusals = [
            Refusal::AuthenticationRequired,
            Refusal::AuthenticationFailed,
        ];
        matches!(self, Error::Refused { reason, .. }
            if refusals.iter().any(|refusal| refusal.reason() == *reason))
    }
}

/// The beginning of a text from a peer, safe to print on a terminal.
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
            Error::Unexpected { server, answer } => {
                write!(
                    f,
                    "what listens at {server} is not the registry: it said \"{answer}\""
                )
            }
            Error::TokenFile { path, reason } => {
                write!(f, "cannot use the token file {}: {reason}", path.display())
            }
            Error::Withheld(reason) => f.write_str(reason),
            Error::Thread(error) => write!(f, "cannot start a thread: {}", Plain(error)),
            Error::Argument(what) => {
                write!(
                    f,
                    "{what} cannot be sent: it is empty, or contains white space or a control character"
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
