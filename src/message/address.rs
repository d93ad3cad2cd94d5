//! The address of a service, and its text form in requests.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use super::{Refusal, ServiceType, plain_number};

/// The address at which a service can be reached: a unicast IP address and a port.
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
        Ok(ServiceAddress {
            ip: parse_ip(ip)?,
            port: port_number(port)?,
        })
    }
}

/// The number that a port's digits denote, or 0, which is not a port, for anything else.
#[must_use]
pub fn parse_port(text: &[u8]) -> u64 {
    plain_number(text).unwrap_or(0)
}

fn port_number(port: u64) -> Result<NonZeroU16, Refusal> {
    u16::try_from(port)
        .ok()
        .and_then(NonZeroU16::new)
        .ok_or(Refusal::Port)
}

/// Reads an address that a client can connect to. RFC 4291 section 2.2 gives the text forms of IPv6.
fn parse_ip(text: &str) -> Result<IpAddr, Refusal> {
    match text.parse() {
        Ok(ip) => check_ip(ip),
        Err(_) => {
            let zoned = text
                .split_once('%')
                .is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok());
            Err(if zoned {
                Refusal::IpZone
            } else {
                Refusal::IpText
            })
        }
    }
}

/// Takes an address that clients on other hosts can connect to, or a loopback address. An IPv4 address
/// mapped into IPv6 is the IPv4 address.
///
/// # Errors
/// A [`Refusal`] that says why nobody can connect to it.
pub fn check_ip(ip: IpAddr) -> Result<IpAddr, Refusal> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() {
        Err(Refusal::IpUnspecified)
    } else if ip.is_multicast() {
        Err(Refusal::IpMulticast)
    } else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Err(Refusal::IpBroadcast)
    } else if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        Err(Refusal::IpLinkLocal)
    } else {
        Ok(ip)
    }
}

/// A service that a client asks to have registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// What kind of service it is.
    pub service_type: ServiceType<'a>,
    /// The IP address at which it can be reached; `None` means the peer's own.
    pub ip: Option<IpAddr>,
    /// The port at which it can be reached.
    pub port: NonZeroU16,
}

impl<'a> Offer<'a> {
    /// Takes the three words of a text command. The ip may be `-`; a port is decimal digits and
    /// nothing else: no sign, no leading zero.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with the type, the address or the port.
    pub fn parse(service_type: &'a str, ip: &str, port: &[u8]) -> Result<Self, Refusal> {
        Self::new(ServiceType::new(service_type)?, ip, parse_port(port))
    }

    /// Takes a type, an address, which may be `-`, and a port number.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with the address or the port.
    pub fn new(service_type: ServiceType<'a>, ip: &str, port: u64) -> Result<Self, Refusal> {
        let ip = if ip == OBSERVED_IP {
            None
        } else {
            Some(parse_ip(ip)?)
        };
        Ok(Offer {
            service_type,
            ip,
            port: port_number(port)?,
        })
    }

    /// The service's address when the peer's IP address is `observed`.
    #[must_use]
    pub fn address(&self, observed: IpAddr) -> ServiceAddress {
        ServiceAddress {
            ip: self.ip.unwrap_or(observed),
            port: self.port,
        }
    }
}

/// The word for the peer's own IP address.
const OBSERVED_IP: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str, port: &str) -> Result<String, Refusal> {
        let ServiceAddress { ip, port } =
            Offer::parse("hive", ip, port.as_bytes())?.address(Ipv4Addr::LOCALHOST.into());
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
            ("::ffff:192.0.2.1", Ok("192.0.2.1 80")),
            ("::ffff:c000:201", Ok("192.0.2.1 80")),
            ("::FFFF:127.0.0.1", Ok("127.0.0.1 80")),
            ("fe80::1", Err(IpLinkLocal)),
            ("febf:ffff::1", Err(IpLinkLocal)),
            ("fec0::1", Ok("fec0::1 80")),
            ("fe7f::1", Ok("fe7f::1 80")),
            ("169.254.0.1", Ok("169.254.0.1 80")),
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
}
