//! What is special to a node of a cluster.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{Config, ConfigError, within};
use crate::limits;

/// The port of etcd where a URL names none.
const PORT_DEFAULT: u16 = 2379;

/// How the service is a node of a cluster, which meets in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The members of etcd that may be asked; at least one.
    pub members: Vec<EtcdUrl>,
    /// What the keys of the cluster begin with: `/` and further bytes, without a `/` at the end.
    pub prefix: String,
    /// The name of the cluster, so that two clusters do not mix at one prefix.
    pub name: String,
    /// How long what a dead node owned stays in etcd; 5 s to an hour.
    pub lease: Duration,
    /// How long what a lost lease has removed stays visible at least; a minute at most.
    pub grace: Duration,
    /// How long the start waits for the first sync; an hour at most.
    pub wait: Duration,
    /// Who asks, where etcd wants to know.
    pub user: Option<EtcdUser>,
    /// The node's name, for people.
    pub node_name: String,
}

/// A user of etcd, and the file with the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdUser {
    /// The name.
    pub name: String,
    /// The file whose first line is the password.
    pub password_file: PathBuf,
}

/// Where a member of etcd serves its clients: `http://<host>[:<port>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdUrl {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for EtcdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EtcdUrl { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// Why a text is not the URL of a member of etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdUrlError {
    /// It asks for TLS.
    Tls,
    /// It has another form.
    Form,
}

impl fmt::Display for EtcdUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EtcdUrlError::Tls => {
                "TLS to etcd is not spoken: use http://, on a network that is trusted"
            }
            EtcdUrlError::Form => "use http://<host>:<port>, without a path",
        })
    }
}

impl std::error::Error for EtcdUrlError {}

impl FromStr for EtcdUrl {
    type Err = EtcdUrlError;

    fn from_str(text: &str) -> Result<Self, EtcdUrlError> {
        if text.starts_with("https://") {
            return Err(EtcdUrlError::Tls);
        }
        let rest = text.strip_prefix("http://").ok_or(EtcdUrlError::Form)?;
        let place = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(EtcdUrlError::Form)?;
                let is_ip = host.parse::<std::net::Ipv6Addr>().is_ok();
                (if is_ip { host } else { "" }, rest)
            }
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_of_name) {
            return Err(EtcdUrlError::Form);
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => PORT_DEFAULT,
            None => return Err(EtcdUrlError::Form),
            Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(EtcdUrlError::Form);
            }
            Some(digits) => digits
                .parse::<NonZeroU16>()
                .map_err(|_| EtcdUrlError::Form)?
                .get(),
        };
        let host = host.to_owned();
        Ok(EtcdUrl { host, port })
    }
}

impl Config {
    pub(super) fn validate_cluster(&self) -> Result<(), ConfigError> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        let seconds = Duration::from_secs;
        let is_name = |text: &str| {
            (1..=limits::CLUSTER_NAME_LEN_MAX).contains(&text.len())
                && !text.contains(char::is_control)
        };
        let in_range = [
            ("cluster.members", !cluster.members.is_empty()),
            (
                "cluster.prefix",
                is_name(&cluster.prefix)
                    && cluster.prefix.starts_with('/')
                    && !cluster.prefix.ends_with('/'),
            ),
            ("cluster.name", is_name(&cluster.name)),
            ("cluster.node_name", is_name(&cluster.node_name)),
            (
                "cluster.lease",
                within(cluster.lease, limits::CLUSTER_LEASE_SECONDS, seconds),
            ),
            (
                "cluster.grace",
                within(
                    cluster.grace,
                    0..=limits::CLUSTER_GRACE_SECONDS_MAX,
                    seconds,
                ),
            ),
            (
                "cluster.wait",
                within(cluster.wait, 0..=limits::CLUSTER_WAIT_SECONDS_MAX, seconds),
            ),
        ];
        match in_range.into_iter().find(|(_, is_right)| !is_right) {
            Some((field, _)) => Err(ConfigError::OutOfRange(field)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_a_member_is_a_host_and_maybe_a_port() {
        for (text, told) in [
            ("http://127.0.0.1:2379", "127.0.0.1:2379"),
            ("http://etcd-1.example/", "etcd-1.example:2379"),
            ("http://[::1]:4001", "[::1]:4001"),
            ("http://[::1]", "[::1]:2379"),
        ] {
            let url: EtcdUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), told);
        }
        assert_eq!(
            "https://etcd:2379".parse::<EtcdUrl>(),
            Err(EtcdUrlError::Tls)
        );
        for wrong in [
            "",
            "etcd:2379",
            "http://",
            "http://:2379",
            "http://etcd:0",
            "http://etcd:",
            "http://etcd:x",
            "http://etcd/v3",
            "http://[::1",
            "http://[etcd]",
            "http://[::1]x",
            "http://user@etcd",
            "http://::1:2379",
        ] {
            assert_eq!(wrong.parse::<EtcdUrl>(), Err(EtcdUrlError::Form), "{wrong}");
        }
    }
}
