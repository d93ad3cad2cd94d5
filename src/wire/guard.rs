//! Peers that speak another protocol: told apart by how they begin, and sent away.
//!
//! A browser can be made to send any lines it likes behind the head of an HTTP request, so nothing
//! that follows such an opening may be run.

use crate::message::Refusal;

/// What a TLS client sends first: a handshake record (RFC 8446 section 5.1).
const TLS_HELLO: [u8; 2] = [0x16, 0x03];

/// Watches the beginning of a connection, line by line.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Lines seen since the first byte.
    lines: usize,
    /// How many of them were CR LF alone.
    blank_crlf_lines: usize,
    /// A line with something in it has been seen.
    passed: bool,
}

impl Guard {
    /// Looks at the first bytes of the input, whether or not a line end is among them.
    pub(super) fn refuse_start(&self, input: &[u8]) -> Option<Refusal> {
        (self.lines == 0 && input.starts_with(&TLS_HELLO)).then_some(Refusal::Tls)
    }

    /// Looks at a whole line with its line end. `is_verb` knows the verbs of this service.
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
        // The 12 bytes of a PROXY header of version 2 begin with two empty lines and this one.
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
        // A method may be a verb of ours, so only a command with one argument can be one: no other
        // takes such a word at its end.
        let is_http = match words.next_back() {
            Some(last) => last.starts_with(b"HTTP/"),
            None => second.starts_with(b"HTTP/") && !is_verb(first),
        };
        is_http.then_some(Refusal::Http)
    }
}
