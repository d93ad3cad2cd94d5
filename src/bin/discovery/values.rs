//! What the values of arguments must be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use discovery_service::message::{Offer, ServiceType, Ttl};

/// What a value must be, and how that is said.
pub(crate) struct Check {
    pub(crate) is_right: fn(&str) -> bool,
    pub(crate) wanted: &'static str,
}

pub(crate) static IS_TYPE: Check = Check {
    is_right: |text| ServiceType::new(text).is_ok(),
    wanted: "1 to 63 bytes without white space",
};
pub(crate) static IS_UUID: Check = Check {
    is_right: |text| ServiceType::new(text).is_ok(),
    wanted: "a UUID",
};
pub(crate) static IS_PORT: Check = Check {
    is_right: |text| Offer::parse("any", "-", text).is_ok(),
    wanted: "a number from 1 to 65535",
};
pub(crate) static IS_TTL: Check = Check {
    is_right: |text| Ttl::parse(text).is_some(),
    wanted: "a number from 1 to 86400",
};
pub(crate) static IS_COUNT: Check = Check {
    is_right: |text| text.parse::<usize>().is_ok(),
    wanted: "a number",
};
pub(crate) static IS_IP: Check = Check {
    is_right: |text| text == "-" || text.parse::<IpAddr>().is_ok(),
    wanted: "an IPv4 or IPv6 address, or -",
};
pub(crate) static IS_REACHABLE: Check = Check {
    is_right: |text| Offer::parse("any", text, "1").is_ok(),
    wanted: "an IPv4 or IPv6 address that others can connect to, or -",
};
pub(crate) static IS_TIME: Check = Check {
    is_right: |text| parse_time(text).is_some_and(|time| !time.is_zero()),
    wanted: "a number of seconds from 0.001 to 31536000, such as 5 or 0.5",
};
pub(crate) static IS_TIME_OR_NONE: Check = Check {
    is_right: |text| parse_time(text).is_some(),
    wanted: "a number of seconds from 0 to 31536000, such as 5 or 0.5",
};
pub(crate) static ARE_SERVERS: Check = Check {
    is_right: |text| text.split(',').all(is_server),
    wanted: "host:port, or several with commas",
};
pub(crate) static IS_SHELL: Check = Check {
    is_right: |text| SHELLS.contains(&text),
    wanted: "bash, elvish, fish, powershell or zsh",
};
pub(crate) static IS_PATH: Check = Check {
    is_right: |text| !text.is_empty(),
    wanted: "a path",
};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Whether this is `host:port`; an IPv6 address stands in brackets.
fn is_server(text: &str) -> bool {
    if let Ok(address) = text.trim().parse::<SocketAddr>() {
        return address.port() > 0;
    }
    let is_host = |host: &str| !host.is_empty() && !host.contains([':', '/', '[', ']']);
    let is_named = |(host, port)| {
        is_host(host) && !host.contains(char::is_whitespace) && (IS_PORT.is_right)(port)
    };
    text.trim().rsplit_once(':').is_some_and(is_named)
}

/// A time in seconds, with up to three digits behind a point: a year at most.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
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
            assert!((ARE_SERVERS.is_right)(right), "{right}");
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
            assert!(!(ARE_SERVERS.is_right)(wrong), "{wrong}");
        }
    }

    #[test]
    fn times_are_whole_seconds_or_have_up_to_three_digits_behind_a_point() {
        let ms = |text| parse_time(text).map(|time| time.as_millis());
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
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }
}
