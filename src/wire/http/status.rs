//! The status of a response, and which one a refusal has.

use crate::message::{Code, HttpRefusal, Refusal};

/// A status code (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    NotModified,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    ExpectationFailed,
    MisdirectedRequest,
    FieldsTooLarge,
    NotImplemented,
    Unavailable,
    VersionNotSupported,
}

impl Status {
    /// The first line of a response.
    pub(super) const fn line(self) -> &'static str {
        match self {
            Status::Ok => "HTTP/1.1 200 OK\r\n",
            Status::NotModified => "HTTP/1.1 304 Not Modified\r\n",
            Status::BadRequest => "HTTP/1.1 400 Bad Request\r\n",
            Status::Unauthorized => "HTTP/1.1 401 Unauthorized\r\n",
            Status::Forbidden => "HTTP/1.1 403 Forbidden\r\n",
            Status::NotFound => "HTTP/1.1 404 Not Found\r\n",
            Status::MethodNotAllowed => "HTTP/1.1 405 Method Not Allowed\r\n",
            Status::RequestTimeout => "HTTP/1.1 408 Request Timeout\r\n",
            Status::ContentTooLarge => "HTTP/1.1 413 Content Too Large\r\n",
            Status::ExpectationFailed => "HTTP/1.1 417 Expectation Failed\r\n",
            Status::MisdirectedRequest => "HTTP/1.1 421 Misdirected Request\r\n",
            Status::FieldsTooLarge => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
            Status::NotImplemented => "HTTP/1.1 501 Not Implemented\r\n",
            Status::Unavailable => "HTTP/1.1 503 Service Unavailable\r\n",
            Status::VersionNotSupported => "HTTP/1.1 505 HTTP Version Not Supported\r\n",
        }
    }

    /// The status of a response that carries this refusal.
    pub(super) const fn of(refusal: &Refusal) -> Status {
        match refusal {
            Refusal::Http(refusal) => Status::of_http(refusal),
            _ => match refusal.code() {
                Code::Invalid | Code::TooLarge | Code::Unsupported => Status::BadRequest,
                Code::Unauthenticated => Status::Unauthorized,
                Code::Full | Code::Busy | Code::NotReady => Status::Unavailable,
                Code::NotFound => Status::NotFound,
                Code::Forbidden => Status::Forbidden,
            },
        }
    }

    const fn of_http(refusal: &HttpRefusal) -> Status {
        match refusal {
            HttpRefusal::Malformed(_)
            | HttpRefusal::Encoding
            | HttpRefusal::UnknownParameter(_)
            | HttpRefusal::Parameter(_)
            | HttpRefusal::Filter => Status::BadRequest,
            HttpRefusal::HeadTooLong => Status::FieldsTooLarge,
            HttpRefusal::BodyTooLong => Status::ContentTooLarge,
            HttpRefusal::Overdue => Status::RequestTimeout,
            HttpRefusal::Version => Status::VersionNotSupported,
            HttpRefusal::TransferCoding => Status::NotImplemented,
            HttpRefusal::Expectation => Status::ExpectationFailed,
            HttpRefusal::Host => Status::MisdirectedRequest,
            HttpRefusal::CrossOrigin => Status::Forbidden,
            HttpRefusal::NoRoute => Status::NotFound,
            HttpRefusal::Method(_) => Status::MethodNotAllowed,
        }
    }
}
