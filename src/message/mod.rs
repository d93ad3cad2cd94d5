//! The vocabulary: what a client can ask, what the service can answer, and why it can refuse.
//!
//! Values are checked when they are made, so a [`Request`] that exists is valid. This module
//! knows no socket, no format on the wire and no registry.

mod refusal;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::rc::Rc;

use uuid::Uuid;

use crate::limits::TYPE_LEN_MAX;

pub use refusal::Refusal;

/// A request with the token that came beside it, where the format has a place for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The token; it authenticates the connection before the request is run.
    pub token: Option<Cow<'a, str>>,
    /// The request.
    pub request: Request<'a>,
}

/// What a client can ask, well formed. Borrows from the bytes it was read from where it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Show that the connection may make requests.
    Auth {
        /// One of the service's tokens, it is hoped.
        token: Cow<'a, str>,
    },
    /// Make a new registration.
    Register {
        /// What kind of service it is.
        service_type: ServiceType<'a>,
        /// Where it can be reached.
        address: ServiceAddress,
    },
    /// Keep a registration alive. `None` is a word that no UUID looks like, which no
    /// registration can have.
    Heartbeat {
        /// The registration.
        uuid: Option<Uuid>,
    },
    /// The addresses of all live registrations of a type.
    Query {
        /// What kind of service is looked for.
        service_type: ServiceType<'a>,
    },
}

/// The answer to one command.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A new registration was made, with this UUID.
    Registered(Uuid),
    /// Done.
    Ok,
    /// No live registration has that UUID.
    NotFound,
    /// The services asked for.
    Services(Rc<Services>),
    /// The command was refused; nothing has changed.
    Refused(Refusal),
}

/// The name of a kind of service: 1 to 63 bytes without white space or control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceType<'a>(Cow<'a, str>);

impl<'a> ServiceType<'a> {
    /// Takes a name as it came from a client.
    ///
    /// # Errors
    /// A [`Refusal`] that says which rule the name breaks.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, Refusal> {
        let name = name.into();
        if name.is_empty() {
            return Err(Refusal::TypeEmpty);
        }
        if name.len() > TYPE_LEN_MAX {
            return Err(Refusal::TypeTooLong);
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Refusal::TypeCharacter);
        }
        Ok(ServiceType(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a service can be reached: a unicast address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAddress {
    /// A unicast IPv4 or IPv6 address.
    pub ip: IpAddr,
    /// 1 to 65535.
    pub port: NonZeroU16,
}

impl ServiceAddress {
    /// Takes an address and a port number as they came from a client.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with the address or the port.
    pub fn new(ip: &str, port: u64) -> Result<Self, Refusal> {
        let ip = parse_ip(ip)?;
        let port = u16::try_from(port).ok().and_then(NonZeroU16::new);
        Ok(ServiceAddress { ip, port: port.ok_or(Refusal::Port)? })
    }

    /// Takes the two words of a text command.
    ///
    /// A port is decimal digits and nothing else: no sign, no leading zero.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with the address or the port.
    pub fn parse(ip: &str, port: &str) -> Result<Self, Refusal> {
        let plain = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
        let port = if plain { port.parse().unwrap_or(0) } else { 0 };
        Self::new(ip, port)
    }
}

/// Reads an address that a client can connect to. RFC 4291 section 2.2 gives the text forms of
/// IPv6; an IPv4 address mapped into IPv6 obeys the rules of the IPv4 address in it.
fn parse_ip(text: &str) -> Result<IpAddr, Refusal> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        let zoned = text.split_once('%').is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok());
        return Err(if zoned { Refusal::IpZone } else { Refusal::IpText });
    };
    let plain = ip.to_canonical();
    if plain.is_unspecified() {
        Err(Refusal::IpUnspecified)
    } else if plain.is_multicast() {
        Err(Refusal::IpMulticast)
    } else if plain == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Err(Refusal::IpBroadcast)
    } else {
        Ok(ip)
    }
}

