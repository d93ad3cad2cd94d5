//! Text lines, for people and simple clients: one command a line, one answer a line.

mod encode;
mod frequent;
mod telnet;
mod words;

use memchr::memchr;

use super::guard::{self, Guard};
use super::options::{LIMIT, MAX_AGE, META, Options, REPLACE, TAG, TTL};
use super::{Decoded, Step};
use crate::limits::LINE_LEN_MAX;
use crate::message::{
    Command, Credential, Frequent, Heartbeats, Offer, Refusal, Request, ServiceType, Verb,
    parse_random_uuid, parse_uuid,
};

pub use encode::{encode, encode_part};
pub use frequent::HEARTBEAT_LEN;
use frequent::{HEARTBEAT, plain_heartbeat, plain_query, plain_register};
use words::{Words, has_control_character, plain_line, text};

/// Finds lines in the input of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    guard: Guard,
    /// Bytes of the present line in which no line end was found.
    searched: usize,
    /// Whether something was consumed.
    begun: bool,
}

impl Decoder {
    /// Decodes the first line of `input`, and consumes what is no command before it: empty lines, telnet
    /// negotiation, and a byte order mark at the beginning of all.
    #[inline]
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let mut start = 0;
        if !self.begun {
            if let Some(refusal) = guard::refuse_start(input) {
                return Step {
                    consumed: input.len(),
                    decoded: Decoded::Refused(refusal),
                };
            }
            start = self.skip(telnet::mark_len(input));
        }
        loop {
            start += self.skip(telnet::negotiation_len(&input[start..]));
            let rest = &input[start..];
            if self.takes_plain_lines() {
                // The fast path: nearly all lines are short and printable.
                if let Some((line, len)) = plain_line(rest)
                    && let Some(decoded) = command_of(Words(line))
                {
                    return Step {
                        consumed: start + len,
                        decoded,
                    };
                }
            }
            let Some(found) = memchr(b'\n', &rest[self.searched..]) else {
                let decoded = self.unfinished(rest);
                return Step {
                    consumed: start,
                    decoded,
                };
            };
            let end = self.searched + found;
            self.searched = 0;
            self.begun = true;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            start += end + 1;
            if line.len() > LINE_LEN_MAX {
                return Step {
                    consumed: start,
                    decoded: Decoded::Refused(Refusal::LineTooLong),
                };
            }
            if let Some(refusal) = self
                .guard
                .refuse_line(&rest[..=end], |word| Verb::named(word).is_some())
            {
                return Step {
                    consumed: start,
                    decoded: Decoded::Refused(refusal),
                };
            }
            if let Some(decoded) = command(line) {
                return Step {
                    consumed: start,
                    decoded,
                };
            }
        }
    }

    /// The heartbeats at the front of the input that are in their usual form, `max` at most: in lower case,
    /// with one blank, and with a line feed at the end. `None` where the first line is no heartbeat.
    #[inline]
    pub fn heartbeats(&self, input: &[u8], max: usize) -> Option<Heartbeats> {
        if !input.starts_with(HEARTBEAT) || !self.takes_plain_lines() {
            return None;
        }
        let lines = input.chunks_exact(HEARTBEAT_LEN).take(max);
        Some(Heartbeats::first_of(lines.map_while(plain_heartbeat)))
    }

    /// The command at the front of the input, with the bytes that it takes, if it is a frequent one in such
    /// a form.
    #[inline]
    pub fn frequent<'a>(&self, input: &'a [u8]) -> Option<(Frequent<'a>, usize)> {
        match input.first()? {
            b'q' if self.takes_plain_lines() => plain_query(input),
            b'r' if self.takes_plain_lines() => plain_register(input),
            _ => None,
        }
    }

    /// Whether a line begins with the next byte, and lines are not guarded any more.
    #[inline]
    fn takes_plain_lines(&self) -> bool {
        self.searched == 0 && self.guard.has_passed()
    }

    /// Consumes so many bytes before a line.
    #[inline]
    fn skip(&mut self, len: usize) -> usize {
        if len > 0 {
            self.begun = true;
            self.searched = self.searched.saturating_sub(len);
        }
        len
    }

    /// Decodes the last line of a connection, which has no line end.
    pub fn finish<'a>(&mut self, rest: &'a [u8]) -> Decoded<'a> {
        self.searched = 0;
        // At the end of input, a CR after the longest line is not the start of a line end.
        if rest.len() > LINE_LEN_MAX {
            return Decoded::Refused(Refusal::LineTooLong);
        }
        if let Some(refusal) = self
            .guard
            .refuse_line(rest, |word| Verb::named(word).is_some())
        {
            return Decoded::Refused(refusal);
        }
        command(rest).unwrap_or(Decoded::Incomplete)
    }

    /// Remembers how far an incomplete line was searched, and refuses it as soon as it is certainly too
    /// long. The byte after the longest line may still be the CR of its line end.
    fn unfinished(&mut self, rest: &[u8]) -> Decoded<'static> {
        self.searched = rest.len();
        let may_end = rest.len() == LINE_LEN_MAX + 1 && rest.ends_with(b"\r");
        if rest.len() > LINE_LEN_MAX && !may_end {
            return Decoded::Refused(Refusal::LineTooLong);
        }
        Decoded::Incomplete
    }
}

