//! The two formats on the wire, told apart by a connection's first byte.
//!
//! Each format is decoded and encoded in one file: [`mod@text`] for people and simple clients,
//! [`mod@frame`] for the length-prefixed JSON of the Python clients. This room sees bytes and
//! [`crate::message`]; it never sees a socket or the registry.

pub mod frame;
mod guard;
mod json;
pub mod output;
pub mod text;
mod watch;

use crate::limits::FRAME_HEADER_LEN_MAX;
use crate::message::{Bytes, CloseReason, Command, Refusal, Reply, Update};
use crate::wire::output::Output;

/// What a decoder found at the front of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// No whole command: call again with the rest and more behind it.
    Incomplete,
    /// A command.
    Command(Command<'a>),
    /// A command that must be answered with this refusal.
    Refused(Refusal),
}

/// One step of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes at the front of the input that are done with, also when no command was found
    /// (an empty line).
    pub consumed: usize,
    /// What they were.
    pub decoded: Decoded<'a>,
}

/// What is spoken at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Text lines or JSON frames: the first byte of each connection, or datagram, decides.
    Registry,
}

/// The format of one connection and how far into its present command the decoder has looked.
#[derive(Debug, Default)]
pub enum Codec {
    /// No byte has come yet.
    #[default]
    Undecided,
    /// Text lines.
    Text(text::Decoder),
    /// JSON frames.
    Frame(frame::Decoder),
}

impl Codec {
    /// The codec for a new connection, or datagram, of this protocol.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Registry => Codec::Undecided,
        }
    }

    /// Decodes the next command. `input` starts where the last step's `consumed` ended, and after
    /// [`Decoded::Incomplete`] it holds the same bytes again with more behind them; what was looked
    /// at is not looked at again.
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
        }
    }

    /// Decodes what is left when the peer has ended its input: `rest` is what the last
    /// [`decode`](Self::decode) left over, and it was [`Decoded::Incomplete`].
    pub fn finish<'a>(&mut self, rest: &'a [u8]) -> Decoded<'a> {
        match self {
            Codec::Undecided => Decoded::Incomplete,
            Codec::Text(decoder) => decoder.finish(rest),
            Codec::Frame(decoder) => decoder.finish(rest),
        }
    }

    /// Appends the answer to one command. Before the first byte of a peer it is a line.
    #[inline]
    pub fn encode(&self, reply: &Reply, output: &mut Output) {
        match self {
            Codec::Undecided | Codec::Text(_) => text::encode(reply, output),
            Codec::Frame(_) => frame::encode(reply, output),
        }
    }

    /// The bytes for an update. Only a text connection watches.
    #[must_use]
    pub fn render(&self, update: &Update) -> Bytes {
        watch::line(update)
    }

    /// Why the session is over once this reply has left, if it is: a frame connection carries one
    /// frame each way, and some refusals leave nothing to go on with.
    #[must_use]
    pub fn ends_with(&self, reply: &Reply) -> Option<CloseReason> {
        match (self, reply) {
            (_, Reply::Bye) => Some(CloseReason::Done),
            (Codec::Frame(_), Reply::Refused(refusal)) => {
                refusal.close_reason().or(Some(CloseReason::Done))
            }
            (Codec::Frame(_), _) => Some(CloseReason::Done),
            (_, Reply::Refused(refusal)) => refusal.close_reason(),
            _ => None,
        }
    }
}
