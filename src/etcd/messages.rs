//! What etcd is asked, as the bytes of HTTP/1.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::answers::KeyValue;
use super::failure::Failure;
use crate::limits::{ETCD_PAGE_KEYS, ETCD_WRITES_MAX};

/// What the client is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// These writes, each under its guard and all at one revision; at most [`ETCD_WRITES_MAX`], of
    /// different keys.
    Apply(Vec<Write>),
    /// This key goes, as it is. etcd takes that also while its database is full, unlike a transaction.
    Remove(Vec<u8>),
    /// A new lease of so many seconds.
    Grant(u64),
    /// The end of this lease and of all its keys.
    Revoke(i64),
    /// The number of keys. Where it is another one than expected, a change was missed: all keys are loaded
    /// anew behind the answer.
    Count(Count),
}

/// The keys to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The first key.
    pub from: Vec<u8>,
    /// The key behind the last one.
    pub end: Vec<u8>,
    /// The revision at which they are counted.
    pub revision: u64,
    /// How many there should be.
    pub expected: u64,
}

/// A write that happens only where the key is as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Vec<u8>,
    /// The revision of its last put; 0 where it must be absent.
    pub guard: u64,
    /// What happens to it.
    pub change: Change,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key gets a value, under a lease, or for good where that is 0.
    Put {
        /// The value.
        value: Vec<u8>,
        /// The lease.
        lease: i64,
    },
    /// The key goes.
    Delete,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What has become of each write, in their order. What was applied has this revision.
    Applied(u64, Vec<WriteOutcome>),
    /// The key has gone, at this revision or before.
    Removed(u64),
    /// A lease was granted, for so many seconds.
    Granted(i64, u64),
    /// The lease has ended.
    Revoked,
    /// There are so many keys.
    Counted(u64),
    /// Nothing was applied.
    Failed(Failure),
    /// Nobody knows whether it was applied: the connection ended, or time ran out.
    Unknown,
}

/// What has become of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was applied.
    Done,
    /// Its guard has failed: the key has this value, or is absent.
    Found(Option<KeyValue>),
}

/// Whom requests are for and who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) host: &'a str,
    pub(super) token: Option<&'a str>,
}

