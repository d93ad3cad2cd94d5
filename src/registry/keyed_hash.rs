//! The hash of the indexes: cheap for short keys, and safe where strangers choose them.
//!
//! The words of a key are the coefficients of a polynomial, and the hash is made from its value at a secret
//! random point modulo a prime (Carter and Wegman, "Universal Classes of Hash Functions", 1979). The
//! polynomials of two keys differ by one that is not zero, and such a one is zero at as many points as it has
//! degrees at most: two UUIDs, whatever they are, have the same value at 3 of 2^61 points. A fixed
//! multiplication then spreads the value, because keys in a row have values in a row. No peer knows the
//! point, and nothing that is sent depends on a hash. SipHash also withstands peers that see hashes, and costs
//! four times as many instructions for a UUID.

use std::hash::{BuildHasher, Hasher};

/// The prime: reduction by it takes a shift and an addition.
const PRIME: u64 = (1 << 61) - 1;
/// Bytes of a key in one word. The word is below the prime, with the number of its bytes above them.
const WORD_LEN: usize = 7;
const WORD_BITS: u32 = 8 * WORD_LEN as u32;

/// Spreads a value over all bits of the hash: the bits of 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes the hashes of one registry.
#[derive(Clone, Copy, Debug)]
pub struct KeyedHash {
    point: u64,
}

impl KeyedHash {
    /// Hashes with this random number as its secret.
    #[must_use]
    pub fn new(random: u64) -> Self {
        KeyedHash {
            point: random % PRIME,
        }
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = Polynomial;

    #[inline]
    fn build_hasher(&self) -> Polynomial {
        // The first coefficient is 1, so keys with another number of words differ too.
        Polynomial {
            point: self.point,
            value: self.point,
        }
    }
}

/// The value of the polynomial whose coefficients have been written.
#[derive(Clone, Copy, Debug)]
pub struct Polynomial {
    point: u64,
    /// At most a little above the prime.
    value: u64,
}

impl Polynomial {
    /// Adds a coefficient, which is below 2^60.
    #[inline]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.value + word) * u128::from(self.point);
        let (low, high) = (product as u64 & PRIME, (product >> 61) as u64);
        let sum = low + high;
        self.value = (sum & PRIME) + (sum >> 61);
    }
}

impl Hasher for Polynomial {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((bytes, behind)) = rest.split_first_chunk() {
            self.add(word(bytes) | (WORD_LEN as u64) << WORD_BITS);
            rest = behind;
        }
        if rest.is_empty() {
            return;
        }
        // The last word may have bytes of the one before it: with their number, it is as well determined.
        let last = match bytes.last_chunk() {
            Some(bytes) => word(bytes),
            None => rest
                .iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        self.add(last | (rest.len() as u64) << WORD_BITS);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    #[inline]
    fn write_u128(&mut self, number: u128) {
        const LOW: u128 = (1 << 44) - 1;
        self.add((number & LOW) as u64);
        self.add((number >> 44 & LOW) as u64);
        self.add((number >> 88) as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let value = if self.value >= PRIME {
            self.value - PRIME
        } else {
            self.value
        };
        let product = u128::from(value) * u128::from(SPREAD);
        product as u64 ^ (product >> 64) as u64
    }
}

fn word(&[a, b, c, d, e, f, g]: &[u8; WORD_LEN]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, g, 0])
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn hash_of(hasher: KeyedHash, bytes: &[u8]) -> u64 {
        let mut state = hasher.build_hasher();
        state.write(bytes);
        state.finish()
    }

    /// Random numbers that are the same in each run.
    fn points() -> impl Iterator<Item = KeyedHash> {
        (1..).map(|number: u64| KeyedHash::new(number.wrapping_mul(SPREAD)))
    }

