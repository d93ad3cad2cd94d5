//! The public name of a registration.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::NodeNumber;

/// The public name of a registration: 16 lower-case hex digits.
///
/// It is the same wherever the registration is shown, and says nothing about its UUID, which is
/// the right to change it: it is the beginning of the SHA-256 of the UUID's 16 bytes, and 122 random
/// bits cannot be guessed from it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    /// The public name of the registration with this UUID.
    #[must_use]
    pub fn of(uuid: &Uuid) -> Id {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(uuid.as_bytes()));
        Id(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The public name of a registration that this node owns, which has this UUID, or another one, which has
    /// this key in etcd: that begins with the same digest.
    #[must_use]
    pub fn of_owned(uuid_or_key: &Uuid, owner: Option<NodeNumber>) -> Id {
        match owner {
            None => Id::of(uuid_or_key),
            Some(_) => Id(uuid_or_key.as_u64_pair().0),
        }
    }

    /// Its hex digits.
    #[must_use]
    pub fn digits(self) -> [u8; 16] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        std::array::from_fn(|i| DIGITS[(self.0 >> (60 - 4 * i)) as usize & 15])
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = Cow::<str>::deserialize(from)?;
        let number = u64::from_str_radix(&digits, 16);
        number.map(Id).map_err(D::Error::custom)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_beginning_of_the_sha_256_of_the_uuid() {
        // The digest of sixteen zero bytes begins with these: sha256sum of `head -c 16 /dev/zero`.
        let id = Id::of(&Uuid::nil());
        assert_eq!(id.to_string(), "374708fff7719dd5");
        assert_eq!(&id.digits(), b"374708fff7719dd5");
    }
}
