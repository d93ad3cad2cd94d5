//! Text lines, for people and simple clients: one command a line, one answer a line.

use memchr::memchr;

use super::guard::Guard;
use super::{Decoded, Step};
use crate::limits::LINE_LEN_MAX;
use crate::message::{Command, Refusal, Reply, Request, ServiceAddress, ServiceType, parse_uuid};
use crate::output::Output;

/// What a line begins with.
#[derive(Clone, Copy)]
enum Verb {
    Auth,
    Register,
    Heartbeat,
    Query,
}

const VERBS: [(&str, Verb); 4] =
    [("heartbeat", Verb::Heartbeat), ("query", Verb::Query), ("register", Verb::Register), ("auth", Verb::Auth)];

/// Finds lines in the input of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    guard: Guard,
    /// Bytes of the present line in which no line end was found.
    searched: usize,
}

impl Decoder {
    /// Decodes the first line of `input`; empty lines before it are dropped with it.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        if let Some(refusal) = self.guard.refuse_start(input) {
            return Step { consumed: input.len(), decoded: Decoded::Refused(refusal) };
        }
        let mut start = 0;
        loop {
            let rest = &input[start..];
            let Some(found) = memchr(b'\n', &rest[self.searched..]) else {
                let decoded = self.unfinished(rest);
                return Step { consumed: start, decoded };
            };
            let end = self.searched + found;
            self.searched = 0;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            start += end + 1;
            if line.len() > LINE_LEN_MAX {
                return Step { consumed: start, decoded: Decoded::Refused(Refusal::LineTooLong) };
            }
            if let Some(refusal) = self.guard.refuse_line(&rest[..=end], |word| verb(word).is_some()) {
                return Step { consumed: start, decoded: Decoded::Refused(refusal) };
            }
            if let Some(decoded) = command(line) {
                return Step { consumed: start, decoded };
            }
        }
    }

    /// Decodes the last line of a connection, which has no line end.
    pub fn finish<'a>(&mut self, rest: &'a [u8]) -> Decoded<'a> {
        self.searched = 0;
        // A CR behind the longest line is no longer the beginning of its end.
        if rest.len() > LINE_LEN_MAX {
            return Decoded::Refused(Refusal::LineTooLong);
        }
        if let Some(refusal) = self.guard.refuse_line(rest, |word| verb(word).is_some()) {
            return Decoded::Refused(refusal);
        }
        command(rest).unwrap_or(Decoded::Incomplete)
    }

    /// Remembers how far a line without an end was searched; refuses it once it is certain that it
    /// is too long. The byte behind the longest line may still be the CR of its line end.
    fn unfinished(&mut self, rest: &[u8]) -> Decoded<'static> {
        self.searched = rest.len();
        let may_end = rest.len() == LINE_LEN_MAX + 1 && rest.ends_with(b"\r");
        if rest.len() > LINE_LEN_MAX && !may_end {
            return Decoded::Refused(Refusal::LineTooLong);
        }
        Decoded::Incomplete
    }
}

fn verb(word: &[u8]) -> Option<Verb> {
    VERBS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|&(_, verb)| verb)
}

/// Decodes a line without its line end; `None` when nothing stands in it.
fn command(line: &[u8]) -> Option<Decoded<'_>> {
    if let Some(uuid) = plain_heartbeat(line) {
        let request = Request::Heartbeat { uuid: Some(uuid) };
        return Some(Decoded::Command(Command { token: None, request }));
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Some(Decoded::Refused(Refusal::LineUtf8));
    };
    if has_control_character(text) {
        return Some(Decoded::Refused(Refusal::LineControl));
    }
    let mut words = Words(text);
    let name = words.next()?;
    let request = match verb(name.as_bytes()) {
        Some(Verb::Auth) => auth(words),
        Some(Verb::Register) => register(words),
        Some(Verb::Heartbeat) => heartbeat(words),
        Some(Verb::Query) => query(words),
        None => Err(Refusal::UnknownCommand),
    };
    Some(match request {
        Ok(request) => Decoded::Command(Command { token: None, request }),
        Err(refusal) => Decoded::Refused(refusal),
    })
}

/// The UUID of a heartbeat as every client sends it: the verb, one blank, a UUID. Reading the UUID
/// checks every byte of it, so that nothing else has to look at the line. Most lines are such.
fn plain_heartbeat(line: &[u8]) -> Option<uuid::Uuid> {
    const VERB: &[u8] = b"heartbeat ";
    const UUID_LEN: usize = 36;
    let (verb, word) = line.split_at_checked(VERB.len())?;
    if word.len() != UUID_LEN || !verb.eq_ignore_ascii_case(VERB) {
        return None;
    }
    uuid::Uuid::try_parse_ascii(word).ok()
}

/// Whether a control character other than the tab stands in the text. Nearly all lines are
/// printable ASCII, which one pass without a branch for each byte finds out.
fn has_control_character(text: &str) -> bool {
    let printable = |byte: u8| (byte.wrapping_sub(b' ') <= b'~' - b' ') | (byte == b'\t');
    let plain = text.bytes().fold(true, |plain, byte| plain & printable(byte));
    !plain && text.chars().any(|c| c.is_control() && c != '\t')
}

/// The words of a line, which blanks and tabs keep apart.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let bytes = self.0.as_bytes();
        let start = bytes.iter().position(|byte| !is_blank(byte))?;
        let len = bytes[start..].iter().position(is_blank).unwrap_or(bytes.len() - start);
        let (word, rest) = self.0[start..].split_at(len);
        self.0 = rest;
        Some(word)
    }
}

/// `auth <token>`
fn auth(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [token] = arguments(words, "usage: auth <token>")?;
    Ok(Request::Auth { token: token.into() })
}

/// `register <type> <ip> <port>`
fn register(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [service_type, ip, port] = arguments(words, "usage: register <type> <ip> <port>")?;
    let service_type = ServiceType::new(service_type)?;
    Ok(Request::Register { service_type, address: ServiceAddress::parse(ip, port)? })
}

/// `heartbeat <uuid>`
fn heartbeat(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [uuid] = arguments(words, "usage: heartbeat <uuid>")?;
    Ok(Request::Heartbeat { uuid: parse_uuid(uuid) })
}

/// `query <type>`
fn query(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [service_type] = arguments(words, "usage: query <type>")?;
    Ok(Request::Query { service_type: ServiceType::new(service_type)? })
}

/// Exactly `N` words.
fn arguments<'a, const N: usize>(mut words: Words<'a>, form: &'static str) -> Result<[&'a str; N], Refusal> {
    let mut arguments = [""; N];
    for argument in &mut arguments {
        *argument = words.next().ok_or(Refusal::Usage(form))?;
    }
    if words.next().is_some() { Err(Refusal::Usage(form)) } else { Ok(arguments) }
}

/// Appends an answer as a line.
pub fn encode(reply: &Reply, output: &mut Output) {
    match reply {
        Reply::Registered(uuid) => {
            let mut text = uuid::Uuid::encode_buffer();
            output.push(uuid.hyphenated().encode_lower(&mut text).as_bytes());
        }
        Reply::Ok => output.push(b"OK"),
        Reply::NotFound => output.push(b"NOT FOUND"),
        Reply::Services(services) => output.push_shared(services.array()),
        Reply::Refused(refusal) => {
            output.push(b"ERROR ");
            output.push(refusal.reason().as_bytes());
        }
    }
    output.push(b"\n");
}
