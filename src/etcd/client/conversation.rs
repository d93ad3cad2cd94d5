//! One connection to a member, and the answers on it.

use std::net::SocketAddr;

use crate::etcd::elements::{Elements, Found};
use crate::etcd::http::{Answers, Malformed, Part};
use crate::limits::ETCD_CONNECT_MS_MAX;
use crate::message::LinkCommand;

/// A connection to a member of etcd.
pub(super) struct Conversation {
    link: usize,
    state: State,
    answers: Answers,
    elements: Elements,
    status: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Connecting,
    Open,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Found(Found),
    /// The answer is whole.
    End,
}

/// An answer that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled {
    /// The status of the answer; 0 where there is none.
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

impl Conversation {
    pub(super) fn new(link: usize) -> Self {
        Conversation {
            link,
            state: State::Closed,
            answers: Answers::default(),
            elements: Elements::default(),
            status: 0,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The status of the answer that is being read.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The text of what was heard last.
    pub(super) fn text(&self) -> &[u8] {
        self.elements.text()
    }

    /// Bytes of memory for what is held of answers.
    pub(super) fn memory_len(&self) -> usize {
        self.answers.memory_len() + self.elements.memory_len()
    }

    pub(super) fn open(&mut self, address: SocketAddr) -> LinkCommand {
        *self = Conversation {
            state: State::Connecting,
            ..Conversation::new(self.link)
        };
        LinkCommand::Open {
            link: self.link,
            address,
            within_ms: ETCD_CONNECT_MS_MAX,
        }
    }

    pub(super) fn on_opened(&mut self) {
        self.state = State::Open;
    }

    /// The link has ended by itself.
    pub(super) fn on_closed(&mut self) {
        *self = Conversation::new(self.link);
    }

    /// Closes the connection, if there is one.
    pub(super) fn close(&mut self) -> Option<LinkCommand> {
        let is_there = !self.is_closed();
        self.on_closed();
        is_there.then_some(LinkCommand::Close { link: self.link })
    }

    pub(super) fn send(&self, bytes: Vec<u8>) -> LinkCommand {
        let link = self.link;
        LinkCommand::Send { link, bytes }
    }

    /// Reads `input` to what is heard next, and moves it on. `None` where all of it was read.
    pub(super) fn hear(&mut self, input: &mut &[u8]) -> Result<Option<Heard>, Garbled> {
        loop {
            let (used, part) = self
                .answers
                .take(input)
                .map_err(|error| self.garbled(error))?;
            *input = &input[used..];
            match part {
                None if used == 0 || input.is_empty() => return Ok(None),
                None => {}
                Some(Part::End) => return Ok(Some(Heard::End)),
                Some(Part::Head(status)) => {
                    self.status = status;
                    self.elements = Elements::default();
                }
                Some(Part::Body(body)) => {
                    let taken = self.elements.take(body);
                    let (used, found) = taken.map_err(|error| self.garbled(error))?;
                    self.answers.advance(used);
                    *input = &input[used..];
                    if let Some(found) = found {
                        return Ok(Some(Heard::Found(found)));
                    }
                }
            }
        }
    }

    fn garbled(&self, error: Malformed) -> Garbled {
        Garbled {
            status: self.status,
            reason: error.0,
        }
    }
}
