//! What the values of arguments must be: each parser turns text into the type that is used
//! afterwards. An error says what is wanted.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

use discovery_service::message::{Offer, ServiceType, Ttl, parse_limit};

/// What a parser of values returns; clap calls it with text and prints the error.
type Parsed<T> = Result<T, &'static str>;

/// A parser of values for clap. What clap does around a function is compiled for each function anew; this
/// is compiled once for each type of value, and the error once for all.
#[derive(Clone)]
pub(crate) struct Parser<T>(pub(crate) fn(&str) -> Parsed<T>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Parser<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let parsed = value.to_str().map(self.0).unwrap_or(Err(""));
        parsed.map_err(|wanted| refused(command, arg, value, wanted))
    }
}

/// What clap says of a value that is not what was wanted, or no text.
fn refused(command: &Command, arg: Option<&Arg>, value: &OsStr, wanted: &'static str) -> Error {
    let refuse = move |_: &str| Parsed::<()>::Err(wanted);
    let refused = refuse.parse_ref(command, arg, value);
    refused
        .err()
        .unwrap_or_else(|| Error::new(ErrorKind::ValueValidation))
}

pub(crate) fn service_type(text: &str) -> Parsed<ServiceType<'static>> {
    ServiceType::new(text.to_owned()).map_err(|_| "1 to 63 bytes without white space")
}

/// The text of a UUID. The service answers `NOT FOUND` to whatever is none, so it is asked.
pub(crate) fn uuid(text: &str) -> Parsed<String> {
    let is_one_argument = ServiceType::new(text).is_ok();
    is_one_argument.then(|| text.to_owned()).ok_or("a UUID")
}

pub(crate) fn port(text: &str) -> Parsed<NonZeroU16> {
    let offer = Offer::parse("any", "-", text.as_bytes());
    offer
        .map(|offer| offer.port)
        .map_err(|_| "a number from 1 to 65535")
}

/// The address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ip {
    /// `-`: the address that this host connects from.
    Observed,
    Given(IpAddr),
}

impl fmt::Display for Ip {
    /// As the service reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ip::Observed => f.write_str("-"),
            Ip::Given(ip) => ip.fmt(f),
        }
    }
}

/// An address; the service may still refuse it.
pub(crate) fn ip(text: &str) -> Parsed<Ip> {
    match text {
        "-" => Ok(Ip::Observed),
        _ => text
            .parse()
            .map(Ip::Given)
            .map_err(|_| "an IPv4 or IPv6 address, or -"),
    }
}

/// An address that the service does not refuse.
#[cfg(unix)]
pub(crate) fn reachable_ip(text: &str) -> Parsed<Ip> {
    let offer = Offer::parse("any", text, b"1")
        .map_err(|_| "an IPv4 or IPv6 address that others can connect to, or -")?;
    Ok(offer.ip.map_or(Ip::Observed, Ip::Given))
}

/// Text without white space, which a line of the service cannot hold.
pub(crate) fn word(text: &str) -> Parsed<String> {
    let is_word = !text.is_empty() && !text.contains(char::is_whitespace);
    is_word
        .then(|| text.to_owned())
        .ok_or("text without white space")
}

/// A key and a value without white space.
pub(crate) fn pair(text: &str) -> Parsed<(String, String)> {
    let pair = text.split_once('=');
    pair.filter(|_| !text.contains(char::is_whitespace))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or("key=value without white space")
}

/// How many to draw.
pub(crate) fn limit(text: &str) -> Parsed<u32> {
    parse_limit(text).map_err(|_| "a number from 1 to 4096")
}

/// Seconds.
pub(crate) fn ttl(text: &str) -> Parsed<u32> {
    Ttl::parse(text)
        .and_then(|ttl| u32::try_from(ttl.duration().as_secs()).ok())
        .ok_or("a number from 1 to 86400")
}

/// A signal by its name, such as `TERM` or `SIGTERM`.
#[cfg(unix)]
pub(crate) fn signal(text: &str) -> Parsed<i32> {
    use signal_hook::consts as signals;
    let name = text.to_ascii_uppercase();
    match name.strip_prefix("SIG").unwrap_or(&name) {
        "TERM" => Ok(signals::SIGTERM),
        "INT" => Ok(signals::SIGINT),
        "QUIT" => Ok(signals::SIGQUIT),
        "HUP" => Ok(signals::SIGHUP),
        "USR1" => Ok(signals::SIGUSR1),
        "USR2" => Ok(signals::SIGUSR2),
        "WINCH" => Ok(signals::SIGWINCH),
        "KILL" => Ok(signals::SIGKILL),
        _ => Err("TERM, INT, QUIT, HUP, USR1, USR2, WINCH or KILL"),
    }
}

pub(crate) fn count(text: &str) -> Parsed<usize> {
    text.parse().map_err(|_| "a number")
}

/// A time that may be 0.
pub(crate) fn seconds_or_none(text: &str) -> Parsed<Duration> {
    time(text).ok_or("a number of seconds from 0 to 31536000, such as 5 or 0.5")
}

pub(crate) fn seconds(text: &str) -> Parsed<Duration> {
    time(text)
        .filter(|time| !time.is_zero())
        .ok_or("a number of seconds from 0.001 to 31536000, such as 5 or 0.5")
}

/// A time in seconds, with up to three digits after a point: a year at most.
fn time(text: &str) -> Option<Duration> {
    const YEAR: u64 = 31_536_000;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let milliseconds: u64 = format!("{part:0<3}").parse().ok()?;
    let seconds: u64 = whole.parse().ok().filter(|&seconds| seconds <= YEAR)?;
    Some(Duration::from_millis(seconds * 1000 + milliseconds))
}

/// Addresses of the service as `host:port`, with commas between several.
#[derive(Clone, Debug)]
pub(crate) struct Servers(String);

impl Servers {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn servers(text: &str) -> Parsed<Servers> {
    let are_servers = text.split(',').all(is_server);
    are_servers
        .then(|| Servers(text.to_owned()))
        .ok_or("host:port, or several with commas")
}

/// Whether this is `host:port`; an IPv6 address stands in brackets.
fn is_server(text: &str) -> bool {
    if let Ok(address) = text.trim().parse::<SocketAddr>() {
        return address.port() > 0;
    }
    let is_host = |host: &str| !host.is_empty() && !host.contains([':', '/', '[', ']']);
    let is_named = |(host, number)| {
        is_host(host) && !host.contains(char::is_whitespace) && port(number).is_ok()
    };
    text.trim().rsplit_once(':').is_some_and(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_with_ports() {
        for right in [
            "127.0.0.1:1",
            "[::1]:65535",
            "[fe80::1%2]:80",
            "registry.example:65432",
            "a:1,b:2",
            "a:1, [::1]:2",
        ] {
            assert!(servers(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            ":1",
            "a",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "::1:1",
            "[::1]",
            "[a]:1",
            "http://a:1",
            "a:1/",
            "a:1,",
            "a b:1",
        ] {
            assert!(servers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_whole_seconds_or_have_up_to_three_digits_after_a_point() {
        let ms = |text| time(text).map(|time| time.as_millis());
        assert_eq!(
            [ms("5"), ms("0.5"), ms("1.25"), ms("0.001"), ms("0")],
            [5000, 500, 1250, 1, 0].map(Some)
        );
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.2345",
            "31536001",
            "99999999999999999999",
            "five",
            "1 ",
        ] {
            assert_eq!(time(text), None, "{text:?}");
        }
    }
}
