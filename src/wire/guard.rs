//! Recognizes peers that speak another protocol by their first lines, and refuses them.
//!
//! A web page can make a browser send arbitrary lines after the head of an HTTP request, and a server
//! that fetches what a stranger names can be made to speak other protocols likewise (`dict:`, `gopher:`
//! and `sftp:` addresses, for example). So the service must run nothing that follows such an opening.

use crate::message::Refusal;

/// The first bytes of a TLS client: a handshake record (RFC 8446 section 5.1).
const TLS_HELLO: [u8; 2] = [0x16, 0x03];

/// First words of other protocols, none a verb of this service: DICT (RFC 2229), SMTP (RFC 5321), LMTP
/// (RFC 2033), IRC (RFC 2812), FTP and POP3, STOMP.
const FOREIGN_VERBS: [&[u8]; 8] = [
    b"CLIENT", b"EHLO", b"HELO", b"LHLO", b"NICK", b"USER", b"STOMP", b"CONNECT",
];

/// Checks the first bytes of a connection that begins with no frame.
pub(super) fn refuse_start(input: &[u8]) -> Option<Refusal> {
    if input.starts_with(&TLS_HELLO) {
        Some(Refusal::Tls)
    } else if is_swapped_len(input) {
        Some(Refusal::FrameByteOrder)
    } else {
        None
    }
}

/// Whether the input begins with the length of a frame's header in the wrong byte order. A line feed is an
/// empty line; no header is so short.
fn is_swapped_len(input: &[u8]) -> bool {
    matches!(input, [first, 0, ..] if *first != b'\n')
}

/// Checks the first lines of a connection.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Lines seen.
    lines: usize,
    /// How many of them were only CR LF.
    blank_crlf_lines: usize,
    /// Whether a line that is not empty has been seen.
    passed: bool,
}

impl Guard {
    /// Whether a line has been seen that is not empty, so that no further one is checked.
    pub(super) fn has_passed(&self) -> bool {
        self.passed
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
        foreign(text, is_verb)
    }
}

/// Why a first line that is not empty is not for this service, if it is not. Methods of HTTP, RTSP and
/// SIP may be verbs of this service (QUERY, REGISTER), in any case.
fn foreign(text: &[u8], is_verb: impl Fn(&[u8]) -> bool) -> Option<Refusal> {
    let mut words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let first = words.next()?;
    let second = words.next();
    let last = words.next_back();
    // What looks like a version is a valid argument of a verb where it is the only one. No command
    // with more arguments ends in such a word.
    let version = match (last, second) {
        (Some(last), _) => Some(last),
        (None, Some(second)) if !is_verb(first) => Some(second),
        (None, _) => None,
    };
    // A response begins with its version.
    if let Some(version) = [Some(first), version]
        .into_iter()
        .flatten()
        .find_map(version_of)
    {
        return Some(version);
    }
    if is_verb(first) {
        return None;
    }
    match second {
        Some(second)
            if first == b"PROXY" && [&b"TCP4"[..], b"TCP6", b"UNKNOWN"].contains(&second) =>
        {
            Some(Refusal::Proxy)
        }
        // HTTP/0.9, and a request with a version that is none.
        Some(second) if is_request_target(second) => Some(Refusal::OtherHttp),
        _ => {
            let is_foreign = FOREIGN_VERBS
                .iter()
                .any(|verb| verb.eq_ignore_ascii_case(first))
                || starts_with(first, b"SSH-")
                || is_array_of_redis(first);
            is_foreign.then_some(Refusal::OtherProtocol)
        }
    }
}

/// The protocol that this word names with its version, as in `HTTP/1.1`, `RTSP/1.0` and `SIP/2.0`.
fn version_of(word: &[u8]) -> Option<Refusal> {
    if starts_with(word, b"HTTP/") {
        return Some(Refusal::OtherHttp);
    }
    let slash = word.iter().position(|&byte| byte == b'/')?;
    let (name, version) = (&word[..slash], &word[slash + 1..]);
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_alphabetic);
    let mut digits = version.split(|&byte| byte == b'.');
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_version = digits.next().is_some_and(is_number)
        && digits.next().is_some_and(is_number)
        && digits.next().is_none();
    (is_name && is_version).then_some(Refusal::OtherProtocol)
}

/// Whether the word is what an HTTP request asks for: a path, or an absolute URI (RFC 9112 section 3.2).
fn is_request_target(word: &[u8]) -> bool {
    word.starts_with(b"/") || starts_with(word, b"http://") || starts_with(word, b"https://")
}

/// Whether the word begins an array of RESP, which every client of Redis sends: `*` and a number.
fn is_array_of_redis(word: &[u8]) -> bool {
    word.strip_prefix(b"*")
        .is_some_and(|count| !count.is_empty() && count.iter().all(u8::is_ascii_digit))
}

fn starts_with(word: &[u8], prefix: &[u8]) -> bool {
    word.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_redis_begins_with_a_star_and_a_number_and_nothing_else_does() {
        let refused = |line: &[u8]| Guard::default().refuse_line(line, |_| false);
        for line in [&b"*1\r\n"[..], b"*12\r\n", b"*3 x\n"] {
            let redis = Some(Refusal::OtherProtocol);
            assert_eq!(refused(line), redis, "{}", line.escape_ascii());
        }
        for line in [&b"*\n"[..], b"**\n", b"*x\n", b"*1x\n", b"1\n"] {
            assert_eq!(refused(line), None, "{}", line.escape_ascii());
        }
    }
}
