//! Decoding as a connection does it, and as the protocol describes it.

use std::rc::Rc;

use discovery_service::limits::{FRAME_LEN_MAX, HTTP_HEAD_LEN_MAX, LINE_LEN_MAX};
use discovery_service::message::{Refusal, Reply};
use discovery_service::wire::output::Output;
use discovery_service::wire::{Codec, Decoded, Protocol, Step};

pub const VERBS: [&str; 15] = [
    "auth",
    "register",
    "hold",
    "heartbeat",
    "deregister",
    "update",
    "query",
    "types",
    "list",
    "why",
    "watch",
    "stats",
    "ping",
    "help",
    "quit",
];

/// What a connection makes of its input: each command or refusal, as text, in their order.
pub fn decode(pieces: &[&[u8]]) -> Vec<String> {
    decode_with(Codec::default(), pieces)
}

/// What a connection that may speak HTTP makes of its input.
pub fn decode_any(pieces: &[&[u8]]) -> Vec<String> {
    let protocol = Protocol::RegistryAndHttp(Rc::default());
    decode_with(Codec::new(&protocol), pieces)
}

fn decode_with(mut codec: Codec, pieces: &[&[u8]]) -> Vec<String> {
    let mut input = Vec::new();
    let mut seen = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let Step { consumed, decoded } = codec.decode(&input);
            let incomplete = decoded == Decoded::Incomplete;
            let noted = Noted::of(decoded);
            input.drain(..consumed);
            if noted.is_some_and(|noted| noted.answer(&mut seen, &mut codec)) {
                return seen;
            }
            if incomplete {
                break;
            }
        }
        assert!(
            input.len() <= FRAME_LEN_MAX.max(LINE_LEN_MAX + 1).max(HTTP_HEAD_LEN_MAX),
            "{} bytes wait",
            input.len()
        );
    }
    if let Some(noted) = Noted::of(codec.finish(&input)) {
        noted.answer(&mut seen, &mut codec);
    }
    seen
}

/// What was decoded, as a text that holds all of it, and its answer.
struct Noted {
    text: String,
    reply: Reply,
}

impl Noted {
    /// Nothing where there is nothing to answer; whether a body is asked for depends on what has arrived.
    fn of(decoded: Decoded<'_>) -> Option<Self> {
        let text = format!("{decoded:?}");
        let reply = match decoded {
            Decoded::Incomplete | Decoded::Continue => return None,
            Decoded::Command(_) => Reply::Ok,
            Decoded::Refused(refusal) | Decoded::Denied(_, refusal) => Reply::Refused(refusal),
        };
        Some(Noted { text, reply })
    }

    /// Notes it, and answers; `true` when the connection is over.
    fn answer(self, seen: &mut Vec<String>, codec: &mut Codec) -> bool {
        seen.push(self.text);
        codec.encode(&self.reply, &mut Output::default());
        codec.ends_with(&self.reply).is_some()
    }
}

/// The lines of the input, the unfinished last one included, without their ends, and without the byte order
/// mark and the telnet negotiation that may stand before them.
fn lines(input: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    loop {
        while let [255, 251..=254, _, behind @ ..] = rest {
            rest = behind;
        }
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            lines.push(rest);
            return lines;
        };
        lines.push(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]));
        rest = &rest[end + 1..];
    }
}

/// A line as the protocol describes it, without any of the decoder's cleverness. Openings of other
/// protocols are not in it.
pub fn naive(input: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    for line in lines(input) {
        let refused = |refusal: Refusal| format!("{:?}", Decoded::Refused(refusal));
        if line.len() > LINE_LEN_MAX {
            seen.push(refused(Refusal::LineTooLong));
            break;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            seen.push(refused(Refusal::LineUtf8));
            continue;
        };
        if text.chars().any(|c| c != '\t' && c.is_control()) {
            seen.push(refused(Refusal::LineControl));
            continue;
        }
        let words: Vec<&str> = text
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            [] => {}
            // What a well-formed line means is compared in the unit tests of the messages.
            [verb, ..] if VERBS.iter().any(|v| v.eq_ignore_ascii_case(verb)) => {
                let behind_a_first_line = decode(&[b"query a\n", line]);
                seen.push(
                    behind_a_first_line
                        .last()
                        .expect("a command or a refusal")
                        .clone(),
                );
            }
            _ => seen.push(refused(Refusal::UnknownCommand)),
        }
    }
    seen
}
