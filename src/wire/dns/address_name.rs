//! The names of addresses: hexadecimal digits of the address, and where they name a service's target, of
//! its port. A target for each port, and not only for each address, keeps clients that tell servers apart by
//! their names from merging those of one host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::message::{ServiceAddress, check_ip};

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Digits of a port.
const PORT_LEN: usize = 4;

/// Digits of the label for an address of the family of `ip`.
pub(super) fn label_len(ip: IpAddr) -> usize {
    let bytes = match ip {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    };
    2 * bytes + PORT_LEN
}

/// Appends the label for an address and its port, with its length before it.
pub(super) fn push_label(address: ServiceAddress, to: &mut Vec<u8>) {
    to.push(label_len(address.ip) as u8);
    match address.ip {
        IpAddr::V4(ip) => push_hex(&ip.octets(), to),
        IpAddr::V6(ip) => push_hex(&ip.octets(), to),
    }
    push_hex(&address.port.get().to_be_bytes(), to);
}

fn push_hex(bytes: &[u8], to: &mut Vec<u8>) {
    let digit = |nibble: u8| DIGITS[usize::from(nibble)];
    to.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]),
    );
}

/// The address that a label names, with or without a port: one that a service can be registered at.
pub(super) fn parse(label: &[u8]) -> Option<IpAddr> {
    const V4: usize = 8;
    const V4_PORT: usize = V4 + PORT_LEN;
    const V6: usize = 32;
    const V6_PORT: usize = V6 + PORT_LEN;
    let (address_len, has_port) = match label.len() {
        V4 => (V4, false),
        V4_PORT => (V4, true),
        V6 => (V6, false),
        V6_PORT => (V6, true),
        _ => return None,
    };
    let (address, port) = label.split_at(address_len);
    if has_port && number(port)? == 0 {
        return None;
    }
    let number = number(address)?;
    let ip: IpAddr = if address_len == V4 {
        Ipv4Addr::from(number as u32).into()
    } else {
        Ipv6Addr::from(number).into()
    };
    (check_ip(ip) == Ok(ip)).then_some(ip)
}

/// The number that at most 32 digits, in either case, denote.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(number << 4 | u128::from(value))
    })
}
