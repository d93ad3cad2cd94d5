//! Counters by name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Verb;

/// A closed set of names, each with its own counter.
pub trait Named<const N: usize>: Copy + 'static {
    /// All names of the set, in the order of their declaration.
    const ALL: [Self; N];

    /// The name on the wire.
    fn name(self) -> &'static str;

    /// The position in [`ALL`](Self::ALL).
    fn index(self) -> usize;
}

/// A counter for each name of a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally<K, const N: usize> {
    counts: [u64; N],
    of: std::marker::PhantomData<K>,
}

impl<K, const N: usize> Default for Tally<K, N> {
    fn default() -> Self {
        Tally {
            counts: [0; N],
            of: std::marker::PhantomData,
        }
    }
}

impl<K: Named<N>, const N: usize> Tally<K, N> {
    /// Counts one more.
    pub fn add(&mut self, key: K) {
        self.add_many(key, 1);
    }

    /// Counts so many more.
    pub fn add_many(&mut self, key: K, more: u64) {
        self.counts[key.index()] += more;
    }

    /// How many were counted.
    #[must_use]
    pub fn get(&self, key: K) -> u64 {
        self.counts[key.index()]
    }

    /// Every name with its count.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        K::ALL.into_iter().zip(self.counts)
    }
}

impl<K: Named<N>, const N: usize> Serialize for Tally<K, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, count)| (key.name(), count)))
    }
}

impl<'de, K: Named<N>, const N: usize> Deserialize<'de> for Tally<K, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TallyVisitor<K, const N: usize>(Tally<K, N>);
        impl<'de, K: Named<N>, const N: usize> Visitor<'de> for TallyVisitor<K, N> {
            type Value = Tally<K, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of counts")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
                while let Some((name, count)) = map.next_entry::<Cow<'de, str>, u64>()? {
                    if let Some(key) = K::ALL.into_iter().find(|key| key.name() == name) {
                        self.0.counts[key.index()] = count;
                    }
                }
                Ok(self.0)
            }
        }
        deserializer.deserialize_map(TallyVisitor(Tally::default()))
    }
}

impl Named<{ Verb::ALL.len() }> for Verb {
    const ALL: [Self; Verb::ALL.len()] = Verb::ALL;

    fn name(self) -> &'static str {
        Verb::name(self)
    }

    fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::CloseReason;

    #[test]
    fn each_name_is_its_index_in_the_list_of_all() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
        for (index, verb) in Verb::ALL.into_iter().enumerate() {
            assert_eq!(verb.index(), index);
        }
    }
}
