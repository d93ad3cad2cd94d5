//! Tells from its first line whether a connection speaks HTTP.

use std::rc::Rc;

use memchr::memchr;

use super::http::Site;
use crate::limits::LINE_LEN_MAX;

/// The beginning of a connection that may speak any format.
#[derive(Debug)]
pub struct Opening {
    site: Rc<Site>,
    /// Bytes of the first line in which no line end was found.
    searched: usize,
}

/// What a connection begins with.
#[derive(Debug)]
pub(super) enum Beginning {
    /// Too little has arrived to tell.
    Unknown,
    /// An HTTP request.
    Http(Rc<Site>),
    /// A frame or a text command.
    Other,
}

/// Methods of HTTP, none a verb of this service: a line that begins with one and a path is no command,
/// however it goes on.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
];

impl Opening {
    pub(super) fn new(site: &Rc<Site>) -> Self {
        Opening {
            site: Rc::clone(site),
            searched: 0,
        }
    }

    /// Judges the first input of a connection.
    pub(super) fn judge(&mut self, input: &[u8]) -> Beginning {
        match input.first() {
            None => return Beginning::Unknown,
            Some(first) if !is_token(*first) => return Beginning::Other,
            Some(_) if begins_as_request(input) => return self.http(),
            Some(_) => {}
        }
        let Some(found) = memchr(b'\n', &input[self.searched..]) else {
            self.searched = input.len();
            // What is refused whatever follows needs no line end.
            let is_line = input.len() <= LINE_LEN_MAX && is_line_so_far(input);
            return if is_line {
                Beginning::Unknown
            } else {
                Beginning::Other
            };
        };
        let line = &input[..self.searched + found];
        if line.len() <= LINE_LEN_MAX && is_request_line(line) {
            self.http()
        } else {
            Beginning::Other
        }
    }

    fn http(&self) -> Beginning {
        Beginning::Http(Rc::clone(&self.site))
    }
}

/// Whether the byte may stand in a method (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether this can be the beginning of a request line: a method, a space, and no control character.
fn is_line_so_far(input: &[u8]) -> bool {
    let method_len = input.iter().take_while(|byte| is_token(**byte)).count();
    match input[method_len..].first() {
        None => true,
        Some(b' ') => true,
        Some(_) => false,
    }
}

/// Whether the line begins with a method of HTTP and something that it may ask for.
fn begins_as_request(line: &[u8]) -> bool {
    let Some(space) = memchr(b' ', &line[..line.len().min(8)]) else {
        return false;
    };
    let (method, target) = (&line[..space], &line[space + 1..]);
    METHODS.iter().any(|name| name.as_bytes() == method) && target.first() == Some(&b'/')
}

/// Whether the line is that of an HTTP/1 request: its last word is the version.
fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(space) = memchr::memrchr(b' ', line) else {
        return false;
    };
    let has_target = memchr(b' ', line) != Some(space);
    has_target && is_line_so_far(line) && line[space + 1..].starts_with(b"HTTP/1.")
}
