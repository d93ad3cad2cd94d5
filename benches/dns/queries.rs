//! Queries as they stand in a message.

const A: u16 = 1;
const SRV: u16 = 33;
/// Bytes that the client takes, by its OPT record.
const PAYLOAD_LEN: u16 = 1232;

/// Asks for the IPv4 addresses of a name.
pub(crate) fn addresses(name: &str) -> Vec<u8> {
    query(name, A)
}

/// Asks for the services of a name.
pub(crate) fn services(name: &str) -> Vec<u8> {
    query(name, SRV)
}

/// A query with the id 0, which is in its first two bytes.
fn query(name: &str, rtype: u16) -> Vec<u8> {
    // Recursion desired; one question, one additional record.
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&rtype.to_be_bytes());
    // Class IN; then an OPT record at the root: type 41, length, flags, no options.
    bytes.extend_from_slice(&[0, 1, 0, 0, 41]);
    bytes.extend_from_slice(&PAYLOAD_LEN.to_be_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes
}