impl Envelope<'_> {
    /// The question for the version, which needs no token.
    pub(super) fn version(self) -> Vec<u8> {
        format!("GET /version HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).into_bytes()
    }

    /// A request with a body.
    pub(super) fn post(self, path: &str, body: &str) -> Vec<u8> {
        let len = body.len();
        let mut request = self.head(path);
        request.extend(format!("Content-Length: {len}\r\n\r\n{body}").bytes());
        request
    }

    /// The beginning of a request whose body goes on while its answer comes. Without `Connection:
    /// close` the gateway waits for the end of the body before it answers.
    pub(super) fn open(self, path: &str, first: &str) -> Vec<u8> {
        let mut request = self.head(path);
        request.extend(b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        request.extend(chunk(first));
        request
    }

    /// A head without its end. Where there is no leader, the request fails at once instead of after
    /// 7 s.
    fn head(self, path: &str) -> Vec<u8> {
        let host = self.host;
        let mut head =
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nGrpc-Metadata-hasleader: true\r\n");
        if let Some(token) = self.token {
            head += &format!("Authorization: {token}\r\n");
        }
        head.into_bytes()
    }
}

/// A part of such a body.
pub(super) fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

impl Call {
    /// The path and the body. Writes are applied together where all their guards hold, and else none
    /// is: in most cases that is how it is, and costs etcd two thirds of what [each by itself]
    /// (Self::apart) costs.
    pub(super) fn request(&self) -> (&'static str, String) {
        let (path, body) = match self {
            Call::Apply(writes) => {
                debug_assert!(writes.len() <= ETCD_WRITES_MAX);
                let guards: Vec<Value> = writes.iter().map(Write::guard).collect();
                let changes: Vec<Value> = writes.iter().map(Write::change).collect();
                (
                    "/v3/kv/txn",
                    json!({ "compare": guards, "success": changes }),
                )
            }
            Call::Remove(key) => ("/v3/kv/deleterange", json!({ "key": encoded(key) })),
            Call::Grant(seconds) => ("/v3/lease/grant", json!({ "TTL": seconds.to_string() })),
            Call::Revoke(lease) => ("/v3/lease/revoke", json!({ "ID": lease.to_string() })),
            Call::Count(Count {
                from,
                end,
                revision,
                ..
            }) => ("/v3/kv/range", count(from, end, *revision)),
        };
        (path, body.to_string())
    }

    /// The writes, each where its own guard holds; `None` of other calls.
    pub(super) fn apart(&self) -> Option<(&'static str, String)> {
        let Call::Apply(writes) = self else {
            return None;
        };
        let nested: Vec<Value> = writes.iter().map(Write::nested).collect();
        Some(("/v3/kv/txn", json!({ "success": nested }).to_string()))
    }
}

impl Write {
    fn guard(&self) -> Value {
        let (key, revision) = (encoded(&self.key), self.guard.to_string());
        json!({"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision})
    }

    fn change(&self) -> Value {
        let key = encoded(&self.key);
        match &self.change {
            Change::Put { value, lease } => json!({
                "request_put": {"key": key, "value": encoded(value), "lease": lease.to_string()}
            }),
            Change::Delete => json!({ "request_delete_range": {"key": key} }),
        }
    }

    /// The write as a transaction of its own, so that one guard that fails does not fail the
    /// others.
    fn nested(&self) -> Value {
        json!({"request_txn": {
            "compare": [self.guard()],
            "success": [self.change()],
            "failure": [{"request_range": {"key": encoded(&self.key)}}],
        }})
    }
}

/// One key, read from a quorum.
pub(super) fn single(key: &[u8]) -> String {
    json!({ "key": encoded(key) }).to_string()
}

/// The order of the keys of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Key,
    /// By the revision at which each was created.
    Age,
}

/// A page of the keys from `from` to before `end`, as they were at a revision, or are now where it
/// is 0.
pub(super) fn page(from: &[u8], end: &[u8], revision: u64, order: Order) -> String {
    let mut page = json!({
        "key": encoded(from),
        "range_end": encoded(end),
        "limit": ETCD_PAGE_KEYS.to_string(),
        "revision": revision.to_string(),
    });
    // etcd keeps them by key, so that order needs no sorting.
    if order == Order::Age {
        page["sort_order"] = "ASCEND".into();
        page["sort_target"] = "CREATE".into();
    }
    page.to_string()
}

/// The number of the keys from `from` to before `end`, at a revision as for [`page`].
pub(super) fn count(from: &[u8], end: &[u8], revision: u64) -> Value {
    json!({
        "key": encoded(from),
        "range_end": encoded(end),
        "revision": revision.to_string(),
        "count_only": true,
    })
}

/// The watch for all changes from this revision on.
pub(super) fn watch(from: &[u8], end: &[u8], revision: u64) -> String {
    json!({"create_request": {
        "key": encoded(from),
        "range_end": encoded(end),
        "start_revision": revision.to_string(),
    }})
    .to_string()
}

/// What a living watch answers.
pub(super) const PROBE: &str = r#"{"progress_request":{}}"#;

/// The request to prolong leases, one object each.
pub(super) fn prolong(leases: impl Iterator<Item = i64>) -> String {
    leases
        .map(|lease| json!({ "ID": lease.to_string() }).to_string())
        .collect()
}

/// The request for a token.
pub(super) fn authenticate(name: &str, password: &str) -> String {
    json!({ "name": name, "password": password }).to_string()
}

fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_guarded_together_or_each_in_a_transaction_of_its_own() {
        let put = Write {
            key: b"/d/a".to_vec(),
            guard: 0,
            change: Change::Put {
                value: b"{}".to_vec(),
                lease: 7,
            },
        };
        let delete = Write {
            key: b"/d/b".to_vec(),
            guard: 9,
            change: Change::Delete,
        };
        let call = Call::Apply(vec![put, delete]);
        let expected = json!({
            "compare": [
                {"key": "L2QvYQ==", "target": "MOD", "result": "EQUAL", "mod_revision": "0"},
                {"key": "L2QvYg==", "target": "MOD", "result": "EQUAL", "mod_revision": "9"},
            ],
            "success": [
                {"request_put": {"key": "L2QvYQ==", "value": "e30=", "lease": "7"}},
                {"request_delete_range": {"key": "L2QvYg=="}},
            ],
        });
        assert_eq!(call.request(), ("/v3/kv/txn", expected.to_string()));
        let expected = json!({"success": [
            {"request_txn": {
                "compare": [{"key": "L2QvYQ==", "target": "MOD", "result": "EQUAL", "mod_revision": "0"}],
                "success": [{"request_put": {"key": "L2QvYQ==", "value": "e30=", "lease": "7"}}],
                "failure": [{"request_range": {"key": "L2QvYQ=="}}],
            }},
            {"request_txn": {
                "compare": [{"key": "L2QvYg==", "target": "MOD", "result": "EQUAL", "mod_revision": "9"}],
                "success": [{"request_delete_range": {"key": "L2QvYg=="}}],
                "failure": [{"request_range": {"key": "L2QvYg=="}}],
            }},
        ]});
        assert_eq!(call.apart(), Some(("/v3/kv/txn", expected.to_string())));
        assert_eq!(Call::Grant(15).apart(), None);
    }

    #[test]
    fn a_request_says_whom_it_is_for_who_asks_and_that_it_needs_a_leader() {
        let envelope = Envelope {
            host: "10.0.0.1:2379",
            token: Some("t.1"),
        };
        let post = envelope.post("/v3/lease/grant", r#"{"TTL":"15"}"#);
        let expected = "POST /v3/lease/grant HTTP/1.1\r\nHost: 10.0.0.1:2379\r\n\
            Grpc-Metadata-hasleader: true\r\nAuthorization: t.1\r\n\
            Content-Length: 12\r\n\r\n{\"TTL\":\"15\"}";
        assert_eq!(String::from_utf8_lossy(&post), expected);
        let open = String::from_utf8(envelope.open("/v3/watch", PROBE)).expect("text");
        assert!(
            open.contains("\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n{")
        );
    }
}
