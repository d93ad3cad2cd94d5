//! What is special to DNS.

use std::net::SocketAddr;

use super::{Config, ConfigError, Zone};
use crate::limits;

/// What the service is over DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Addresses to answer at, over UDP and TCP; port 0 takes a free port. None turns DNS off.
    pub listen: Vec<SocketAddr>,
    /// The name below which the types of services lie.
    pub zone: Zone,
    /// Seconds for which clients may keep answers about services.
    pub ttl: u32,
}

impl Default for DnsConfig {
    fn default() -> Self {
        let zone = limits::DNS_ZONE_DEFAULT.parse();
        DnsConfig {
            listen: Vec::new(),
            zone: zone.expect("the default is a zone"),
            ttl: 0,
        }
    }
}

impl Config {
    pub(super) fn validate_dns(&self) -> Result<(), ConfigError> {
        let listen = &self.dns.listen;
        let is_wildcard = |address: &&SocketAddr| address.ip().is_unspecified();
        if let Some(&address) = listen.iter().find(is_wildcard) {
            return Err(ConfigError::DnsWildcard(address));
        }
        let is_public = |address: &&SocketAddr| !address.ip().is_loopback();
        match listen.iter().find(is_public) {
            Some(&address) if !self.insecure => Err(ConfigError::DnsUnprotected(address)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_leaves_this_host_only_with_consent_and_from_the_address_that_was_asked() {
        let with_dns = |address: &str, insecure| Config {
            insecure,
            token_file: Some("tokens".into()),
            dns: DnsConfig {
                listen: vec![address.parse().unwrap()],
                ..DnsConfig::default()
            },
            ..Config::default()
        };
        for (address, insecure, expected) in [
            ("127.0.0.1:8600", false, None),
            ("[::1]:8600", false, None),
            ("192.0.2.1:53", true, None),
            (
                "192.0.2.1:53",
                false,
                Some(ConfigError::DnsUnprotected as fn(_) -> _),
            ),
            ("0.0.0.0:53", true, Some(ConfigError::DnsWildcard)),
            ("[::]:53", true, Some(ConfigError::DnsWildcard)),
            ("[::ffff:127.0.0.1]:53", true, Some(ConfigError::Mapped)),
        ] {
            let expected = expected.map_or(Ok(()), |error| Err(error(address.parse().unwrap())));
            assert_eq!(
                with_dns(address, insecure).validate(),
                expected,
                "{address}"
            );
        }
    }
}
