//! The JSON encoding: on one line and without blanks.
//!
//! Frequent answers are encoded by hand, without formatting machinery. The documents for people and
//! monitors, which are rarer, go through serde.

use std::io::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use crate::message::{Bytes, Form, Rows, ServiceAddress, Services};

/// Approximate bytes of an address in an array, for reserving memory.
const ADDRESS_LEN: usize = 48;

/// The services as an array: `[{"ip":"127.0.0.1","port":65433},…]`
pub(super) fn array(services: &Services) -> &Bytes {
    services.render(Form::Line, |list| addresses(list))
}

/// The services as a JSON string that contains that array: clients of frames decode it twice.
pub(super) fn array_in_string(services: &Services) -> &Bytes {
    services.render(Form::Frame, |_| in_string(array(services)))
}

fn addresses(addresses: &[ServiceAddress]) -> Vec<u8> {
    let mut text = Vec::with_capacity(addresses.len() * ADDRESS_LEN + 2);
    text.push(b'[');
    push_addresses(&mut text, addresses);
    text.push(b']');
    text.shrink_to_fit();
    text
}

fn push_addresses(text: &mut Vec<u8>, addresses: &[ServiceAddress]) {
    for (position, &address) in addresses.iter().enumerate() {
        text.extend_from_slice(if position > 0 { b",{" } else { b"{" });
        push_address(text, address);
        text.push(b'}');
    }
}

fn in_string(array: &[u8]) -> Vec<u8> {
    let quotes = memchr::memchr_iter(b'"', array).count();
    let mut string = Vec::with_capacity(array.len() + quotes + 2);
    string.push(b'"');
    push_escaped(&mut string, array);
    string.push(b'"');
    string
}

/// Appends a part of an array of addresses, as it stands in a string: it contains only addresses, digits
/// and punctuation, so only quotes need escaping.
fn push_escaped(string: &mut Vec<u8>, array: &[u8]) {
    for &byte in array {
        if byte == b'"' {
            string.push(b'\\');
        }
        string.push(byte);
    }
}

/// Appends the rows, with commas between them.
pub(super) fn push_rows(text: &mut Vec<u8>, rows: &Rows) {
    match rows {
        Rows::Addresses(rows) => push_addresses(text, rows),
        Rows::Records(rows) => push_documents(text, rows),
        Rows::Types(rows) => push_documents(text, rows),
        // Only HTTP asks for these, and has its own shapes for them.
        Rows::Services { .. } | Rows::Names { .. } => {}
    }
}

/// Appends the rows as they stand in the content of a frame.
pub(super) fn push_framed_rows(text: &mut Vec<u8>, rows: &Rows) {
    match rows {
        Rows::Addresses(_) => {
            let mut array = Vec::new();
            push_rows(&mut array, rows);
            push_escaped(text, &array);
        }
        _ => push_rows(text, rows),
    }
}

fn push_documents(text: &mut Vec<u8>, rows: &[impl Serialize]) {
    for (position, row) in rows.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        // Writing to a Vec cannot fail, and every key of a document is a string.
        let _ = serde_json::to_writer(&mut *text, row);
    }
}

/// A document on one line.
pub(super) fn document(document: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to a Vec cannot fail, and every key of a document is a string.
    let _ = serde_json::to_writer(&mut text, document);
    text
}

/// Appends the members `"ip"` and `"port"`.
pub(super) fn push_address(text: &mut Vec<u8>, address: ServiceAddress) {
    text.extend_from_slice(br#""ip":""#);
    push_ip(text, address.ip);
    text.extend_from_slice(br#"","port":"#);
    push_number(text, address.port.get());
}

/// Appends a number.
pub(super) fn push_number(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends an array of strings.
pub(super) fn push_strings(text: &mut Vec<u8>, strings: &[Box<str>]) {
    text.push(b'[');
    for (position, string) in strings.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        push_string(text, string);
    }
    text.push(b']');
}

/// Appends an object whose values are strings.
pub(super) fn push_pairs(text: &mut Vec<u8>, pairs: &[(Box<str>, Box<str>)]) {
    text.push(b'{');
    for (position, (key, value)) in pairs.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        push_string(text, key);
        text.push(b':');
        push_string(text, value);
    }
    text.push(b'}');
}

/// Appends a string in quotes, escaped by RFC 8259 section 7.
pub(super) fn push_string(text: &mut Vec<u8>, string: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if string.bytes().all(plain) {
        text.push(b'"');
        text.extend_from_slice(string.as_bytes());
        text.push(b'"');
    } else {
        // Writing to a Vec cannot fail.
        let _ = serde_json::to_writer(text, string);
    }
}

/// Appends an address in its canonical form. Most are IPv4, which needs no formatting machinery.
pub(super) fn push_ip(text: &mut Vec<u8>, ip: IpAddr) {
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
            // Writing to a Vec cannot fail.
            let _ = write!(text, "{ip}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_one_array_and_a_json_string_of_it() {
        let services = [("127.0.0.1", 65_433), ("::1", 80)]
            .map(|(ip, port)| ServiceAddress::new(ip, port).unwrap());
        let array = addresses(&services);
        let expected = br#"[{"ip":"127.0.0.1","port":65433},{"ip":"::1","port":80}]"#;
        assert_eq!(&array[..], expected);
        let decoded: String = serde_json::from_slice(&in_string(&array)).unwrap();
        assert_eq!(decoded.as_bytes(), expected);
        assert_eq!(&addresses(&[])[..], b"[]");
    }
}
