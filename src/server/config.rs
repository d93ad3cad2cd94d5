//! The service's configuration: plain data, whose rules [`Config::validate`] checks.

mod cluster;
mod dns;
mod http;
mod state;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits;
use crate::message::check_ip;
pub use crate::wire::dns::{Zone, ZoneError};
pub use crate::wire::http::DATACENTER_DEFAULT;
pub use cluster::{ClusterConfig, EtcdUrl, EtcdUrlError, EtcdUser};
pub use dns::DnsConfig;
pub use http::HttpConfig;
pub use state::StateConfig;

const PORT_DEFAULT: u16 = 65_432;

/// The configuration of the service.
///
/// ```
/// use discovery_service::server::config::Config;
///
/// let config = Config {
///     listen: vec!["127.0.0.1:0".parse().expect("an address")],
///     ..Config::default()
/// };
/// assert_eq!(config.validate(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to accept on; at least one. Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// How long a registration lives without a heartbeat: 1 s to a day.
    pub ttl: Duration,
    /// The interval between sweeps of expired registrations: 10 ms to a minute.
    pub tick: Duration,
    /// Registrations held at once; 1 to 4294967294.
    pub services_max: u32,
    /// Connections held at once; 1 to 1000000.
    pub connections_max: u32,
    /// The time in which a connection must complete a command, if there is a limit; a year at most.
    pub idle_timeout: Option<Duration>,
    /// The file of the tokens of which clients must present one, if tokens are required.
    pub token_file: Option<PathBuf>,
    /// Whether an address that is not a loopback address may be listened on without a token file.
    pub insecure: bool,
    /// What `-` means for a caller on this host. Without it: the first listener's address that is neither a
    /// loopback address nor a wildcard; with a wildcard, the source address of the default route; else the
    /// address that the caller comes from.
    pub advertise: Option<IpAddr>,
    /// Whether a caller that is not on this host may register its own address only.
    pub own_address: bool,
    /// What is special to HTTP.
    pub http: HttpConfig,
    /// Whether and how services are told over DNS.
    pub dns: DnsConfig,
    /// Where what is registered is kept over a restart, if it is.
    pub state: Option<StateConfig>,
    /// How it is a node of a cluster, if it is one.
    pub cluster: Option<ClusterConfig>,
}

impl Default for Config {
    /// Listens on `127.0.0.1:65432`, with the defaults of the command line.
    fn default() -> Self {
        Config {
            listen: vec![(Ipv4Addr::LOCALHOST, PORT_DEFAULT).into()],
            ttl: Duration::from_secs(limits::TTL_SECONDS_DEFAULT.into()),
            tick: Duration::from_millis(limits::TICK_MS_DEFAULT.into()),
            services_max: limits::SERVICES_DEFAULT,
            connections_max: limits::CONNECTIONS_DEFAULT,
            idle_timeout: Some(Duration::from_secs(limits::IDLE_SECONDS_DEFAULT.into())),
            token_file: None,
            insecure: false,
            advertise: None,
            own_address: false,
            http: HttpConfig::default(),
            dns: DnsConfig::default(),
            state: None,
            cluster: None,
        }
    }
}

