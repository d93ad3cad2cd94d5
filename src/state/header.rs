//! The header of a state file.

/// Bytes of a header: magic 8, version u16, flags u16, index u64, reserved 8, crc32 of all that.
pub const HEADER_LEN: usize = 32;

const MAGIC: [u8; 8] = *b"DISCOVRY";
const VERSION: u16 = 1;
const CHECKED_LEN: usize = HEADER_LEN - 4;

/// The beginning of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The registry's count of changes before the first record.
    pub index: u64,
}

/// What the first bytes of a file say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing, or the part of a header that a crash has left, or zeros.
    Blank,
    /// A header of this version.
    Right(Header),
    /// A header of a later version than this program knows.
    Newer(u16),
    /// A header whose checksum is wrong.
    Damaged,
    /// Something else: another program's file, or one whose beginning was overwritten. Only the records
    /// behind it can tell.
    Unknown,
}

impl Header {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.index.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..CHECKED_LEN]);
        bytes[CHECKED_LEN..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the beginning of a file, of which `bytes` are the first [`HEADER_LEN`] or all.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Beginning {
        if bytes.iter().all(|&byte| byte == 0) {
            return Beginning::Blank;
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            // The first write of a file, which was cut off.
            let begins = bytes.iter().zip(&MAGIC).all(|(a, b)| a == b);
            return if begins {
                Beginning::Blank
            } else {
                Beginning::Unknown
            };
        };
        if bytes[..8] != MAGIC {
            return Beginning::Unknown;
        }
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let sum = crc32fast::hash(&bytes[..CHECKED_LEN]).to_le_bytes();
        if bytes[CHECKED_LEN..] != sum {
            return Beginning::Damaged;
        }
        let mut index = [0; 8];
        index.copy_from_slice(&bytes[12..20]);
        match number(8) {
            version if version > VERSION => Beginning::Newer(version),
            _ => Beginning::Right(Header {
                index: u64::from_le_bytes(index),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_any_other_bit_in_it_is_noticed() {
        let header = Header {
            index: 1_800_000_000_000_123,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Beginning::Right(header));
        for bit in 0..8 * HEADER_LEN {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            let begins = Header::decode(&wrong);
            let expected = if bit < 64 {
                Beginning::Unknown
            } else {
                Beginning::Damaged
            };
            assert_eq!(begins, expected, "bit {bit}");
        }
        for len in 0..HEADER_LEN {
            assert_eq!(Header::decode(&bytes[..len]), Beginning::Blank, "{len}");
        }
    }

    #[test]
    fn a_later_version_another_file_and_zeros_are_told_apart() {
        let mut newer = Header::default().encode();
        newer[8] = 2;
        let sum = crc32fast::hash(&newer[..CHECKED_LEN]).to_le_bytes();
        newer[CHECKED_LEN..].copy_from_slice(&sum);
        assert_eq!(Header::decode(&newer), Beginning::Newer(2));
        assert_eq!(Header::decode(&[0; HEADER_LEN]), Beginning::Blank);
        for other in [
            "{\"services\": []}",
            "SQLite format 3\0 and what follows it",
        ] {
            assert_eq!(Header::decode(other.as_bytes()), Beginning::Unknown);
        }
    }
}
