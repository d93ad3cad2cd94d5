//! The formats on the wire. A connection's first line tells which one it uses.
//!
//! Each format has a module: [`mod@text`] for people and simple clients, [`mod@frame`] for the
//! length-prefixed JSON of the Python clients, [`mod@http`] for browsers, monitors and proxies, and, at
//! sockets of its own, [`mod@dns`] for everything that can resolve a name. This room sees bytes and
//! [`crate::message`], but no sockets and no registry.

mod content;
pub mod dns;
pub mod frame;
mod guard;
pub mod http;
mod json;
mod object;
mod opening;
mod options;
pub mod output;
pub mod text;
mod watch;

use std::rc::Rc;

use crate::limits::{
    DNS_IDLE_MS_MAX, DNS_MS_MAX, FRAME_HEADER_LEN_MAX, FRAME_MS_MAX, HTTP_MS_MAX, LINE_MS_MAX,
};
use crate::message::{
    Bytes, CloseReason, Command, Credential, DnsRefusal, DnsTransport, Frequent, Heartbeats,
    HttpRefusal, Part, Peer, Refusal, Reply, Update,
};
use crate::wire::http::Site;
use crate::wire::opening::{Beginning, Opening};
use crate::wire::output::Output;

/// The result of decoding the front of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// No whole command: call again with the rest and more input after it.
    Incomplete,
    /// A command.
    Command(Command<'a>),
    /// A malformed command, with the refusal to answer.
    Refused(Refusal),
    /// A malformed command of a peer that shows this, and learns what is wrong where it is let in.
    Denied(Credential<'a>, Refusal),
    /// The rest of the command comes when the peer has read that it may send it.
    Continue,
}

impl Decoded<'_> {
    /// The same, with everything that it borrows copied.
    fn into_owned(self) -> Decoded<'static> {
        match self {
            Decoded::Incomplete => Decoded::Incomplete,
            Decoded::Command(command) => Decoded::Command(command.into_owned()),
            Decoded::Refused(refusal) => Decoded::Refused(refusal),
            Decoded::Denied(credential, refusal) => {
                Decoded::Denied(credential.into_owned(), refusal)
            }
            Decoded::Continue => Decoded::Continue,
        }
    }
}

/// One step of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes at the front of the input that are consumed; not 0 without a command where there was an
    /// empty line.
    pub consumed: usize,
    /// Their meaning.
    pub decoded: Decoded<'a>,
}

/// The protocol of a socket.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// Text lines or JSON frames: the first byte of each connection, or datagram, decides.
    Registry,
    /// Also HTTP, where the first line is an HTTP request's.
    RegistryAndHttp(Rc<Site>),
    /// DNS, as it is over this transport.
    Dns(Rc<dns::Site>, DnsTransport),
}

impl Protocol {
    /// Whether peers can show a token in it.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        !matches!(self, Protocol::Dns(..))
    }

    /// Whether a datagram from this port is answered. What comes from the port of a service that answers
    /// anything was sent there by somebody else.
    #[must_use]
    pub fn answers_port(&self, port: u16) -> bool {
        const OF_OTHERS: [u16; 6] = [0, 7, 13, 17, 19, 37];
        !matches!(self, Protocol::Dns(..)) || !OF_OTHERS.contains(&port)
    }

    /// Whether answers in datagrams that are alike are limited in number.
    #[must_use]
    pub fn limits_rate(&self) -> bool {
        matches!(self, Protocol::Dns(site, _) if site.limits_rate())
    }
}

/// The format of one connection, and how much of its present command the decoder has examined.
#[derive(Debug, Default)]
pub enum Codec {
    /// No byte has arrived yet.
    #[default]
    Undecided,
    /// The first line has not arrived yet, and may be that of an HTTP request.
    Opening(Opening),
    /// Text lines.
    Text(text::Decoder),
    /// JSON frames.
    Frame(frame::Decoder),
    /// A frame that is answered in parts.
    Parts(Box<frame::Collector>),
    /// HTTP.
    Http(Box<http::Exchange>),
    /// DNS.
    Dns(Box<dns::Exchange>),
}

impl Codec {
    /// The codec for a new connection, or datagram, of this protocol.
    #[must_use]
    pub fn new(protocol: &Protocol) -> Self {
        match protocol {
            Protocol::Registry => Codec::Undecided,
            Protocol::RegistryAndHttp(site) => Codec::Opening(Opening::new(site)),
            Protocol::Dns(site, transport) => {
                Codec::Dns(Box::new(dns::Exchange::new(site, *transport)))
            }
        }
    }

