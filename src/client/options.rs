//! Where the service is, and how clients use it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::auth;

use super::{Error, after};

/// The default of [`Options::timeout`].
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the service is, and how clients use it.
#[derive(Clone)]
pub struct Options {
    pub(super) servers: Vec<String>,
    token: Option<String>,
    /// The file that the token is read from again.
    token_file: Option<PathBuf>,
    pub(super) timeout: Duration,
}

impl fmt::Debug for Options {
    /// Without the token, which is a capability.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({}, {:?})", self.servers(), self.timeout)
    }
}

impl Options {
    /// `host:port` of the service; of several, separated by commas, clients use the first that
    /// answers.
    #[must_use]
    pub fn new(servers: &str) -> Self {
        let servers = servers
            .split(',')
            .map(|server| server.trim().to_owned())
            .filter(|server| !server.is_empty());
        Options {
            servers: servers.collect(),
            token: None,
            token_file: None,
            timeout: TIMEOUT,
        }
    }

    /// Presents this token on every connection.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Presents the first token in this file on every connection. The file is read now, and again
    /// for each connection, so the token may change while the program runs.
    ///
    /// # Errors
    /// [`Error::TokenFile`]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        self.token = Some(read_token(&path)?);
        self.token_file = Some(path);
        Ok(self)
    }

    /// The token to present on a new connection.
    pub(super) fn present_token(&self) -> Option<String> {
        // A pipe can be read only once, and a file may be empty while it is being written; then the
        // earlier token stays.
        let again = self
            .token_file
            .as_deref()
            .filter(|path| path.is_file())
            .and_then(|path| read_token(path).ok());
        again.or_else(|| self.token.clone())
    }

    /// How long a request may take, connecting included; a year at most. 5 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The servers, separated by commas.
    #[must_use]
    pub fn servers(&self) -> String {
        self.servers.join(",")
    }

    /// The addresses of this host from which it would connect to the servers, as far as those are given
    /// by address and not by name. Nothing is sent to find out.
    #[must_use]
    pub fn sources(&self) -> Vec<IpAddr> {
        let source = |server: &String| {
            let server: SocketAddr = server.parse().ok()?;
            let any: IpAddr = match server {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            // To connect a datagram socket only looks for a route.
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect(server).ok()?;
            Some(socket.local_addr().ok()?.ip().to_canonical())
        };
        self.servers.iter().filter_map(source).collect()
    }

    /// The servers before this one, and where nothing was found there, those behind it.
    pub(super) fn others(&self, server: &str, has_found: bool) -> Vec<String> {
        let at = self.servers.iter().position(|other| other == server);
        let (before, behind) = self.servers.split_at(at.unwrap_or(0));
        let behind = if has_found { &[] } else { behind };
        let others = before.iter().chain(behind);
        others.filter(|other| *other != server).cloned().collect()
    }

    /// Whether another attempt may succeed after this error: also with another token, which the file
    /// may have by then.
    pub(super) fn may_succeed_after(&self, error: &Error) -> bool {
        error.is_transient() || (self.token_file.is_some() && error.is_about_the_token())
    }

    /// The deadline of a request that begins now.
    pub(super) fn deadline(&self) -> Instant {
        after(self.timeout)
    }
}

/// The first token in a file.
fn read_token(path: &Path) -> Result<String, Error> {
    auth::read_first_token(path).map_err(|error| Error::TokenFile {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
