//! Why a request that came over HTTP was refused before it was run.

use std::borrow::Cow;

use super::{CloseReason, Code};
use crate::limits::{HTTP_BODY_LEN_MAX, HTTP_HEAD_LEN_MAX, HTTP_MS_MAX};

/// Why a request over HTTP was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpRefusal {
    /// The message is malformed, so its end is not known; the text says how.
    Malformed(&'static str),
    /// The head is too long, or has too many fields.
    HeadTooLong,
    /// The body is too long.
    BodyTooLong,
    /// The request was not complete in time.
    Overdue,
    /// A version other than 1.0 and 1.1.
    Version,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// An expectation other than `100-continue`.
    Expectation,
    /// The request names a host that is not this service.
    Host,
    /// The request comes from a web page of another origin.
    CrossOrigin,
    /// Nothing is at the path.
    NoRoute,
    /// The method is none of those at this path, which are these.
    Method(&'static [&'static str]),
    /// The path or the query is not UTF-8 without control characters, encoded once.
    Encoding,
    /// A parameter that the request does not have, as the client wrote it.
    UnknownParameter(Box<str>),
    /// A parameter that is missing, or has a wrong value; the text says which and what is taken.
    Parameter(&'static str),
    /// A filter expression, which is not implemented.
    Filter,
}

impl HttpRefusal {
    /// Why the session must close after this refusal, if it must: the next request cannot be found.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        match self {
            HttpRefusal::Overdue => Some(CloseReason::Incomplete),
            HttpRefusal::Malformed(_)
            | HttpRefusal::HeadTooLong
            | HttpRefusal::BodyTooLong
            | HttpRefusal::Version
            | HttpRefusal::TransferCoding
            | HttpRefusal::Expectation => Some(CloseReason::Protocol),
            HttpRefusal::Host
            | HttpRefusal::CrossOrigin
            | HttpRefusal::NoRoute
            | HttpRefusal::Method(_)
            | HttpRefusal::Encoding
            | HttpRefusal::UnknownParameter(_)
            | HttpRefusal::Parameter(_)
            | HttpRefusal::Filter => None,
        }
    }

    /// The kind of the refusal.
    pub(super) const fn code(&self) -> Code {
        match self {
            HttpRefusal::HeadTooLong | HttpRefusal::BodyTooLong => Code::TooLarge,
            HttpRefusal::Version
            | HttpRefusal::TransferCoding
            | HttpRefusal::Expectation
            | HttpRefusal::Method(_) => Code::Unsupported,
            HttpRefusal::NoRoute => Code::NotFound,
            HttpRefusal::Host | HttpRefusal::CrossOrigin => Code::Forbidden,
            HttpRefusal::Malformed(_)
            | HttpRefusal::Overdue
            | HttpRefusal::Encoding
            | HttpRefusal::UnknownParameter(_)
            | HttpRefusal::Parameter(_)
            | HttpRefusal::Filter => Code::Invalid,
        }
    }

    pub(super) fn reason(&self) -> Cow<'static, str> {
        let reason = match self {
            HttpRefusal::Malformed(wrong) | HttpRefusal::Parameter(wrong) => wrong,
            HttpRefusal::HeadTooLong => {
                let kib = HTTP_HEAD_LEN_MAX / 1024;
                return format!("the head is longer than {kib} KiB or has more than 100 fields")
                    .into();
            }
            HttpRefusal::BodyTooLong => {
                let kib = HTTP_BODY_LEN_MAX / 1024;
                return format!("the body is longer than {kib} KiB").into();
            }
            HttpRefusal::Overdue => {
                let seconds = HTTP_MS_MAX / 1000;
                return format!("the request is not complete {seconds} s after its first byte")
                    .into();
            }
            HttpRefusal::Version => "HTTP is spoken here in its versions 1.0 and 1.1",
            HttpRefusal::TransferCoding => "the only transfer coding that is taken is chunked",
            HttpRefusal::Expectation => "the only expectation that is taken is 100-continue",
            HttpRefusal::Host => {
                "this service does not have that host name: --http-host gives it one"
            }
            HttpRefusal::CrossOrigin => "web pages of other origins are not answered",
            HttpRefusal::NoRoute => "nothing is here: / and /openapi.json show what there is",
            HttpRefusal::Method(allowed) => {
                return format!("this path takes {} only", allowed.join(", ")).into();
            }
            HttpRefusal::Encoding => {
                "the path or the query is not percent-encoded UTF-8 without control characters"
            }
            HttpRefusal::UnknownParameter(name) => {
                return format!("unknown parameter: {name}").into();
            }
            HttpRefusal::Filter => "filter is not implemented",
        };
        Cow::Borrowed(reason)
    }
}
