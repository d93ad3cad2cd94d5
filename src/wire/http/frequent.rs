//! The request that nearly all are where clients ask again and again, in its usual form: a `GET` with the type
//! as its only parameter.
//!
//! A client sends the same fields with each request. Those of the last one are kept if they ask for nothing
//! special, and a request that has the same bytes for its fields means the same by them.

use crate::ascii::graphic_len;
use crate::limits::{HTTP_FIELDS_KEPT_LEN_MAX, LINE_LEN_MAX};
use crate::message::{Command, Credential, Frequent, Request};
use crate::wire::Decoded;

use super::head::{BodyLen, Head};

/// The front of a query in its usual form, and what is behind the type.
const QUERY: &[u8] = b"GET /api/query?type=";
const BEHIND_TYPE: &[u8] = b" HTTP/1.1\r\n";

/// The fields of the last request and the empty line behind them, if they are usual ones; else nothing.
#[derive(Debug, Default)]
pub(super) struct UsualFields(Box<[u8]>);

impl UsualFields {
    /// Keeps what is behind the first line of the head, if that line begins as a query does in its usual form,
    /// so that the fields alone tell the host; if the request was understood; and if its fields have the answer
    /// sent as most have it and show no token. Forgets what was kept if not: what a session has shown is what
    /// its last request has shown.
    pub(super) fn note(&mut self, head: &Head<'_>, bytes: &[u8], decoded: &Decoded<'_>) {
        let is_query = matches!(
            decoded,
            Decoded::Command(Command {
                credential: Credential::OfMessage(None),
                request: Request::Query { .. },
            })
        );
        let is_usual = is_query
            && bytes.starts_with(QUERY)
            && head.keep_alive
            && head.body == BodyLen::Known(0)
            && !head.expects_continue;
        let fields = bytes.split_inclusive(|&byte| byte == b'\n').next();
        let fields = fields.map_or(bytes, |line| &bytes[line.len()..]);
        if !is_usual || fields.len() > HTTP_FIELDS_KEPT_LEN_MAX {
            self.forget();
        } else if *self.0 != *fields {
            self.0 = fields.into();
        }
    }

    pub(super) fn forget(&mut self) {
        self.0 = Box::default();
    }

    /// The query at the front of the input, with the bytes that it takes, if it has the fields that are kept.
    #[inline]
    pub(super) fn query<'a>(&self, input: &'a [u8]) -> Option<(Frequent<'a>, usize)> {
        if self.0.is_empty() {
            return None;
        }
        let rest = input.strip_prefix(QUERY)?;
        let (name, rest) = rest.split_at(graphic_len(&rest[..rest.len().min(LINE_LEN_MAX)]));
        // These bytes mean something else than themselves.
        let is_plain = |may, byte: &u8| may & !matches!(byte, b'%' | b'+' | b'&' | b'#');
        let fields = rest.strip_prefix(BEHIND_TYPE)?;
        let is_usual = name.iter().fold(true, is_plain) && fields.starts_with(&self.0);
        let len = QUERY.len() + name.len() + BEHIND_TYPE.len() + self.0.len();
        is_usual.then_some((Frequent::Query(name), len))
    }
}
