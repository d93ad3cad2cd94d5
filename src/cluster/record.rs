//! The values of the keys: JSON that people can read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::NodeId;
use crate::message::{Labels, ServiceAddress, Ttl, check_ip};

/// A registration, as all nodes know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the service can be reached.
    pub address: ServiceAddress,
    /// The node that owns it.
    pub node: NodeId,
    /// Milliseconds that it lives without a heartbeat.
    pub ttl_ms: u32,
    /// When it was registered, in milliseconds since 1970 by the clock of the node at which it was: it
    /// tells one registration from another one of the same UUID.
    pub since: i64,
    /// Whether a connection holds it.
    pub held: bool,
    /// Its tags and metadata, if it has any.
    pub labels: Option<Arc<Labels>>,
}

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    /// The address.
    a: Cow<'a, str>,
    /// The node.
    n: Cow<'a, str>,
    /// The TTL in seconds.
    t: u64,
    /// Since when.
    s: i64,
    /// Whether it is held.
    #[serde(default, skip_serializing_if = "is_false")]
    h: bool,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    g: Vec<Cow<'a, str>>,
    /// Metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    m: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Record {
    /// The value.
    pub(super) fn value(&self) -> Vec<u8> {
        let address = std::net::SocketAddr::new(self.address.ip, self.address.port.get());
        let labels = self.labels.as_deref();
        let form = Form {
            a: address.to_string().into(),
            n: self.node.to_string().into(),
            t: u64::from(self.ttl_ms).div_ceil(1_000),
            s: self.since,
            h: self.held,
            g: labels.map_or_else(Vec::new, |labels| {
                labels.tags().iter().map(|tag| (&**tag).into()).collect()
            }),
            m: labels.map_or_else(BTreeMap::new, |labels| {
                let pairs = labels.meta().iter();
                pairs
                    .map(|(key, value)| ((&**key).into(), (&**value).into()))
                    .collect()
            }),
        };
        serde_json::to_vec(&form).unwrap_or_default()
    }

    /// Reads a value, which anybody may have written.
    pub(super) fn parse(value: &[u8]) -> Option<Record> {
        let form: Form<'_> = serde_json::from_slice(value).ok()?;
        let address: std::net::SocketAddr = form.a.parse().ok()?;
        let mut labels = Labels::default();
        for tag in &form.g {
            labels.add_tag(tag).ok()?;
        }
        for (key, value) in &form.m {
            labels.add_pair(key, value).ok()?;
        }
        Some(Record {
            address: ServiceAddress {
                ip: check_ip(address.ip()).ok()?,
                port: address.port().try_into().ok()?,
            },
            node: NodeId::parse(&form.n)?,
            ttl_ms: Ttl::new(form.t)?.duration().as_millis().try_into().ok()?,
            since: form.s,
            held: form.h,
            labels: (!labels.is_empty()).then(|| Arc::new(labels)),
        })
    }
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It writes what it owns.
    Putting,
    /// All that it owns is in etcd.
    Ready,
    /// It stops.
    Leaving,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeValue {
    /// Its name, for people.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) state: NodeState,
    /// The revision up to which it had seen all changes.
    pub(super) seen: u64,
}

/// What the cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClusterValue {
    pub(super) name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Record {
        Record {
            address: ServiceAddress::new("10.0.0.7", 80).expect("an address"),
            node: NodeId(0xa),
            ttl_ms: 30_000,
            since: 1_700_000_000_000,
            held: false,
            labels: None,
        }
    }

    #[test]
    fn a_value_says_what_it_must_and_what_is_not_usual() {
        assert_eq!(
            String::from_utf8_lossy(&plain().value()),
            r#"{"a":"10.0.0.7:80","n":"000000000000000a","t":30,"s":1700000000000}"#
        );
        let mut labels = Labels::default();
        labels.add_tag("blue").expect("a tag");
        labels.add_pair("zone", "1").expect("a pair");
        let held = Record {
            address: ServiceAddress::new("fd00::1", 80).expect("an address"),
            held: true,
            labels: Some(Arc::new(labels)),
            ..plain()
        };
        assert_eq!(
            String::from_utf8_lossy(&held.value()),
            r#"{"a":"[fd00::1]:80","n":"000000000000000a","t":30,"s":1700000000000,"h":true,"g":["blue"],"m":{"zone":"1"}}"#
        );
        for record in [plain(), held] {
            assert_eq!(Record::parse(&record.value()), Some(record));
        }
    }

    #[test]
    fn a_value_that_nobody_could_use_is_none() {
        let value = r#"{"a":"10.0.0.7:80","n":"000000000000000a","t":30,"s":1}"#;
        assert!(Record::parse(value.as_bytes()).is_some());
        for (from, to) in [
            ("10.0.0.7:80", "10.0.0.7:0"),
            ("10.0.0.7", "0.0.0.0"),
            ("10.0.0.7", "example.org"),
            ("000000000000000a", "a"),
            ("30", "0"),
            ("30", "86401"),
            ("30", "-1"),
            (r#""s":1"#, r#""s":"x""#),
            (r#","s":1"#, ""),
            (r#""s":1"#, r#""s":1,"g":[""]"#),
            (r#""s":1"#, r#""s":1,"m":{" ":""}"#),
            ("{", ""),
        ] {
            let wrong = value.replace(from, to);
            assert_eq!(Record::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