/// Reads a UUID as clients must write it: 36 characters with hyphens, in either case
/// (RFC 9562 section 4). Anything else is nobody's UUID.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    const HYPHENATED_LEN: usize = 36;
    if text.len() != HYPHENATED_LEN {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// The live services of one type as a JSON array on one line, oldest registration first.
///
/// It is built once for a state of the type and shared by all who wait for it.
#[derive(Debug)]
pub struct Services {
    array: Rc<Vec<u8>>,
    json_string: OnceCell<Rc<Vec<u8>>>,
}

impl Services {
    /// The array of these addresses.
    pub fn new(addresses: impl Iterator<Item = ServiceAddress>) -> Self {
        let mut array = Vec::with_capacity(addresses.size_hint().0.saturating_mul(48) + 2);
        array.push(b'[');
        let mut digits = itoa::Buffer::new();
        for ServiceAddress { ip, port } in addresses {
            if array.len() > 1 {
                array.push(b',');
            }
            array.extend_from_slice(br#"{"ip":""#);
            push_ip(&mut array, ip);
            array.extend_from_slice(br#"","port":"#);
            array.extend_from_slice(digits.format(port.get()).as_bytes());
            array.push(b'}');
        }
        array.push(b']');
        array.shrink_to_fit();
        Services { array: Rc::new(array), json_string: OnceCell::new() }
    }

    /// The array as it stands in a text answer, without a line end.
    #[must_use]
    pub fn array(&self) -> &Rc<Vec<u8>> {
        &self.array
    }

    /// A JSON string whose value is the array: what frame clients decode twice.
    /// Made on first use.
    pub fn json_string(&self) -> &Rc<Vec<u8>> {
        self.json_string.get_or_init(|| {
            // The array holds addresses, digits and punctuation: only quotes need escaping.
            let quotes = memchr::memchr_iter(b'"', &self.array).count();
            let mut string = Vec::with_capacity(self.array.len() + quotes + 2);
            string.push(b'"');
            for &byte in self.array.iter() {
                if byte == b'"' {
                    string.push(b'\\');
                }
                string.push(byte);
            }
            string.push(b'"');
            Rc::new(string)
        })
    }
}

/// Appends an address in its canonical form. Most are IPv4, which needs no formatting machinery.
fn push_ip(text: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let mut digits = itoa::Buffer::new();
            for (i, octet) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    text.push(b'.');
                }
                text.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => {
            // A Vec takes every write.
            let _ = write!(text, "{ip}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str, port: &str) -> Result<String, Refusal> {
        let ServiceAddress { ip, port } = ServiceAddress::parse(ip, port)?;
        Ok(format!("{ip} {port}"))
    }

    #[test]
    fn row_37_addresses_and_ports_are_accepted_in_one_form_or_refused_with_a_reason() {
        use Refusal::*;
        let ips = [
            ("127.0.0.1", Ok("127.0.0.1 80")),
            ("10.0.0.255", Ok("10.0.0.255 80")),
            ("::1", Ok("::1 80")),
            ("2001:DB8:0:0:0:0:0:1", Ok("2001:db8::1 80")),
            ("::ffff:192.0.2.1", Ok("::ffff:192.0.2.1 80")),
            ("::ffff:c000:201", Ok("::ffff:192.0.2.1 80")),
            ("fe80::1", Ok("fe80::1 80")),
            ("0.0.0.0", Err(IpUnspecified)),
            ("::", Err(IpUnspecified)),
            ("0:0:0:0:0:0:0:0", Err(IpUnspecified)),
            ("::ffff:0.0.0.0", Err(IpUnspecified)),
            ("224.0.0.1", Err(IpMulticast)),
            ("239.255.255.255", Err(IpMulticast)),
            ("ff02::1", Err(IpMulticast)),
            ("::ffff:224.0.0.1", Err(IpMulticast)),
            ("255.255.255.255", Err(IpBroadcast)),
            ("::ffff:255.255.255.255", Err(IpBroadcast)),
            ("fe80::1%eth0", Err(IpZone)),
            ("fe80::1%1", Err(IpZone)),
            ("fe80::1%", Err(IpZone)),
            ("localhost", Err(IpText)),
            ("example.com", Err(IpText)),
            ("127.0.0.01", Err(IpText)),
            ("127.0.0.1.", Err(IpText)),
            ("127.1", Err(IpText)),
            ("0x7f000001", Err(IpText)),
            ("2130706433", Err(IpText)),
            ("[::1]", Err(IpText)),
            ("127.0.0.1:80", Err(IpText)),
            ("::1/128", Err(IpText)),
            ("", Err(IpText)),
        ];
        for (ip, expected) in ips {
            assert_eq!(address(ip, "80"), expected.map(str::to_owned), "ip {ip:?}");
        }
        for port in ["1", "80", "65535"] {
            assert_eq!(address("::1", port), Ok(format!("::1 {port}")));
        }
        let refused = [
            "0",
            "65536",
            "99999999999999999999999",
            "+80",
            "080",
            "00080",
            "-1",
            "−1",
            "80.0",
            "8e1",
            "0x50",
            "٨٠",
            "http",
            "",
        ];
        for port in refused {
            assert_eq!(address("::1", port), Err(Port), "port {port:?}");
        }
        assert_eq!(ServiceAddress::new("::1", 0), Err(Port));
        assert_eq!(ServiceAddress::new("::1", 65_536), Err(Port));
    }

    #[test]
    fn row_35_only_the_hyphenated_form_is_a_uuid() {
        let uuid = "3999da30-2a11-463a-be8e-6b2beca7bfe6";
        assert_eq!(parse_uuid(uuid).unwrap().to_string(), uuid);
        assert_eq!(parse_uuid(&uuid.to_uppercase()).unwrap().to_string(), uuid);
        let nobody = [
            "3999da302a11463abe8e6b2beca7bfe6",
            "{3999da30-2a11-463a-be8e-6b2beca7bfe6}",
            "urn:uuid:3999da30-2a11-463a-be8e-6b2beca7bfe6",
            "3999da30-2a11-463a-be8e-6b2beca7bfe6a",
            "3999da30-2a11-463a-be8e-6b2beca7bfe",
            "3999da30-2a11-463a-be8e-6b2beca7bfeg",
            "3999da3-02a11-463a-be8e-6b2beca7bfe6",
            "ERROR",
            "",
        ];
        for text in nobody {
            assert_eq!(parse_uuid(text), None, "{text:?}");
        }
    }

    #[test]
    fn types_are_1_to_63_bytes_without_white_space_or_control_characters() {
        for name in ["a", "hive", "web/API_v2.1", "ß", "日本語", &"x".repeat(63), &"é".repeat(31)] {
            assert_eq!(ServiceType::new(name).unwrap().as_str(), name);
        }
        assert_eq!(ServiceType::new(""), Err(Refusal::TypeEmpty));
        assert_eq!(ServiceType::new("x".repeat(64)), Err(Refusal::TypeTooLong));
        assert_eq!(ServiceType::new("é".repeat(32)), Err(Refusal::TypeTooLong));
        for name in ["a b", "a\tb", "a\u{a0}b", "a\u{2028}b", "a\nb", "a\0", "\u{1b}[31m", "a\u{7f}", "a\u{85}"] {
            assert_eq!(ServiceType::new(name), Err(Refusal::TypeCharacter), "{name:?}");
        }
    }

    #[test]
    fn services_are_one_array_and_a_json_string_of_it() {
        let addresses = [("127.0.0.1", 65_433), ("::1", 80)];
        let services = Services::new(addresses.iter().map(|&(ip, port)| ServiceAddress::new(ip, port).unwrap()));
        let array = br#"[{"ip":"127.0.0.1","port":65433},{"ip":"::1","port":80}]"#;
        assert_eq!(&services.array()[..], array);
        let decoded: String = serde_json::from_slice(services.json_string()).unwrap();
        assert_eq!(decoded.as_bytes(), array);
        assert_eq!(&Services::new(std::iter::empty()).array()[..], b"[]");
    }
}
