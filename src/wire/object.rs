//! A strict reader of JSON objects: a duplicate key is an error, even an otherwise ignored one, and
//! every string must be valid text. Strings without escapes are borrowed from the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::message::{Refusal, parse_port};

/// The keys and values of an object, sorted by key. The whole object is read, so that a duplicate key
/// is found wherever it is.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// A value, as far as frames use it.
#[derive(Debug)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(u64),
    Flag(bool),
    /// The same as no value.
    Null,
    /// An array of nothing but texts.
    Texts(Vec<Cow<'a, str>>),
    /// An object of nothing but texts, in their order.
    Pairs(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    /// Another number, array or object.
    Other,
}

impl<'a> Object<'a> {
    /// Reads an object and nothing else. `serde_json` limits the depth of nesting.
    ///
    /// # Errors
    /// `not_an_object` when it is not one, or a refusal that names a duplicate key.
    pub(super) fn parse(bytes: &'a [u8], not_an_object: &'static str) -> Result<Self, Refusal> {
        let mut object: Object<'a> =
            serde_json::from_slice(bytes).map_err(|_| Refusal::Frame(not_an_object))?;
        object.0.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if object.0.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal::Frame("a key is given twice"));
        }
        Ok(object)
    }

    /// Puts a text under `key` where there is no value.
    pub(super) fn set_default(&mut self, key: &'static str, text: &'static str) {
        let text = Value::Text(Cow::Borrowed(text));
        match self.position(key) {
            Some(index) if matches!(self.0[index].1, Value::Null) => self.0[index].1 = text,
            Some(_) => {}
            None => {
                let place = self.0.partition_point(|(other, _)| **other < *key);
                self.0.insert(place, (Cow::Borrowed(key), text));
            }
        }
    }

    /// Whether there is a value under `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.position(key)
            .is_some_and(|index| !matches!(self.0[index].1, Value::Null))
    }

    /// The text under `key`, if there is one.
    ///
    /// # Errors
    /// `not_text` when the value is something else.
    pub(super) fn text(
        &mut self,
        key: &str,
        not_text: &'static str,
    ) -> Result<Option<Cow<'a, str>>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::Frame(not_text)),
        }
    }

    /// The integer under `key`, 0 or more, if there is one.
    ///
    /// # Errors
    /// `not_an_integer` when the value is something else.
    pub(super) fn integer(
        &mut self,
        key: &str,
        not_an_integer: Refusal,
    ) -> Result<Option<u64>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Integer(integer)) => Ok(Some(integer)),
            Some(_) => Err(not_an_integer),
        }
    }

    /// The port under `key`, if there is one: an integer, or a string of its digits. A number that is no
    /// port is for the caller to refuse.
    ///
    /// # Errors
    /// When the value is something else.
    pub(super) fn port(&mut self, key: &str) -> Result<Option<u64>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Integer(port)) => Ok(Some(port)),
            Some(Value::Text(digits)) => Ok(Some(parse_port(digits.as_bytes()))),
            Some(_) => Err(Refusal::Port),
        }
    }

    /// The `true` or `false` under `key`, if there is one.
    ///
    /// # Errors
    /// `not_a_flag` when the value is something else.
    pub(super) fn flag(
        &mut self,
        key: &str,
        not_a_flag: &'static str,
    ) -> Result<Option<bool>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(flag)),
            Some(_) => Err(Refusal::Frame(not_a_flag)),
        }
    }

    /// The array of texts under `key`, if there is one.
    ///
    /// # Errors
    /// `not_texts` when the value is something else.
    pub(super) fn texts(
        &mut self,
        key: &str,
        not_texts: &'static str,
    ) -> Result<Option<Vec<Cow<'a, str>>>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(Refusal::Frame(not_texts)),
        }
    }

    /// The object of texts under `key`, if there is one.
    ///
    /// # Errors
    /// `not_pairs` when the value is something else.
    #[allow(clippy::type_complexity, reason = "pairs of a key and a value")]
    pub(super) fn pairs(
        &mut self,
        key: &str,
        not_pairs: &'static str,
    ) -> Result<Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Pairs(pairs)) => Ok(Some(pairs)),
            Some(_) => Err(Refusal::Frame(not_pairs)),
        }
    }

    /// Takes the value under `key`, if there is one.
    fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let index = self.position(key)?;
        match std::mem::replace(&mut self.0[index].1, Value::Null) {
            Value::Null => None,
            value => Some(value),
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.0
            .binary_search_by(|(other, _)| other.as_ref().cmp(key))
            .ok()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A key that is borrowed where possible; the `Deserialize` of `Cow` always copies.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(ValueVisitor)? {
            Value::Text(text) => Ok(Key(text)),
            _ => Err(serde::de::Error::custom("a key is a string")),
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(integer))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value<'de>, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let mut texts = Some(Vec::new());
        while let Some(element) = seq.next_element::<Value<'de>>()? {
            match (element, &mut texts) {
                (Value::Text(text), Some(texts)) => texts.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Value::Other, Value::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut pairs = Some(Vec::new());
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, Value<'de>>()? {
            match (value, &mut pairs) {
                (Value::Text(text), Some(pairs)) => pairs.push((key, text)),
                _ => pairs = None,
            }
        }
        Ok(pairs.map_or(Value::Other, Value::Pairs))
    }
}