    #[test]
    fn the_value_is_that_of_the_polynomial_of_the_words() {
        let point = 0x1234_5678_9abc_def0_u64;
        let hasher = KeyedHash::new(point);
        let reduced = |number: u128| number % u128::from(PRIME);
        let point = reduced(point.into());
        let by_definition = |words: &[u128]| {
            let value = words
                .iter()
                .fold(point, |value, &word| reduced((value + word) * point));
            let product = value * u128::from(SPREAD);
            product as u64 ^ (product >> 64) as u64
        };
        let uuid = 0x3999_da30_2a11_463a_be8e_6b2b_eca7_bfe6_u128;
        let low = (1 << 44) - 1;
        let words = [uuid & low, uuid >> 44 & low, uuid >> 88];
        assert_eq!(hasher.hash_one(uuid), by_definition(&words));
        let word = |bytes: [u8; 8]| u128::from(u64::from_le_bytes(bytes));
        let words = [word(*b"hive-12\x07"), word(*b"ve-1234\x02")];
        assert_eq!(hash_of(hasher, b"hive-1234"), by_definition(&words));
        assert_eq!(
            hash_of(hasher, b"web"),
            by_definition(&[word(*b"web\0\0\0\0\x03")])
        );
    }

    #[test]
    fn keys_that_are_alike_differ_in_their_hashes() {
        let mut keys: Vec<Vec<u8>> = (0..40).map(|len| vec![0; len]).collect();
        keys.extend((1..40).map(|len| [vec![0; len - 1], vec![1]].concat()));
        keys.extend((1..40).map(|len| [vec![1], vec![0; len]].concat()));
        for hasher in points().take(100) {
            let hashes: HashSet<u64> = keys.iter().map(|key| hash_of(hasher, key)).collect();
            assert_eq!(hashes.len(), keys.len());
        }
    }

    /// Sets of keys that a peer may choose, for each of which a weak hash has long chains.
    fn chosen() -> Vec<(&'static str, Vec<u128>)> {
        const COUNT: u128 = 4096;
        let prime = u128::from(PRIME);
        let made = |make: fn(u128) -> u128| (0..COUNT).map(make).collect();
        vec![
            ("numbers", made(|number| number)),
            ("of the upper half", made(|number| number << 64)),
            ("of the highest bits", made(|number| number << 116)),
            ("with equal halves", made(|number| number << 64 | number)),
            (
                "multiples of the prime",
                (0..COUNT).map(|number| number * prime).collect(),
            ),
            ("multiples of a power", made(|number| number << 44)),
            (
                "single bits and pairs",
                (0..64)
                    .flat_map(|a| (64..128).map(move |b| 1 << a | 1 << b))
                    .collect(),
            ),
            // (x - a)(x - b) and their like, which are zero at as many points as there are.
            (
                "with roots",
                made(|number| {
                    let (a, b) = (number % 64, 64 + number / 64);
                    (a * b) | (a + b) << 44 | 1 << 88
                }),
            ),
        ]
    }

    #[test]
    fn chains_of_chosen_keys_are_as_short_as_those_of_random_ones() {
        const BUCKET_BITS: u32 = 12;
        const POINTS: usize = 400;
        for (name, keys) in chosen() {
            let steps: Vec<f64> = points()
                .take(POINTS)
                .map(|hasher| {
                    let mut chains: HashMap<u64, u32> = HashMap::new();
                    for key in &keys {
                        let bucket = hasher.hash_one(key) & ((1 << BUCKET_BITS) - 1);
                        *chains.entry(bucket).or_default() += 1;
                    }
                    let steps: u32 = chains.values().map(|len| len * (len + 1) / 2).sum();
                    f64::from(steps) / keys.len() as f64
                })
                .collect();
            // What the lookup of a key costs: for random keys, one a bucket, 1.5 steps.
            let mean = steps.iter().sum::<f64>() / POINTS as f64;
            let worst = steps.iter().copied().fold(0.0, f64::max);
            assert!(
                mean < 1.6 && worst < 3.0,
                "{name}: {mean} steps, {worst} at worst"
            );
        }
    }
}
