//! The head of a request (RFC 9112), read more strictly than the parser does: what two readers could
//! understand differently is refused.

use std::mem::MaybeUninit;

use memchr::memchr;

use super::{host, params};
use crate::limits::{HTTP_BODY_LEN_MAX, HTTP_FIELDS_MAX, HTTP_HEAD_LEN_MAX};
use crate::message::HttpRefusal;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    /// The path and the query, as they were sent.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) version: Version,
    /// Whether the connection goes on after the answer.
    pub(super) keep_alive: bool,
    /// The host and the port that the request is for.
    pub(super) authority: &'a str,
    pub(super) body: BodyLen,
    pub(super) expects_continue: bool,
    /// The web page that asks, if one does.
    pub(super) origin: Option<&'a str>,
    pub(super) is_cross_site: bool,
    pub(super) authorization: Option<&'a [u8]>,
    /// Consul's way to send a token.
    pub(super) consul_token: Option<&'a [u8]>,
    pub(super) accepts_events: bool,
    /// Whether the script of a page asks, and says so.
    pub(super) is_of_script: bool,
    pub(super) if_none_match: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// How the length of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLen {
    Known(usize),
    Chunked,
}

/// How far an incomplete head was searched for its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    searched: usize,
    line_start: usize,
}

impl Search {
    /// Whether a part of a head was searched.
    pub(super) fn has_begun(self) -> bool {
        self.searched > 0
    }

    /// Bytes of the head at the beginning of `input`, with the empty line that ends it; `None` when it has
    /// not arrived whole. Each line must end with CR LF: other readers differ about what else ends one.
    pub(super) fn end(&mut self, input: &[u8]) -> Result<Option<usize>, HttpRefusal> {
        while let Some(found) = memchr(b'\n', &input[self.searched..]) {
            let end = self.searched + found;
            if end >= HTTP_HEAD_LEN_MAX {
                return Err(HttpRefusal::HeadTooLong);
            }
            if end == 0 || input[end - 1] != b'\r' {
                return Err(HttpRefusal::Malformed("a line does not end with CR LF"));
            }
            let is_empty = end - 1 == self.line_start;
            (self.searched, self.line_start) = (end + 1, end + 1);
            if is_empty {
                *self = Search::default();
                return Ok(Some(end + 1));
            }
        }
        self.searched = input.len();
        if input.len() > HTTP_HEAD_LEN_MAX {
            return Err(HttpRefusal::HeadTooLong);
        }
        Ok(None)
    }
}

impl<'a> Head<'a> {
    /// Reads a whole head.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, HttpRefusal> {
        let mut fields = [const { MaybeUninit::uninit() }; HTTP_FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let status = request
            .parse_with_uninit_headers(bytes, &mut fields)
            .map_err(refusal)?;
        if status != httparse::Status::Complete(bytes.len()) {
            return Err(HttpRefusal::Malformed("the head ends before its end"));
        }
        let version = match request.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let target = request.path.unwrap_or_default();
        let mut head = Head::of_target(target)?;
        head.method = request.method.unwrap_or_default();
        head.version = version;
        head.keep_alive = version == Version::Http11;
        Fields::default().read(request.headers, &mut head)?;
        Ok(head)
    }

    /// Splits the target: a path, or with the host before it (RFC 9112 section 3.2).
    fn of_target(target: &'a str) -> Result<Self, HttpRefusal> {
        let may_stand = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        // One pass without a branch for each byte.
        if !target.bytes().fold(true, |may, byte| may & may_stand(byte)) {
            return Err(HttpRefusal::Malformed(
                "the target has a byte that must be encoded",
            ));
        }
        let http = "http://";
        let is_absolute = target
            .get(..http.len())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(http));
        let (authority, rest) = if is_absolute {
            let rest = &target[http.len()..];
            rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
        } else {
            ("", target)
        };
        let (path, query) = params::split_at_byte(rest, b'?').unwrap_or((rest, ""));
        let path = if is_absolute && path.is_empty() {
            "/"
        } else {
            path
        };
        let is_path = path.starts_with('/') || path == "*";
        if !is_path || (is_absolute && !host::is_authority(authority)) {
            return Err(HttpRefusal::Malformed("the target is not a path"));
        }
        Ok(Head {
            method: "",
            path,
            query,
            version: Version::Http11,
            keep_alive: true,
            authority,
            body: BodyLen::Known(0),
            expects_continue: false,
            origin: None,
            is_cross_site: false,
            authorization: None,
            consul_token: None,
            accepts_events: false,
            is_of_script: false,
            if_none_match: None,
        })
    }
}

