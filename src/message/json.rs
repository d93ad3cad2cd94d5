//! JSON as the service writes it: on one line, without blanks, and without formatting machinery.

use std::io::Write as _;
use std::net::IpAddr;

use super::ServiceAddress;

/// Appends the members `"ip"` and `"port"`.
pub fn push_address(text: &mut Vec<u8>, address: ServiceAddress) {
    text.extend_from_slice(br#""ip":""#);
    push_ip(text, address.ip);
    text.extend_from_slice(br#"","port":"#);
    push_number(text, address.port.get());
}

/// Appends the members `"type"`, `"ip"` and `"port"`.
pub fn push_service(text: &mut Vec<u8>, service_type: &str, address: ServiceAddress) {
    text.extend_from_slice(br#""type":"#);
    push_string(text, service_type);
    text.push(b',');
    push_address(text, address);
}

/// Appends a number.
pub fn push_number(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a string with its quotes and what has to be escaped in it (RFC 8259 section 7).
pub fn push_string(text: &mut Vec<u8>, string: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if string.bytes().all(plain) {
        text.push(b'"');
        text.extend_from_slice(string.as_bytes());
        text.push(b'"');
    } else {
        // A Vec takes every write.
        let _ = serde_json::to_writer(text, string);
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
