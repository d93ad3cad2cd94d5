//! What etcd refuses, told by its code: the status of HTTP differs from version to version.

use serde::Deserialize;
use serde_json::Value;

/// A request that etcd has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code, of gRPC.
    pub code: u64,
    /// What etcd says.
    pub message: String,
}

/// What a failure means to who has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no such lease; nothing of the transaction was applied.
    NoLease,
    /// The database is full.
    Full,
    /// The revision was compacted, or is in the future.
    Compacted,
    /// The user, the password, the token or the rights are wrong.
    Credentials,
    /// There is no leader, or time has run out; a write may be applied nevertheless.
    Unavailable,
    /// The request itself is wrong.
    Refused,
}

impl Failure {
    /// What it means.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        let says = |word: &str| self.message.contains(word);
        match self.code {
            5 => FailureKind::NoLease,
            8 => FailureKind::Full,
            11 => FailureKind::Compacted,
            7 | 16 => FailureKind::Credentials,
            // Also a wrong password, and no token at all.
            3 if says("user") || says("auth") => FailureKind::Credentials,
            14 => FailureKind::Unavailable,
            2 | 4 if says("context deadline exceeded") || says("not a primary lessor") => {
                FailureKind::Unavailable
            }
            _ => FailureKind::Refused,
        }
    }

    /// The failure that a document tells, if it tells one. One of a stream lies inside of its
    /// `error`.
    pub(super) fn of_document(text: &[u8]) -> Option<Failure> {
        #[derive(Deserialize)]
        struct Told {
            error: Option<Value>,
            code: Option<u64>,
            #[serde(default)]
            message: String,
        }
        let told: Told = serde_json::from_slice(text).ok()?;
        let inner = told.error.as_ref();
        let member = |name: &str| inner.and_then(|error| error.get(name));
        let code = ["grpc_code", "code"].into_iter().find_map(member);
        let message = member("message").and_then(Value::as_str);
        Some(Failure {
            code: told.code.or(code.and_then(Value::as_u64))?,
            message: message.map_or(told.message, str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_as_each_version_tells_it_and_in_streams() {
        for text in [
            r#"{"error":"no","message":"no","code":11}"#,
            r#"{"error":"no","code":11,"message":"no"}"#,
            r#"{"code":11,"message":"no"}"#,
            r#"{"error":{"grpc_code":11,"http_code":400,"message":"no","http_status":"Bad Request"}}"#,
            r#"{"error":{"code":11,"message":"no"}}"#,
        ] {
            let failure = Failure::of_document(text.as_bytes()).expect(text);
            assert_eq!((failure.code, failure.message.as_str()), (11, "no"));
        }
        assert_eq!(Failure::of_document(br#"{"header":{}}"#), None);
        assert_eq!(Failure::of_document(b"404"), None);
    }

    #[test]
    fn the_code_and_not_the_status_decides_what_a_failure_means() {
        use FailureKind::{Compacted, Credentials, Full, NoLease, Refused, Unavailable};
        for (code, message, kind) in [
            (2, "context deadline exceeded", Unavailable),
            (2, "etcdserver: not a primary lessor", Unavailable),
            (2, "something", Refused),
            (3, "etcdserver: user name is empty", Credentials),
            (
                3,
                "etcdserver: authentication failed, invalid user ID or password",
                Credentials,
            ),
            (3, "etcdserver: duplicate key given in txn request", Refused),
            (4, "context deadline exceeded", Unavailable),
            (5, "etcdserver: requested lease not found", NoLease),
            (7, "etcdserver: permission denied", Credentials),
            (8, "etcdserver: mvcc: database space exceeded", Full),
            (
                11,
                "etcdserver: mvcc: required revision has been compacted",
                Compacted,
            ),
            (14, "etcdserver: no leader", Unavailable),
            (16, "etcdserver: invalid auth token", Credentials),
        ] {
            let message = message.to_owned();
            assert_eq!(Failure { code, message }.kind(), kind, "{code}");
        }
    }
}
