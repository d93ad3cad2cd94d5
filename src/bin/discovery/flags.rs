//! The flags of the service, each with its variable.

mod cluster;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use discovery_service::limits;
use discovery_service::message::check_ip;
use discovery_service::server::config::{
    Config, DATACENTER_DEFAULT, DnsConfig, HttpConfig, StateConfig, Zone,
};

use cluster::ClusterFlags;

use crate::values::Parser;

// Not a doc comment, where `[::1]` would be a link.
const LISTEN_HELP: &str = "Address to accept on, IPv6 as [::1]:65432; port 0 takes a free one; \
    may be given several times (in the variable: with commas)";

const DNS_LISTEN_HELP: &str = "Answer DNS at this address, over UDP and TCP, such as 127.0.0.1:8600; \
    may be given several times (in the variable: with commas); default: off";

// No doc comment: it would become the help of the whole command line.
#[derive(Args)]
pub(crate) struct Flags {
    #[arg(
        long,
        env = "DISCOVERY_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:65432",
        help = LISTEN_HELP
    )]
    #[arg(value_delimiter = ',', value_parser = Parser(address))]
    listen: Vec<SocketAddr>,

    /// How long a registration lives without a heartbeat; 1 to 86400
    #[arg(long, env = "DISCOVERY_TTL", value_name = "SECONDS", default_value_t = limits::TTL_SECONDS_DEFAULT)]
    #[arg(value_parser = whole_number(limits::TTL_SECONDS))]
    ttl: u32,

    /// How often stale entries are swept; 10 to 60000
    #[arg(long, env = "DISCOVERY_TICK", value_name = "MILLISECONDS", default_value_t = limits::TICK_MS_DEFAULT)]
    #[arg(value_parser = whole_number(limits::TICK_MS))]
    tick: u32,

    /// Registrations held at once; 1 to 4294967294
    #[arg(long, env = "DISCOVERY_MAX_SERVICES", value_name = "N", default_value_t = limits::SERVICES_DEFAULT)]
    #[arg(value_parser = whole_number(limits::SERVICES))]
    max_services: u32,

    /// Connections held at once; 1 to 1000000
    #[arg(long, env = "DISCOVERY_MAX_CONNECTIONS", value_name = "N", default_value_t = limits::CONNECTIONS_DEFAULT)]
    #[arg(value_parser = whole_number(limits::CONNECTIONS))]
    max_connections: u32,

    /// Close a connection that completes no command for so long; up to 31536000, 0 turns it off
    #[arg(long, env = "DISCOVERY_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = limits::IDLE_SECONDS_DEFAULT)]
    #[arg(value_parser = whole_number(0..=limits::IDLE_SECONDS_MAX))]
    idle_timeout: u32,

    /// Clients must present one of the tokens in this file, one a line; default: none
    #[arg(long, env = "DISCOVERY_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,

    /// Allow a non-loopback address without a token; as a variable: true or false; default: off
    #[arg(long, env = "DISCOVERY_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,

    /// What - means for a caller on this host; default: the address listened on, or that of the default route
    #[arg(long, env = "DISCOVERY_ADVERTISE", value_name = "IP", value_parser = Parser(reachable))]
    advertise: Option<IpAddr>,

    /// A caller on another host may register its own address only; as a variable: true or false; default: off
    #[arg(long, env = "DISCOVERY_OWN_ADDRESS", value_parser = BoolishValueParser::new())]
    own_address: bool,

    /// A further name under which browsers on this host may reach it; may be given several times
    #[arg(long, env = "DISCOVERY_HTTP_HOST", value_name = "NAME")]
    #[arg(value_delimiter = ',', value_parser = Parser(host_name))]
    http_host: Vec<Box<str>>,

    /// The name of the datacenter that Consul's API tells
    #[arg(long, env = "DISCOVERY_DATACENTER", value_name = "NAME", default_value = DATACENTER_DEFAULT)]
    datacenter: Box<str>,

    /// Keep what is registered in this file over a restart; default: none, or $STATE_DIRECTORY/state under systemd
    #[arg(long, env = "DISCOVERY_STATE", value_name = "FILE")]
    state: Option<PathBuf>,

    /// Sync the state file at most so often; up to 86400, 0 leaves it to the kernel
    #[arg(long, env = "DISCOVERY_STATE_SYNC", value_name = "SECONDS", default_value_t = limits::STATE_SYNC_SECONDS_DEFAULT)]
    #[arg(value_parser = whole_number(0..=limits::STATE_SYNC_SECONDS_MAX))]
    state_sync: u32,

    /// Tell the registrations of each type in /metrics; as a variable: true or false; default: off
    #[arg(long, env = "DISCOVERY_METRICS_TYPES", value_parser = BoolishValueParser::new())]
    metrics_types: bool,

    #[arg(
        long,
        env = "DISCOVERY_DNS_LISTEN",
        value_name = "ADDR",
        help = DNS_LISTEN_HELP
    )]
    #[arg(value_delimiter = ',', value_parser = Parser(address))]
    dns_listen: Vec<SocketAddr>,

    /// The name below which the types of services lie in DNS
    #[arg(long, env = "DISCOVERY_DNS_ZONE", value_name = "NAME", default_value = limits::DNS_ZONE_DEFAULT)]
    dns_zone: Zone,

    /// How long DNS clients may keep answers about services; 0 to 2147483647
    #[arg(
        long,
        env = "DISCOVERY_DNS_TTL",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    #[arg(value_parser = whole_number(0..=limits::DNS_TTL_MAX))]
    dns_ttl: u32,

    #[command(flatten)]
    cluster: ClusterFlags,
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Config {
        Config {
            listen: flags.listen,
            ttl: Duration::from_secs(flags.ttl.into()),
            tick: Duration::from_millis(flags.tick.into()),
            services_max: flags.max_services,
            connections_max: flags.max_connections,
            idle_timeout: (flags.idle_timeout > 0)
                .then(|| Duration::from_secs(flags.idle_timeout.into())),
            token_file: flags.token_file,
            insecure: flags.insecure,
            advertise: flags.advertise,
            own_address: flags.own_address,
            http: HttpConfig {
                hosts: flags.http_host,
                datacenter: flags.datacenter,
                metrics_types: flags.metrics_types,
            },
            dns: DnsConfig {
                listen: flags.dns_listen,
                zone: flags.dns_zone,
                ttl: flags.dns_ttl,
            },
            cluster: flags.cluster.into_config(),
            state: state_path(flags.state).map(|path| StateConfig {
                path,
                sync: (flags.state_sync > 0).then(|| Duration::from_secs(flags.state_sync.into())),
            }),
        }
    }
}

