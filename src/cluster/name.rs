//! What nodes and registrations are called in etcd.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A registration in etcd: 128 bits of the SHA-256 of its UUID, from which nobody learns the UUID. Its
/// first half is the public name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u128);

impl KeyId {
    /// The name in etcd of the registration with this UUID.
    #[must_use]
    pub fn of(uuid: &Uuid) -> KeyId {
        let digest = <[u8; 32]>::from(Sha256::digest(uuid.as_bytes()));
        let half = std::array::from_fn(|i| digest[i]);
        KeyId(u128::from_be_bytes(half))
    }

    /// Its bits, in the form in which the registry finds by them.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        Uuid::from_u128(self.0)
    }

    /// What [`as_uuid`](Self::as_uuid) has made of it.
    #[must_use]
    pub fn from_uuid(bits: Uuid) -> KeyId {
        KeyId(bits.as_u128())
    }

    /// Reads 32 lower-case hex digits.
    pub(super) fn parse(digits: &str) -> Option<KeyId> {
        hex(digits, 32).map(KeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A node of the cluster: 64 bits that were drawn when its process started.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// Reads 16 lower-case hex digits.
    pub(super) fn parse(digits: &str) -> Option<NodeId> {
        hex(digits, 16).map(|bits| NodeId(bits as u64))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A registration: its type and what it is called in etcd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The name of the type.
    pub service_type: Arc<str>,
    /// The name in etcd.
    pub id: KeyId,
}

/// So many lower-case hex digits.
pub(super) fn hex(digits: &str, len: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == len && digits.bytes().all(is_hex))
        .then(|| u128::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Id;

    #[test]
    fn the_public_name_of_a_registration_is_the_first_half_of_its_name_in_etcd() {
        let uuid = Uuid::from_u128(7);
        let digits = KeyId::of(&uuid).to_string();
        assert_eq!(digits[..16], Id::of(&uuid).to_string());
        assert_eq!(KeyId::parse(&digits), Some(KeyId::of(&uuid)));
    }

    #[test]
    fn a_name_is_lower_case_hex_digits_and_nothing_else() {
        assert_eq!(NodeId::parse("00000000000000ff"), Some(NodeId(255)));
        for wrong in [
            "",
            "ff",
            "00000000000000FF",
            "+0000000000000ff",
            "0x000000000000ff",
        ] {
            assert_eq!(NodeId::parse(wrong), None, "{wrong}");
        }
    }
}
