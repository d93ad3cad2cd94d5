//! Unpredictable UUIDs and numbers.

use std::io;

use uuid::{Builder, Uuid};

use crate::service::UuidSource;

/// Bytes of randomness fetched from the system at once: one system call for 64 UUIDs.
const POOL_LEN: usize = 64 * UUID_LEN;
const UUID_LEN: usize = 16;

/// A source of UUIDs of version 4 (RFC 9562 section 5.4) with randomness from the system.
///
/// # Errors
/// When the system provides no randomness.
pub(super) fn random_uuids() -> io::Result<UuidSource> {
    let mut pool = [0; POOL_LEN];
    getrandom::fill(&mut pool)?;
    let mut used = 0;
    Ok(Box::new(move || {
        if used == POOL_LEN {
            // A system that has provided randomness once keeps providing it.
            getrandom::fill(&mut pool).expect("the system provides randomness");
            used = 0;
        }
        next(&mut pool, &mut used)
    }))
}

/// A random number from the system.
///
/// # Errors
/// When the system provides no randomness.
pub(super) fn random_number() -> io::Result<u64> {
    Ok(getrandom::u64()?)
}

/// Takes a UUID's bytes from the pool and zeroes them, so that no used UUID stays in memory there.
fn next(pool: &mut [u8; POOL_LEN], used: &mut usize) -> Uuid {
    let bytes = &mut pool[*used..*used + UUID_LEN];
    let mut random = [0; UUID_LEN];
    random.copy_from_slice(bytes);
    bytes.fill(0);
    *used += UUID_LEN;
    Builder::from_random_bytes(random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_uuid_is_new_and_of_version_4() {
        let mut source = random_uuids().unwrap();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let uuid = source();
            assert_eq!(uuid.get_version_num(), 4);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
            assert!(seen.insert(uuid));
        }
    }
}