/// Which rule a [`Config`] breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no address to listen on.
    NoAddress,
    /// This address is not a loopback address, and there is neither a token file nor
    /// [`Config::insecure`].
    Unprotected(SocketAddr),
    /// This address of a listener is an IPv4 address mapped into IPv6, which a socket for IPv6 does not
    /// serve.
    Mapped(SocketAddr),
    /// This address of DNS is not a loopback address, and there is no [`Config::insecure`].
    DnsUnprotected(SocketAddr),
    /// This address of DNS stands for all of the host, so answers might leave from another one than was
    /// asked.
    DnsWildcard(SocketAddr),
    /// Nobody can connect to this [`Config::advertise`].
    Advertise(IpAddr),
    /// The value of the field with this name is out of its range.
    OutOfRange(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::NoAddress => f.write_str("there is no address to listen on"),
            ConfigError::Unprotected(address) => write!(
                f,
                "{address} is not a loopback address: whoever can reach it could change the registry"
            ),
            ConfigError::Mapped(address) => write!(
                f,
                "{address} is an IPv4 address in the form of IPv6: listen on {}:{}",
                address.ip().to_canonical(),
                address.port()
            ),
            ConfigError::DnsUnprotected(address) => write!(
                f,
                "{address} is not a loopback address: DNS knows no tokens, so whoever can reach it could \
                 look up every service, and only --insecure allows that"
            ),
            ConfigError::DnsWildcard(address) => write!(
                f,
                "DNS must answer from the address that was asked, so {address} does not say where: \
                 give it each address of this host"
            ),
            ConfigError::Advertise(ip) => write!(f, "nobody can connect to {ip}"),
            ConfigError::OutOfRange(field) => write!(f, "{field} is out of its range"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The configuration where these listeners were opened already, in place of its own addresses.
    pub(super) fn listening_on(&self, listeners: &[TcpListener]) -> Config {
        let mut config = self.clone();
        if !listeners.is_empty() {
            let addresses = listeners.iter().map(TcpListener::local_addr);
            config.listen = addresses.filter_map(Result::ok).collect();
        }
        config
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let in_range = [
            (
                "ttl",
                within(self.ttl, limits::TTL_SECONDS, Duration::from_secs),
            ),
            (
                "tick",
                within(self.tick, limits::TICK_MS, Duration::from_millis),
            ),
            (
                "services_max",
                limits::SERVICES.contains(&self.services_max),
            ),
            (
                "connections_max",
                limits::CONNECTIONS.contains(&self.connections_max),
            ),
            (
                "idle_timeout",
                self.idle_timeout.is_none_or(|time| {
                    within(time, 1..=limits::IDLE_SECONDS_MAX, Duration::from_secs)
                }),
            ),
            ("dns.ttl", self.dns.ttl <= limits::DNS_TTL_MAX),
            (
                "state.sync",
                self.state
                    .as_ref()
                    .and_then(|state| state.sync)
                    .is_none_or(|time| {
                        within(
                            time,
                            1..=limits::STATE_SYNC_SECONDS_MAX,
                            Duration::from_secs,
                        )
                    }),
            ),
        ];
        if let Some((field, _)) = in_range.into_iter().find(|(_, is_right)| !is_right) {
            return Err(ConfigError::OutOfRange(field));
        }
        if self.listen.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        let is_mapped = |address: &&SocketAddr| address.ip().to_canonical() != address.ip();
        if let Some(&address) = self.listen.iter().chain(&self.dns.listen).find(is_mapped) {
            return Err(ConfigError::Mapped(address));
        }
        self.validate_dns()?;
        self.validate_cluster()?;
        if let Some(ip) = self.advertise
            && check_ip(ip) != Ok(ip)
        {
            return Err(ConfigError::Advertise(ip));
        }
        if self.insecure || self.token_file.is_some() {
            return Ok(());
        }
        let is_public = |address: &&SocketAddr| !address.ip().is_loopback();
        match self.listen.iter().find(is_public) {
            Some(&address) => Err(ConfigError::Unprotected(address)),
            None => Ok(()),
        }
    }
}

fn within(time: Duration, range: RangeInclusive<u32>, unit: fn(u64) -> Duration) -> bool {
    let (start, end) = range.into_inner();
    (unit(start.into())..=unit(end.into())).contains(&time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::StartError;

    fn listening(addresses: &[&str]) -> Config {
        Config {
            listen: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ..Config::default()
        }
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let expected = Config {
            listen: vec!["127.0.0.1:65432".parse().unwrap()],
            ttl: Duration::from_secs(30),
            tick: Duration::from_secs(1),
            services_max: 1_000_000,
            connections_max: 10_000,
            idle_timeout: Some(Duration::from_secs(300)),
            token_file: None,
            insecure: false,
            advertise: None,
            own_address: false,
            http: HttpConfig {
                hosts: Vec::new(),
                datacenter: "dc1".into(),
                metrics_types: false,
            },
            dns: DnsConfig {
                listen: Vec::new(),
                zone: "service.internal".parse().unwrap(),
                ttl: 0,
            },
            state: None,
            cluster: None,
        };
        assert_eq!(Config::default(), expected);
        assert_eq!(expected.validate(), Ok(()));
    }

    #[test]
    fn a_public_address_needs_a_token_file_or_consent() {
        for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "[2001:db8::1]:1"] {
            let config = listening(&["127.0.0.1:1", address]);
            let public = address.parse().unwrap();
            assert_eq!(config.validate(), Err(ConfigError::Unprotected(public)));
            let insecure = Config {
                insecure: true,
                ..config.clone()
            };
            assert_eq!(insecure.validate(), Ok(()));
            let guarded = Config {
                token_file: Some("tokens".into()),
                ..config
            };
            assert_eq!(guarded.validate(), Ok(()));
        }
        let loopback = listening(&["127.8.9.10:1", "[::1]:1"]);
        assert_eq!(loopback.validate(), Ok(()));
    }

    #[test]
    fn an_ipv4_address_in_the_form_of_ipv6_is_no_address_to_listen_on() {
        for address in ["[::ffff:127.0.0.1]:1", "[::ffff:192.0.2.1]:1"] {
            let config = Config {
                insecure: true,
                ..listening(&["127.0.0.1:1", address])
            };
            let error = ConfigError::Mapped(address.parse().unwrap());
            assert_eq!(config.validate(), Err(error));
        }
    }

    #[test]
    fn an_address_that_nobody_can_connect_to_is_not_advertised() {
        for ip in ["0.0.0.0", "224.0.0.1", "fe80::1", "::ffff:192.0.2.1"] {
            let ip = ip.parse().unwrap();
            let config = Config {
                advertise: Some(ip),
                ..Config::default()
            };
            assert_eq!(config.validate(), Err(ConfigError::Advertise(ip)));
        }
    }

    #[test]
    fn values_out_of_their_range_are_refused() {
        let default = Config::default;
        let (zero, year) = (Duration::ZERO, Duration::from_secs(31_536_000));
        let long = year + Duration::from_millis(1);
        for (field, wrong) in [
            (
                "ttl",
                Config {
                    ttl: zero,
                    ..default()
                },
            ),
            (
                "ttl",
                Config {
                    ttl: year,
                    ..default()
                },
            ),
            (
                "tick",
                Config {
                    tick: zero,
                    ..default()
                },
            ),
            (
                "tick",
                Config {
                    tick: year,
                    ..default()
                },
            ),
            (
                "services_max",
                Config {
                    services_max: 0,
                    ..default()
                },
            ),
            (
                "services_max",
                Config {
                    services_max: u32::MAX,
                    ..default()
                },
            ),
            (
                "connections_max",
                Config {
                    connections_max: 0,
                    ..default()
                },
            ),
            (
                "idle_timeout",
                Config {
                    idle_timeout: Some(zero),
                    ..default()
                },
            ),
            (
                "idle_timeout",
                Config {
                    idle_timeout: Some(long),
                    ..default()
                },
            ),
        ] {
            assert_eq!(wrong.validate(), Err(ConfigError::OutOfRange(field)));
        }
        assert_eq!(listening(&[]).validate(), Err(ConfigError::NoAddress));
    }

    #[test]
    fn the_service_does_not_start_with_a_configuration_that_breaks_a_rule() {
        let public = listening(&["0.0.0.0:0"]);
        let started = crate::server::run(&public, &mut |_| panic!("it listens"), || 0);
        assert!(matches!(started, Err(StartError::Config(_))), "{started:?}");
    }
}