    /// Decodes the next command. `input` starts where the last step's `consumed` ended. After
    /// [`Decoded::Incomplete`] it contains the same bytes with more after them; the decoder does not
    /// examine bytes twice.
    #[inline]
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match self {
            Codec::Undecided => match input.first() {
                None => Step {
                    consumed: 0,
                    decoded: Decoded::Incomplete,
                },
                Some(&first) => {
                    *self = if usize::from(first) <= FRAME_HEADER_LEN_MAX >> 8 {
                        Codec::Frame(frame::Decoder::default())
                    } else {
                        Codec::Text(text::Decoder::default())
                    };
                    self.decode(input)
                }
            },
            Codec::Text(decoder) => decoder.decode(input),
            Codec::Frame(decoder) => decoder.decode(input),
            Codec::Opening(opening) => {
                *self = match opening.judge(input) {
                    Beginning::Unknown => {
                        return Step {
                            consumed: 0,
                            decoded: Decoded::Incomplete,
                        };
                    }
                    Beginning::Http(site) => Codec::Http(Box::new(http::Exchange::new(site))),
                    Beginning::Other => Codec::Undecided,
                };
                self.decode(input)
            }
            Codec::Http(exchange) => exchange.decode(input),
            Codec::Dns(exchange) => exchange.decode(input),
            // One frame is answered, and its answer is the last.
            Codec::Parts(_) => Step {
                consumed: input.len(),
                decoded: Decoded::Incomplete,
            },
        }
    }

    /// Whether it is certain without decoding that this input is no whole command.
    #[inline]
    #[must_use]
    pub fn needs_input(&self, input: &[u8]) -> bool {
        input.is_empty() && matches!(self, Codec::Text(_))
    }

    /// The heartbeats at the front of the input that are in their usual form, `max` at most, if there is one.
    #[inline]
    pub fn heartbeats(&self, input: &[u8], max: usize) -> Option<Heartbeats> {
        match self {
            Codec::Text(decoder) => decoder.heartbeats(input, max),
            _ => None,
        }
    }

    /// The command at the front of the input, with the bytes that it takes, if it is a frequent one in its
    /// usual form.
    #[inline]
    pub fn frequent<'a>(&mut self, input: &'a [u8]) -> Option<(Frequent<'a>, usize)> {
        match self {
            Codec::Text(decoder) => decoder.frequent(input),
            Codec::Http(exchange) => exchange.frequent(input),
            _ => None,
        }
    }

    /// Decodes the rest when the peer has ended its input: `rest` is the input that the last
    /// [`decode`](Self::decode) did not consume, and it was [`Decoded::Incomplete`].
    pub fn finish<'a>(&mut self, rest: &'a [u8]) -> Decoded<'a> {
        match self {
            Codec::Undecided | Codec::Parts(_) | Codec::Dns(_) => Decoded::Incomplete,
            Codec::Opening(_) if rest.is_empty() => Decoded::Incomplete,
            // A line without its end is a command, but no HTTP request.
            Codec::Opening(_) => {
                let mut decoder = text::Decoder::default();
                let decoded = decoder.finish(rest);
                *self = Codec::Text(decoder);
                decoded
            }
            Codec::Http(exchange) => exchange.finish(rest),
            Codec::Text(decoder) => decoder.finish(rest),
            Codec::Frame(decoder) => decoder.finish(rest),
        }
    }

    /// Milliseconds that a request may take from its first byte to its last.
    #[must_use]
    pub fn request_ms_max(&self) -> u64 {
        match self {
            Codec::Undecided | Codec::Opening(_) | Codec::Text(_) => LINE_MS_MAX,
            Codec::Frame(_) | Codec::Parts(_) => FRAME_MS_MAX,
            Codec::Http(_) => HTTP_MS_MAX,
            Codec::Dns(_) => DNS_MS_MAX,
        }
    }

    /// Milliseconds in which a request must be complete, where those are usually `usual`, if there is a
    /// limit.
    #[must_use]
    pub fn idle_ms_max(&self, usual: Option<u64>) -> Option<u64> {
        match self {
            Codec::Dns(_) => Some(usual.unwrap_or(u64::MAX).min(DNS_IDLE_MS_MAX)),
            _ => usual,
        }
    }

    /// The refusal of a request that takes longer.
    #[must_use]
    pub fn overdue(&self) -> Refusal {
        match self {
            Codec::Undecided | Codec::Opening(_) | Codec::Text(_) => Refusal::LineOverdue,
            Codec::Frame(_) | Codec::Parts(_) => Refusal::FrameOverdue,
            Codec::Http(_) => Refusal::Http(HttpRefusal::Overdue),
            Codec::Dns(_) => Refusal::Dns(DnsRefusal::Overdue),
        }
    }

    /// Whether a part of a request was consumed, and the rest of it is still to come.
    #[must_use]
    pub fn is_amid_request(&self) -> bool {
        matches!(self, Codec::Http(exchange) if exchange.is_amid_request())
    }

    /// Appends the reply to one command. It is a line if the peer has sent nothing yet.
    #[inline]
    pub fn encode(&mut self, reply: &Reply, output: &mut Output) {
        match self {
            Codec::Undecided | Codec::Opening(_) | Codec::Text(_) => text::encode(reply, output),
            Codec::Frame(_) | Codec::Parts(_) => frame::encode(reply, output),
            Codec::Http(exchange) => exchange.encode(reply, output),
            Codec::Dns(exchange) => exchange.encode(reply, output),
        }
    }

    /// Appends an answer with nothing in it in place of the last one, where the format has such.
    pub fn encode_cut(&mut self, output: &mut Output) {
        if let Codec::Dns(exchange) = self {
            exchange.encode_cut(output);
        }
    }

    /// A number that the last answer has in common with others of its kind.
    #[must_use]
    pub fn alike(&self) -> u64 {
        match self {
            Codec::Dns(exchange) => exchange.alike(),
            _ => 0,
        }
    }

    /// Tells the peer to send the rest of its request.
    pub fn encode_interim(&mut self, output: &mut Output) {
        if let Codec::Http(exchange) = self {
            exchange.encode_interim(output);
        }
    }

    /// Appends what comes before the updates for a watcher.
    pub fn open_stream(&mut self, peer: &Peer, output: &mut Output) {
        if let Codec::Http(exchange) = self {
            exchange.open_stream(peer, output);
        }
    }

    /// Appends what comes after the updates for a watcher, or the keepalives of a lease.
    pub fn close_stream(&mut self, output: &mut Output) {
        if let Codec::Http(exchange) = self {
            exchange.close_stream(output);
        }
    }

    /// Whether the answer goes on as long as what the peer holds.
    #[must_use]
    pub fn is_lease(&self) -> bool {
        matches!(self, Codec::Http(exchange) if exchange.is_lease())
    }

    /// Appends a part of an answer. A frame is appended whole, with the last part. Returns why the
    /// session ends after the part, if it does.
    pub fn encode_part(&mut self, part: &Part, output: &mut Output) -> Option<CloseReason> {
        match self {
            Codec::Undecided | Codec::Opening(_) | Codec::Text(_) => {
                text::encode_part(part, output);
                None
            }
            Codec::Http(exchange) => exchange.encode_part(part, output),
            // Its answers have no parts.
            Codec::Dns(_) => None,
            Codec::Frame(_) => {
                *self = Codec::Parts(Box::default());
                self.encode_part(part, output)
            }
            Codec::Parts(collector) => {
                collector.push(part, output);
                part.is_last.then_some(CloseReason::Done)
            }
        }
    }

    /// Whether a long answer is collected whole before it is sent.
    #[must_use]
    pub fn collects(&self) -> bool {
        matches!(self, Codec::Frame(_) | Codec::Parts(_))
    }

    /// Whether a peer may be let wait until a question can be answered: who speaks HTTP or DNS has statuses
    /// for that, and tries again.
    #[must_use]
    pub fn waits(&self) -> bool {
        !matches!(self, Codec::Http(_) | Codec::Dns(_))
    }

    /// Bytes of a request or of an answer of which parts are still missing.
    #[must_use]
    pub fn collected_len(&self) -> usize {
        match self {
            Codec::Parts(collector) => collector.memory_len(),
            Codec::Http(exchange) => exchange.collected_len(),
            _ => 0,
        }
    }

    /// Calls `take` with each piece of an update, such as a line, that is sent as a whole or not at all.
    pub fn render(&self, update: &Update, take: impl FnMut(&Bytes)) {
        match self {
            Codec::Http(exchange) => exchange.render(update, take),
            _ => watch::for_each_line(update, take),
        }
    }

    /// Why the session ends after this reply, if it does: a frame connection carries one frame each
    /// way, and some refusals end the session.
    #[inline]
    #[must_use]
    pub fn ends_with(&self, reply: &Reply) -> Option<CloseReason> {
        match (self, reply) {
            (Codec::Http(exchange), _) => exchange.ends_with(reply),
            (Codec::Dns(exchange), _) => exchange.ends_with(reply),
            (_, Reply::Bye) => Some(CloseReason::Done),
            (Codec::Frame(_) | Codec::Parts(_), Reply::Refused(refusal)) => {
                refusal.close_reason().or(Some(CloseReason::Done))
            }
            (Codec::Frame(_) | Codec::Parts(_), _) => Some(CloseReason::Done),
            (_, Reply::Refused(refusal)) => refusal.close_reason(),
            _ => None,
        }
    }
}
