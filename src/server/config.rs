//! The service's configuration: raw arguments and environment in, one validated [`Config`] out.
//! Nobody validates later.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

use crate::limits;

/// What the service runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to accept on; at least one. Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// How long a registration lives without a heartbeat.
    pub ttl: Duration,
    /// How often stale registrations are swept.
    pub tick: Duration,
    /// Registrations held at once.
    pub services_max: u32,
    /// Connections held at once.
    pub connections_max: u32,
    /// In what time a connection must complete a command, if there is a limit.
    pub idle_timeout: Option<Duration>,
    /// Where the tokens lie that clients must present, if they must.
    pub token_file: Option<PathBuf>,
}

const ABOUT: &str = "\
A service registry over plain TCP: services register and send heartbeats, clients ask for a type.
Without a verb it runs the service, in the foreground until SIGINT or SIGTERM.";

const EXAMPLES: &str = "\
Examples:
  discovery                                                 the service, on 127.0.0.1:65432
  discovery run web 8000 -- python3 -m http.server 8000     a program that is registered while it lives
  discovery watch web                                       what comes and goes
  printf 'register hive 127.0.0.1 65433\\nquery hive\\n' | nc -N 127.0.0.1 65432

An option beats its environment variable; an empty variable counts as unset.
Exit status: 0 stopped by a signal, 1 could not run, 2 wrong usage.";

/// The raw arguments, as the user gave them.
#[derive(Debug, Parser)]
#[command(name = "discovery", version, about = ABOUT, after_help = EXAMPLES)]
struct Arguments {
    /// Address to accept on, IPv6 as [::1]:65432; port 0 takes a free one; may be given several times
    /// (in the variable: with commas)
    #[arg(
        long,
        env = "DISCOVERY_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:65432"
    )]
    #[arg(value_delimiter = ',', value_parser = parse_address)]
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
}

impl Config {
    /// The command line of the service: its flags, their variables, its help.
    #[must_use]
    pub fn command() -> Command {
        Arguments::command()
    }

    /// Reads arguments, the program's name first, and nothing else.
    ///
    /// # Errors
    /// As [`from_matches`](Self::from_matches).
    pub fn from_args<T>(args: impl IntoIterator<Item = T>) -> Result<Config, clap::Error>
    where
        T: Into<OsString> + Clone,
    {
        let mut command = Self::command().mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.try_get_matches_from_mut(args)?;
        Self::from_matches(&matches, &mut command)
    }

    /// Takes what `command`, which has at least the flags of [`command`](Self::command), has read.
    ///
    /// # Errors
    /// Wrong usage, or a request for `--help` or `--version`: `clap::Error::exit` says it and ends
    /// the process with the right status.
    pub fn from_matches(
        matches: &ArgMatches,
        command: &mut Command,
    ) -> Result<Config, clap::Error> {
        let arguments = Arguments::from_arg_matches(matches)?;
        let guarded = arguments.insecure || arguments.token_file.is_some();
        // A socket address of IPv4 mapped into IPv6 is as public as the IPv4 address in it.
        let public = arguments
            .listen
            .iter()
            .find(|address| !address.ip().to_canonical().is_loopback());
        if let (Some(address), false) = (public, guarded) {
            let message = format!(
                "{address} is not a loopback address: whoever can reach it could change the registry.\n\
                 Give --token-file <PATH> to ask clients for a token, or --insecure to allow everybody"
            );
            return Err(command.error(ErrorKind::MissingRequiredArgument, message));
        }
        Ok(Config {
            listen: arguments.listen,
            ttl: Duration::from_secs(arguments.ttl.into()),
            tick: Duration::from_millis(arguments.tick.into()),
            services_max: arguments.max_services,
            connections_max: arguments.max_connections,
            idle_timeout: (arguments.idle_timeout > 0)
                .then(|| Duration::from_secs(arguments.idle_timeout.into())),
            token_file: arguments.token_file,
        })
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.trim()
        .parse()
        .map_err(|_| "an address is an IP and a port: 127.0.0.1:65432 or [::1]:65432".to_owned())
}

/// A parser of whole numbers in `range`, whose refusal says what is taken.
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

    fn config(args: &[&str]) -> Result<Config, String> {
        Config::from_args(["discovery"].iter().chain(args)).map_err(|error| error.to_string())
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
        };
        assert_eq!(config(&[]), Ok(expected));
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
            ["--listen", "localhost:65432"],
            ["--listen", "127.0.0.1"],
            ["--listen", "::1:65432"],
            ["--listen", "127.0.0.1:65536"],
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

    #[test]
    fn a_public_address_needs_a_token_file_or_a_word() {
        for address in [
            "0.0.0.0:1",
            "192.0.2.1:1",
            "[::]:1",
            "[2001:db8::1]:1",
            "[::ffff:192.0.2.1]:1",
        ] {
            let message = config(&["--listen", "127.0.0.1:1", "--listen", address]).unwrap_err();
            for part in [address, "--token-file", "--insecure"] {
                assert!(message.contains(part), "{message}");
            }
            config(&["--listen", address, "--insecure"]).unwrap();
            config(&["--listen", address, "--token-file", "tokens"]).unwrap();
        }
        for address in ["127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            config(&["--listen", address]).unwrap();
        }
    }
}