/// Decodes a line without its line end; `None` when it is empty.
fn command(line: &[u8]) -> Option<Decoded<'_>> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Some(Decoded::Refused(Refusal::LineUtf8));
    };
    if has_control_character(text) {
        return Some(Decoded::Refused(Refusal::LineControl));
    }
    command_of(Words(line))
}

/// Decodes the words of a line; `None` when there are none.
fn command_of(mut words: Words<'_>) -> Option<Decoded<'_>> {
    let name = words.next()?;
    let request = Verb::named(name)
        .ok_or(Refusal::UnknownCommand)
        .and_then(|verb| request(verb, words));
    Some(request.map_or_else(Decoded::Refused, of_session))
}

/// The command of a peer that has shown with its session who it is.
fn of_session(request: Request<'_>) -> Decoded<'_> {
    Decoded::Command(Command {
        credential: Credential::OfSession,
        request,
    })
}

/// Parses the arguments of a verb.
fn request(verb: Verb, words: Words<'_>) -> Result<Request<'_>, Refusal> {
    match verb {
        Verb::Auth => auth(words),
        Verb::Register => register(words),
        Verb::Hold => hold(words),
        Verb::Heartbeat => heartbeat(words),
        Verb::Deregister => deregister(words),
        Verb::Update => update(words),
        Verb::Query => query(words),
        Verb::Types => nothing(words, Request::Types),
        Verb::List => list(words),
        Verb::Why => why(words),
        Verb::Watch => watch(words),
        Verb::Stats => nothing(words, Request::Stats),
        Verb::Ping => nothing(words, Request::Ping),
        Verb::Help => nothing(words, Request::Help),
        Verb::Quit => nothing(words, Request::Quit),
    }
}

/// `auth <token>`
fn auth(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [token] = arguments(words, Verb::Auth)?;
    Ok(Request::Auth {
        token: text(token).into(),
    })
}

/// `register <type> <ip|-> <port>`, and the options of a registration
fn register(mut words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let offer = offer(&mut words, Verb::Register)?;
    let options = Options::parse(words.map(text), &[TTL, REPLACE, TAG, META])?;
    Ok(Request::Register {
        offer,
        ttl: options.ttl,
        replace: options.replace,
        labels: options.labels,
    })
}

/// `hold <type> <ip|-> <port>`, and the options of a registration
fn hold(mut words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let offer = offer(&mut words, Verb::Hold)?;
    let options = Options::parse(words.map(text), &[TTL, REPLACE, TAG, META])?;
    Ok(Request::Hold {
        offer,
        ttl: options.ttl,
        replace: options.replace,
        labels: options.labels,
    })
}

/// `heartbeat <uuid> [<type> <ip|-> <port>]`, and in the long form the options of a registration but
/// `replace`
fn heartbeat(mut words: Words<'_>) -> Result<Request<'_>, Refusal> {
    const VERB: Verb = Verb::Heartbeat;
    let [uuid] = first_arguments(&mut words, VERB)?;
    if words.is_over() {
        let uuid = parse_uuid(text(uuid));
        return Ok(Request::Heartbeat { uuid });
    }
    let offer = offer(&mut words, VERB)?;
    let options = Options::parse(words.map(text), &[TTL, TAG, META])?;
    Ok(Request::Revive {
        uuid: parse_random_uuid(text(uuid))?,
        offer,
        ttl: options.ttl,
        labels: options.labels,
    })
}

/// The type, the ip and the port.
fn offer<'a>(words: &mut Words<'a>, verb: Verb) -> Result<Offer<'a>, Refusal> {
    let [service_type, ip, port] = first_arguments(words, verb)?;
    Offer::parse(text(service_type), text(ip), port)
}

/// `update <uuid> [tag=<tag>] [meta.<key>=<value>]`
fn update(mut words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [uuid] = first_arguments(&mut words, Verb::Update)?;
    let options = Options::parse(words.map(text), &[TAG, META])?;
    Ok(Request::Update {
        uuid: parse_uuid(text(uuid)),
        labels: options.labels,
    })
}

/// `deregister <uuid>`
fn deregister(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [uuid] = arguments(words, Verb::Deregister)?;
    Ok(Request::Deregister {
        uuid: parse_uuid(text(uuid)),
    })
}

/// `query <type> [max-age=<seconds>] [tag=<tag>] [meta.<key>=<value>] [limit=<n>]`
fn query(mut words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [service_type] = first_arguments(&mut words, Verb::Query)?;
    let service_type = ServiceType::new(text(service_type))?;
    let options = Options::parse(words.map(text), &[MAX_AGE, TAG, META, LIMIT])?;
    Ok(Request::Query {
        service_type,
        max_age: options.max_age,
        labels: options.labels,
        limit: options.limit,
    })
}

/// `list [<type>]`
fn list(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    Ok(Request::List {
        service_type: optional_type(words, Verb::List)?,
        labels: None,
    })
}

/// `why <uuid>`
fn why(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    let [uuid] = arguments(words, Verb::Why)?;
    Ok(Request::Why {
        uuid: parse_uuid(text(uuid)),
    })
}

/// `watch [<type>]`
fn watch(words: Words<'_>) -> Result<Request<'_>, Refusal> {
    Ok(Request::Watch {
        service_type: optional_type(words, Verb::Watch)?,
    })
}

/// A verb without arguments.
fn nothing<'a>(words: Words<'a>, request: Request<'a>) -> Result<Request<'a>, Refusal> {
    let [] = arguments(words, request.verb())?;
    Ok(request)
}

fn optional_type<'a>(mut words: Words<'a>, verb: Verb) -> Result<Option<ServiceType<'a>>, Refusal> {
    let service_type = words.next().map(|word| ServiceType::new(text(word)));
    let service_type = service_type.transpose()?;
    if words.is_over() {
        Ok(service_type)
    } else {
        Err(Refusal::Usage(verb))
    }
}

/// Exactly `N` words.
fn arguments<'a, const N: usize>(
    mut words: Words<'a>,
    verb: Verb,
) -> Result<[&'a [u8]; N], Refusal> {
    let arguments = first_arguments(&mut words, verb)?;
    if words.is_over() {
        Ok(arguments)
    } else {
        Err(Refusal::Usage(verb))
    }
}

/// The first `N` words.
fn first_arguments<'a, const N: usize>(
    words: &mut Words<'a>,
    verb: Verb,
) -> Result<[&'a [u8]; N], Refusal> {
    let mut arguments = [&[][..]; N];
    for argument in &mut arguments {
        *argument = words.next().ok_or(Refusal::Usage(verb))?;
    }
    Ok(arguments)
}
