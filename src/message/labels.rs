//! Tags and metadata of registrations.

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Refusal, plain_number};
use crate::limits::{
    LABELS_COUNT_MAX, LABELS_LEN_MAX, META_KEY_LEN_MAX, META_VALUE_LEN_MAX, TAG_LEN_MAX,
};

/// A key and its value.
type Pair = (Box<str>, Box<str>);

/// Tags, which are a set, and metadata, which are pairs of a key and a value; both in the order in which
/// they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Told")]
pub struct Labels {
    tags: Vec<Box<str>>,
    #[serde(serialize_with = "as_map")]
    meta: Vec<Pair>,
    /// A bit for each tag and each pair: most sets that lack one are told without a look at the texts.
    #[serde(skip)]
    sketch: u64,
}

/// [`Labels`] in JSON.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    tags: Vec<Box<str>>,
    #[serde(default, deserialize_with = "from_map")]
    meta: Vec<Pair>,
}

impl From<Told> for Labels {
    fn from(Told { tags, meta }: Told) -> Self {
        let tag_bits = tags.iter().map(bit);
        let sketch = tag_bits.chain(meta.iter().map(bit)).fold(0, |a, b| a | b);
        Labels { tags, meta, sketch }
    }
}

/// The bit of a tag or a pair in a sketch. It is the same in each set, so others can choose texts of
/// one bit; then the texts are compared.
fn bit(text: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    1 << (hasher.finish() % u64::from(u64::BITS))
}

impl Labels {
    /// Bytes that they take in a line at most, with their keys and what stands between them: an escaped
    /// character takes two.
    pub const LINE_LEN_MAX: usize = 2 * LABELS_LEN_MAX + 2 * LABELS_COUNT_MAX * 6 + 32;

    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &[Box<str>] {
        &self.tags
    }

    /// The metadata.
    #[must_use]
    pub fn meta(&self) -> &[Pair] {
        &self.meta
    }

    /// The value of this key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let pair = self.meta.iter().find(|(other, _)| **other == *key);
        pair.map(|(_, value)| &**value)
    }

    /// The share of clients that the service is to have among those of one priority, where the metadata says
    /// it: from 1 on, for some clients use a service of weight 0 never.
    #[must_use]
    pub fn weight(&self) -> Option<u16> {
        self.number("weight").filter(|&weight| weight > 0)
    }

    /// The priority, where the metadata says it: clients use those with the lowest first.
    #[must_use]
    pub fn priority(&self) -> Option<u16> {
        self.number("priority")
    }

    fn number(&self, key: &str) -> Option<u16> {
        let number = plain_number(self.value(key)?.as_bytes())?;
        u16::try_from(number).ok()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.meta.is_empty()
    }

    /// Bytes of all tags, keys and values.
    #[must_use]
    pub fn len(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len()).sum();
        let pairs = self.meta.iter();
        tags + pairs
            .map(|(key, value)| key.len() + value.len())
            .sum::<usize>()
    }

    /// Bytes that they take in a line at most.
    #[must_use]
    pub fn line_len_max(&self) -> usize {
        2 * self.len() + 6 * (self.tags.len() + self.meta.len()) + 32
    }

    /// Whether all of these tags and pairs are among its own.
    #[must_use]
    pub fn contains(&self, wanted: &Labels) -> bool {
        if wanted.sketch & !self.sketch != 0 {
            return false;
        }
        let has_pair = |(key, value): &Pair| self.value(key) == Some(value);
        let has_tags = wanted.tags.iter().all(|tag| self.tags.contains(tag));
        has_tags && wanted.meta.iter().all(has_pair)
    }

    /// Adds a tag; one that is there already changes nothing.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with it, or that there are too many.
    pub fn add_tag(&mut self, tag: &str) -> Result<(), Refusal> {
        if tag.is_empty() || tag.len() > TAG_LEN_MAX || tag.contains(char::is_control) {
            return Err(Refusal::Tag);
        }
        if !self.tags.iter().any(|other| **other == *tag) {
            self.sketch |= bit(tag);
            self.tags.push(tag.into());
        }
        self.check()
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with it, that the key is there already, or that there are
    /// too many.
    pub fn add_pair(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let key_fits = (1..=META_KEY_LEN_MAX).contains(&key.len()) && key.bytes().all(is_plain);
        if !key_fits {
            return Err(Refusal::MetaKey);
        }
        if value.len() > META_VALUE_LEN_MAX || value.contains(char::is_control) {
            return Err(Refusal::MetaValue);
        }
        if self.value(key).is_some() {
            return Err(Refusal::MetaTwice(key.into()));
        }
        self.sketch |= bit((key, value));
        self.meta.push((key.into(), value.into()));
        self.check()
    }

    fn check(&self) -> Result<(), Refusal> {
        let too_many = self.tags.len() > LABELS_COUNT_MAX || self.meta.len() > LABELS_COUNT_MAX;
        if too_many || self.len() > LABELS_LEN_MAX {
            return Err(Refusal::TooManyLabels);
        }
        Ok(())
    }
}