fn refusal(error: httparse::Error) -> HttpRefusal {
    match error {
        httparse::Error::TooManyHeaders => HttpRefusal::HeadTooLong,
        httparse::Error::Version => HttpRefusal::Version,
        httparse::Error::HeaderName => HttpRefusal::Malformed("a field has a malformed name"),
        httparse::Error::HeaderValue => HttpRefusal::Malformed("a field has a malformed value"),
        _ => HttpRefusal::Malformed("the request line is malformed"),
    }
}

/// The fields that say where the message ends and whom it is for. Each may stand once.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    content_len: Option<usize>,
    is_chunked: bool,
}

impl<'a> Fields<'a> {
    fn read(
        mut self,
        fields: &[httparse::Header<'a>],
        head: &mut Head<'a>,
    ) -> Result<(), HttpRefusal> {
        for field in fields {
            self.take(field.name, field.value, head)?;
        }
        match self.host {
            // The host of the target counts where it has one.
            Some(host) if head.authority.is_empty() => head.authority = host,
            Some(_) => {}
            None if head.version == Version::Http11 => {
                return Err(HttpRefusal::Malformed("there is no host field"));
            }
            None => {}
        }
        head.body = match (self.content_len, self.is_chunked) {
            (Some(_), true) => {
                return Err(HttpRefusal::Malformed(
                    "the length of the body is told twice",
                ));
            }
            (None, true) if head.version == Version::Http10 => {
                return Err(HttpRefusal::Malformed("HTTP/1.0 has no transfer codings"));
            }
            (None, true) => BodyLen::Chunked,
            (len, false) => BodyLen::Known(len.unwrap_or(0)),
        };
        Ok(())
    }

    fn take(
        &mut self,
        name: &str,
        value: &'a [u8],
        head: &mut Head<'a>,
    ) -> Result<(), HttpRefusal> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("host") {
            let host = text(value).filter(|host| host::is_authority(host));
            let host = host.ok_or(HttpRefusal::Malformed("the host field is malformed"))?;
            once(&mut self.host, host)
        } else if is("content-length") {
            once(&mut self.content_len, content_len(value)?)
        } else if is("transfer-encoding") {
            if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpRefusal::TransferCoding);
            }
            self.is_chunked = true;
            Ok(())
        } else if is("connection") {
            let asks = |option: &[u8]| {
                value
                    .split(|&byte| byte == b',')
                    .any(|word| word.trim_ascii().eq_ignore_ascii_case(option))
            };
            head.keep_alive &= !asks(b"close");
            Ok(())
        } else if is("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(HttpRefusal::Expectation);
            }
            head.expects_continue = head.version == Version::Http11;
            Ok(())
        } else if is("origin") {
            // What is no text is nobody's own origin.
            once(&mut head.origin, text(value).unwrap_or_default())
        } else if is("sec-fetch-site") {
            let own = [&b"same-origin"[..], b"none"];
            head.is_cross_site |= !own.contains(&value);
            Ok(())
        } else if is("authorization") {
            once(&mut head.authorization, value)
        } else if is("x-requested-with") {
            head.is_of_script = true;
            Ok(())
        } else if is("x-consul-token") {
            once(&mut head.consul_token, value)
        } else {
            if is("accept") {
                head.accepts_events |= names(value, b"text/event-stream");
            } else if is("if-none-match") {
                head.if_none_match = Some(value);
            }
            Ok(())
        }
    }
}

/// Sets what a field says, which must not stand twice.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), HttpRefusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(HttpRefusal::Malformed("a field stands twice")),
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// Whether a list of media types names this one.
fn names(list: &[u8], media_type: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|word| {
        let name = word.split(|&byte| byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(media_type)
    })
}

/// A number of bytes, in digits and nothing else.
fn content_len(value: &[u8]) -> Result<usize, HttpRefusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpRefusal::Malformed("the content-length is not a number"));
    }
    let number = value.iter().try_fold(0_usize, |number, digit| {
        number
            .checked_mul(10)?
            .checked_add(usize::from(digit - b'0'))
    });
    match number {
        Some(len) if len <= HTTP_BODY_LEN_MAX => Ok(len),
        _ => Err(HttpRefusal::BodyTooLong),
    }
}
