//! Why the service could not run.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::StateError;
use super::config::ConfigError;
use crate::auth::TokenFileError;
use crate::escape::Plain;

/// Why the service could not run.
#[derive(Debug)]
pub enum StartError {
    /// The configuration breaks a rule.
    Config(ConfigError),
    /// The service could not listen on an address.
    Listen(SocketAddr, io::Error),
    /// The token file cannot be used.
    TokenFile(PathBuf, TokenFileError),
    /// This member of etcd cannot be found.
    EtcdAddress(String, io::Error),
    /// The file with the password for etcd cannot be used.
    PasswordFile(PathBuf, io::Error),
    /// The prefix in etcd belongs to a cluster of this name, which is not this node's.
    OtherCluster(String),
    /// The state file cannot be used.
    StateFile(PathBuf, StateError),
    /// The system refused a resource that the service needs.
    System(&'static str, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", Plain(error))
            }
            StartError::TokenFile(path, error) => {
                write!(f, "cannot use the token file {}: {error}", path.display())
            }
            StartError::EtcdAddress(url, error) => {
                write!(f, "cannot find etcd at {url}: {}", Plain(error))
            }
            StartError::PasswordFile(path, error) => {
                let (path, error) = (path.display(), Plain(error));
                write!(f, "cannot use the password file {path}: {error}")
            }
            StartError::OtherCluster(name) => write!(
                f,
                "the prefix in etcd belongs to the cluster {name:?}: give its --cluster-name, or another \
                 --cluster-prefix"
            ),
            StartError::StateFile(path, error) => {
                write!(f, "cannot use the state file {}: {error}", path.display())
            }
            StartError::System(what, error) => write!(f, "cannot {what}: {}", Plain(error)),
        }
    }
}

impl std::error::Error for StartError {}