/// The pairs as a JSON object.
fn as_map<S: Serializer>(pairs: &[Pair], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(pairs.len()))?;
    for (key, value) in pairs {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

fn from_map<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pair>, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<Pair>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs: Self::Value = Vec::new();
            while let Some((key, value)) = map.next_entry::<Box<str>, Box<str>>()? {
                if pairs.iter().any(|(other, _)| *other == key) {
                    return Err(A::Error::custom("a key is given twice"));
                }
                pairs.push((key, value));
            }
            Ok(pairs)
        }
    }

    from.deserialize_map(Pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(tags: &[&str], pairs: &[(&str, &str)]) -> Result<Labels, Refusal> {
        let mut labels = Labels::default();
        tags.iter().try_for_each(|tag| labels.add_tag(tag))?;
        let add = |(key, value): &(&str, &str)| labels.add_pair(key, value);
        pairs.iter().try_for_each(add)?;
        Ok(labels)
    }

    #[test]
    fn row_57_tags_and_pairs_have_their_bounds() {
        let long = |len: usize| "x".repeat(len);
        assert!(labels(&[&long(255)], &[(&long(63), &long(1024))]).is_ok());
        assert_eq!(labels(&[""], &[]), Err(Refusal::Tag));
        assert_eq!(labels(&[&long(256)], &[]), Err(Refusal::Tag));
        assert_eq!(labels(&["a\nb"], &[]), Err(Refusal::Tag));
        for key in ["", "a b", "ä", &long(64)] {
            assert_eq!(labels(&[], &[(key, "")]), Err(Refusal::MetaKey), "{key}");
        }
        assert_eq!(labels(&[], &[("a", &long(1025))]), Err(Refusal::MetaValue));
        assert_eq!(labels(&[], &[("a", "\u{85}")]), Err(Refusal::MetaValue));
        let twice = labels(&[], &[("a", "1"), ("a", "1")]);
        assert_eq!(twice, Err(Refusal::MetaTwice("a".into())));
        let numbers: Vec<String> = (0..65).map(|number| number.to_string()).collect();
        let tags: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let pairs: Vec<(&str, &str)> = tags.iter().map(|&tag| (tag, "")).collect();
        assert!(labels(&tags[..64], &pairs[..64]).is_ok());
        assert_eq!(labels(&tags, &[]), Err(Refusal::TooManyLabels));
        assert_eq!(labels(&[], &pairs), Err(Refusal::TooManyLabels));
        let kib = long(1024);
        let four = [("a", &*kib), ("b", &*kib), ("c", &*kib)];
        assert!(labels(&[&long(255), &long(254)], &four).is_ok());
        let all = [four.as_slice(), &[("d", &kib)]].concat();
        assert_eq!(labels(&[], &all), Err(Refusal::TooManyLabels));
    }

    #[test]
    fn tags_are_a_set_in_their_order_and_a_filter_asks_for_some_of_them() {
        let own = labels(&["b", "a", "b"], &[("k", "v"), ("e", "")]).unwrap();
        assert_eq!(
            serde_json::to_string(&own).unwrap(),
            r#"{"tags":["b","a"],"meta":{"k":"v","e":""}}"#
        );
        for (tags, pairs, contains) in [
            (&[][..], &[][..], true),
            (&["a"], &[("e", "")], true),
            (&["a", "c"], &[], false),
            (&[], &[("k", "w")], false),
            (&[], &[("v", "k")], false),
        ] {
            let wanted = labels(tags, pairs).unwrap();
            assert_eq!(own.contains(&wanted), contains);
            let text = serde_json::to_string(&own).unwrap();
            let read: Labels = serde_json::from_str(&text).unwrap();
            assert_eq!((&read, read.contains(&wanted)), (&own, contains));
        }
    }
}
