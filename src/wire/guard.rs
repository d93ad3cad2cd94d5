//! Recognizes peers that speak another protocol by their first lines, and refuses them.
//!
//! A web page can make a browser send arbitrary lines after the head of an HTTP request, so the
//! service must run nothing that follows such an opening.

use crate::message::Refusal;

/// The first bytes of a TLS client: a handshake record (RFC 8446 section 5.1).
const TLS_HELLO: [u8; 2] = [0x16, 0x03];

/// Checks the first lines of a connection.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Lines seen since the first byte.
    lines: usize,
    /// How many of them were only CR LF.
    blank_crlf_lines: usize,
    /// Whether a line that is not empty has been seen.
    passed: bool,
}

impl Guard {
    /// Checks the first bytes of the input, with or without a line end.
    pub(super) fn refuse_start(&self, input: &[u8]) -> Option<Refusal> {
        (self.lines == 0 && input.starts_with(&TLS_HELLO)).then_some(Refusal::Tls)
    }

    /// Checks a whole line with its line end. `is_verb` recognizes the verbs of this service.
    pub(super) fn refuse_line(
        &mut self,
        line: &[u8],
        is_verb: impl Fn(&[u8]) -> bool,
    ) -> Option<Refusal> {
        if self.passed {
            return None;
        }
        self.lines += 1;
        if line == b"\r\n" {
            self.blank_crlf_lines += 1;
            return None;
        }
        // The 12-byte signature of a PROXY header of version 2 starts with two empty lines and this.
        if (self.lines, self.blank_crlf_lines) == (3, 2) && line == b"\0\r\n" {
            return Some(Refusal::Proxy);
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            return None;
        }
        self.passed = true;
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let (Some(first), Some(second)) = (words.next(), words.next()) else {
            return None;
        };
        if first == b"PROXY" && [&b"TCP4"[..], b"TCP6", b"UNKNOWN"].contains(&second) {
            return Some(Refusal::Proxy);
        }
        // A method may also be a verb of this service, and `HTTP/…` a valid argument where it is the
        // only one. No command with more arguments ends in such a word.
        let is_http = match words.next_back() {
            Some(last) => last.starts_with(b"HTTP/"),
            None => second.starts_with(b"HTTP/") && !is_verb(first),
        };
        is_http.then_some(Refusal::Http)
    }
}
