//! What etcd answers, in the forms of all its versions: numbers as text or not, names in snake or
//! camel case, what is zero left out.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};

/// A key with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct KeyValue {
    /// The key.
    #[serde(deserialize_with = "bytes")]
    pub key: Vec<u8>,
    /// The value.
    #[serde(default, deserialize_with = "bytes")]
    pub value: Vec<u8>,
    /// The revision of its first put since it was absent.
    #[serde(default, alias = "createRevision", deserialize_with = "number")]
    pub create_revision: u64,
    /// The revision of its last put, or of its removal.
    #[serde(default, alias = "modRevision", deserialize_with = "number")]
    pub mod_revision: u64,
    /// The lease that it goes with; 0 for none.
    #[serde(default, deserialize_with = "number")]
    pub lease: i64,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key was put.
    Put(KeyValue),
    /// A key was removed, with its revision and without a value.
    Delete(KeyValue),
}

impl Event {
    /// The key that was put or removed.
    #[must_use]
    pub fn key_value(&self) -> &KeyValue {
        match self {
            Event::Put(pair) | Event::Delete(pair) => pair,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "UPPERCASE")]
        enum Kind {
            #[default]
            Put,
            Delete,
        }
        #[derive(Deserialize)]
        struct Form {
            #[serde(default, rename = "type")]
            kind: Kind,
            kv: KeyValue,
        }
        let form = Form::deserialize(from)?;
        Ok(match form.kind {
            Kind::Put => Event::Put(form.kv),
            Kind::Delete => Event::Delete(form.kv),
        })
    }
}

/// Where an answer comes from, and of when it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(alias = "clusterId", deserialize_with = "number")]
    pub(super) cluster_id: u64,
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
    #[serde(alias = "raftTerm", deserialize_with = "number")]
    pub(super) raft_term: u64,
}

/// The answer to a call, without its elements.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    pub(super) header: Header,
    /// Whether all guards of a transaction have held.
    pub(super) succeeded: bool,
    /// There are further keys behind this page.
    pub(super) more: bool,
    /// All keys of the range.
    #[serde(deserialize_with = "number")]
    pub(super) count: u64,
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) lease: i64,
    /// Seconds.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(super) ttl: u64,
    pub(super) token: String,
    #[serde(rename = "etcdserver")]
    pub(super) version: String,
}

/// A line of a stream, without its elements.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line {
    pub(super) result: LineResult,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LineResult {
    pub(super) header: Header,
    pub(super) created: bool,
    pub(super) canceled: bool,
    #[serde(alias = "compactRevision", deserialize_with = "number")]
    pub(super) compact_revision: u64,
    #[serde(alias = "cancelReason")]
    pub(super) cancel_reason: String,
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) lease: i64,
    /// Seconds; 0 where the lease is lost.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(super) ttl: u64,
}

/// One answer of a transaction: what has become of a write.
#[derive(Debug, Deserialize)]
pub(super) struct NestedAnswer {
    #[serde(alias = "responseTxn")]
    pub(super) response_txn: NestedResult,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NestedResult {
    pub(super) succeeded: bool,
    responses: Vec<NestedRange>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NestedRange {
    #[serde(alias = "responseRange")]
    response_range: RangeResult,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RangeResult {
    kvs: Vec<KeyValue>,
}

impl NestedResult {
    /// What the key has instead, where the guard has failed.
    pub(super) fn found(self) -> Option<KeyValue> {
        let range = self.responses.into_iter().next()?;
        range.response_range.kvs.into_iter().next()
    }
}

/// A number, or a text with its digits.
fn number<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<T, D::Error> {
    struct Digits<T>(PhantomData<T>);
    impl<T: FromStr> Visitor<'_> for Digits<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<T, E> {
            digits.parse().map_err(|_| E::custom("no whole number"))
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(itoa::Buffer::new().format(number))
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(itoa::Buffer::new().format(number))
        }
    }
    from.deserialize_any(Digits(PhantomData))
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = Cow::<str>::deserialize(from)?;
    STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_text_or_not_names_in_both_cases_and_what_is_zero_is_left_out() {
        let expected = KeyValue {
            key: b"/d/a".to_vec(),
            value: b"{}".to_vec(),
            create_revision: 2,
            mod_revision: 3,
            lease: -1,
        };
        for text in [
            r#"{"key":"L2QvYQ==","create_revision":"2","mod_revision":"3","version":"1","value":"e30=","lease":"-1"}"#,
            r#"{"key":"L2QvYQ==","createRevision":2,"modRevision":3,"value":"e30=","lease":-1}"#,
        ] {
            let read: KeyValue = serde_json::from_str(text).expect(text);
            assert_eq!(read, expected);
            let event = serde_json::from_str::<Event>(&format!(r#"{{"kv":{text}}}"#));
            assert_eq!(event.expect(text), Event::Put(expected.clone()));
        }
        let gone = r#"{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"18446744073709551615"}}"#;
        let gone: Event = serde_json::from_str(gone).expect("an event");
        assert_eq!(gone.key_value().mod_revision, u64::MAX);
        assert!(matches!(gone, Event::Delete(_)));
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for text in [
            r#"{"kv":{"key":"?"}}"#,
            r#"{"kv":{"value":"YQ=="}}"#,
            r#"{"type":"MOVE","kv":{"key":"YQ=="}}"#,
            r#"{"kv":{"key":"YQ==","mod_revision":"x"}}"#,
            r#"{"kv":{"key":"YQ==","mod_revision":1.5}}"#,
            "1",
        ] {
            assert!(serde_json::from_str::<Event>(text).is_err(), "{text}");
        }
    }
}