/// The state file: none where an empty path is given.
fn state_path(given: Option<PathBuf>) -> Option<PathBuf> {
    // systemd.exec(5): the folders are separated by colons.
    let of_systemd = || {
        let folders = std::env::var_os("STATE_DIRECTORY")?;
        let first = folders
            .as_encoded_bytes()
            .split(|&byte| byte == b':')
            .next()?;
        let folder = PathBuf::from(std::str::from_utf8(first).ok()?);
        Some(folder.join("state"))
    };
    given
        .or_else(of_systemd)
        .filter(|path| !path.as_os_str().is_empty())
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.trim()
        .parse()
        .map_err(|_| "an address is an IP and a port: 127.0.0.1:65432 or [::1]:65432")
}

fn host_name(text: &str) -> Result<Box<str>, &'static str> {
    let name = text.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err("a host name, without a port: registry.example");
    }
    Ok(name.into())
}

fn reachable(text: &str) -> Result<IpAddr, &'static str> {
    let ip = text.trim().parse().ok();
    ip.and_then(|ip| check_ip(ip).ok())
        .ok_or("an IPv4 or IPv6 address that others can connect to")
}

/// A parser of whole numbers in `range`, whose error names the range.
fn whole_number(
    range: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "not a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use clap::builder::Resettable;

    /// The flags alone, without the environment.
    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        flags: Flags,
    }

    fn config(args: &[&str]) -> Result<Config, String> {
        use clap::{CommandFactory, FromArgMatches};
        let command = Alone::command().mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.try_get_matches_from(["discovery"].iter().chain(args));
        let alone = matches.and_then(|matches| Alone::from_arg_matches(&matches));
        match alone {
            Ok(Alone { flags }) => Ok(Config::from(flags)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_flags_the_service_has_its_default_configuration() {
        assert_eq!(config(&[]), Ok(Config::default()));
    }

    #[test]
    fn values_out_of_their_range_are_refused() {
        let bad = [
            ["--ttl", "0"],
            ["--ttl", "86401"],
            ["--ttl", "1.5"],
            ["--tick", "9"],
            ["--tick", "60001"],
            ["--tick", ""],
            ["--max-services", "0"],
            ["--max-services", "4294967295"],
            ["--max-connections", "0"],
            ["--max-connections", "1000001"],
            ["--idle-timeout", "31536001"],
            ["--state-sync", "86401"],
            ["--listen", "localhost:65432"],
            ["--listen", "127.0.0.1"],
            ["--listen", "::1:65432"],
            ["--listen", "127.0.0.1:65536"],
            ["--advertise", "localhost"],
            ["--advertise", "0.0.0.0"],
            ["--advertise", "fe80::1"],
            ["--advertise", "-"],
            ["--http-host", "registry.example:80"],
            ["--http-host", ""],
            ["--dns-listen", "localhost:8600"],
            ["--dns-zone", ""],
            ["--dns-zone", "."],
            ["--dns-zone", "a..b"],
            ["--dns-zone", "a b"],
            ["--dns-ttl", "2147483648"],
        ];
        for args in bad {
            let message = config(&args).expect_err(&format!("{args:?}"));
            assert!(message.contains(args[0]), "{message}");
        }
    }

    #[test]
    fn the_help_names_every_range_that_is_enforced() {
        let help = config(&["--help"]).unwrap_err();
        for range in [
            limits::TTL_SECONDS,
            limits::TICK_MS,
            limits::SERVICES,
            limits::CONNECTIONS,
        ] {
            let said = format!("{} to {}", range.start(), range.end());
            assert!(help.contains(&said), "{said} is not in the help");
        }
        let said = format!("up to {}, 0 turns it off", limits::IDLE_SECONDS_MAX);
        assert!(help.contains(&said), "{said} is not in the help");
    }

    #[test]
    fn a_refused_value_is_answered_with_what_is_taken() {
        for (args, taken) in [
            (["--ttl", "soon"], "from 1 to 86400"),
            (["--tick", "9"], "from 10 to 60000"),
            (
                ["--listen", "localhost:65432"],
                "127.0.0.1:65432 or [::1]:65432",
            ),
        ] {
            let message = config(&args).unwrap_err();
            assert!(message.contains(taken), "{message}");
        }
    }

    #[test]
    fn values_at_the_ends_of_their_range_are_taken() {
        let good = [
            ["--ttl", "1"],
            ["--ttl", "86400"],
            ["--tick", "10"],
            ["--tick", "60000"],
            ["--max-services", "1"],
            ["--max-services", "4294967294"],
            ["--max-connections", "1"],
            ["--max-connections", "1000000"],
            ["--idle-timeout", "0"],
            ["--listen", "127.0.0.1:0"],
            ["--listen", "[::1]:65432"],
            ["--advertise", "192.0.2.1"],
            ["--advertise", "2001:db8::1"],
            ["--dns-listen", "127.0.0.1:8600"],
            ["--dns-zone", "service.consul."],
            ["--dns-ttl", "2147483647"],
        ];
        for args in good {
            config(&args).unwrap_or_else(|message| panic!("{args:?}: {message}"));
        }
        assert_eq!(config(&["--idle-timeout", "0"]).unwrap().idle_timeout, None);
    }

    #[test]
    fn several_addresses_are_taken_in_their_order() {
        for args in [
            &["--listen", "127.0.0.1:1", "--listen", "[::1]:2"][..],
            &["--listen", "127.0.0.1:1, [::1]:2"],
        ] {
            let listen = config(args).unwrap().listen;
            assert_eq!(
                listen,
                ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]
            );
        }
    }
}
