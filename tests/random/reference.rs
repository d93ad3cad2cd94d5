//! Decoding as a connection does it, and as the protocol describes it.

use std::rc::Rc;

use discovery_service::limits::{FRAME_LEN_MAX, HTTP_HEAD_LEN_MAX, LINE_LEN_MAX};
use discovery_service::message::{
    Command, Credential, Frequent, Heartbeats, Refusal, Reply, Request, ServiceType,
};
use discovery_service::wire::output::Output;
use discovery_service::wire::text::HEARTBEAT_LEN;
use discovery_service::wire::{Codec, Decoded, Protocol, Step};
use uuid::Uuid;

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
    take_all(Codec::default(), pieces, |_, _| None).commands
}

/// What a connection that may speak HTTP makes of its input.
pub fn decode_any(pieces: &[&[u8]]) -> Seen {
    take_all(any(), pieces, |_, _| None)
}

/// The same where whatever is frequent is taken as such.
pub fn decode_frequent(pieces: &[&[u8]]) -> Seen {
    take_all(any(), pieces, frequent)
}

fn any() -> Codec {
    Codec::new(&Protocol::RegistryAndHttp(Rc::default()))
}

/// What was decoded, each as a text that holds all of it, and the bytes of all answers.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub commands: Vec<String>,
    answers: Vec<u8>,
}

impl Seen {
    /// Notes what was decoded, and answers; `true` when the connection is over.
    fn answer(&mut self, (command, reply): (String, Reply), codec: &mut Codec) -> bool {
        self.commands.push(command);
        let mut output = Output::default();
        codec.encode(&reply, &mut output);
        self.answers.extend(output.take());
        codec.ends_with(&reply).is_some()
    }
}

/// The commands at the front of the input with the bytes that they take.
type Front = (Vec<String>, usize);

/// Takes what `front` finds at the front of the input, and decodes the rest.
fn take_all(
    mut codec: Codec,
    pieces: &[&[u8]],
    front: fn(&mut Codec, &[u8]) -> Option<Front>,
) -> Seen {
    let mut input = Vec::new();
    let mut seen = Seen::default();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            if let Some((commands, len)) = front(&mut codec, &input) {
                input.drain(..len);
                for command in commands {
                    assert!(!seen.answer((command, Reply::Ok), &mut codec));
                }
                continue;
            }
            let Step { consumed, decoded } = codec.decode(&input);
            let incomplete = decoded == Decoded::Incomplete;
            let noted = noted(decoded);
            input.drain(..consumed);
            if noted.is_some_and(|noted| seen.answer(noted, &mut codec)) {
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
    if let Some(noted) = noted(codec.finish(&input)) {
        seen.answer(noted, &mut codec);
    }
    seen
}

/// What is frequent, as the command that it stands for. The name of a type is checked when it is looked up:
/// one that cannot be a name is not frequent.
fn frequent(codec: &mut Codec, input: &[u8]) -> Option<Front> {
    let credential = match codec {
        Codec::Http(_) => Credential::OfMessage(None),
        _ => Credential::OfSession,
    };
    let command = |request| {
        let credential = credential.clone();
        let command = Command {
            credential,
            request,
        };
        format!("{:?}", Decoded::Command(command))
    };
    if let Some(heartbeats) = codec.heartbeats(input, Heartbeats::LEN_MAX)
        && !heartbeats.uuids().is_empty()
    {
        let heartbeat = |uuid: &Uuid| command(Request::Heartbeat { uuid: Some(*uuid) });
        let commands: Vec<String> = heartbeats.uuids().iter().map(heartbeat).collect();
        let len = commands.len() * HEARTBEAT_LEN;
        return Some((commands, len));
    }
    let (frequent, len) = codec.frequent(input)?;
    let request = match frequent {
        Frequent::Query(name) => Request::Query {
            service_type: ServiceType::new(str::from_utf8(name).expect("ASCII")).ok()?,
            max_age: None,
            labels: None,
            limit: None,
        },
        Frequent::Register(offer) => Request::Register {
            offer,
            ttl: None,
            replace: false,
            labels: None,
        },
    };
    Some((vec![command(request)], len))
}

/// What was decoded, with its answer. Nothing where there is nothing to answer; whether a body is asked for
/// depends on what has arrived.
fn noted(decoded: Decoded<'_>) -> Option<(String, Reply)> {
    let text = format!("{decoded:?}");
    let reply = match decoded {
        Decoded::Incomplete | Decoded::Continue => return None,
        Decoded::Command(_) => Reply::Ok,
        Decoded::Refused(refusal) | Decoded::Denied(_, refusal) => Reply::Refused(refusal),
    };
    Some((text, reply))
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
