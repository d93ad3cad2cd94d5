//! Calls: one request at a time, and its answer.

use super::Cause;
use super::conversation::{Conversation, Garbled, Heard};
use super::watch::failed;
use crate::etcd::answers::{Document, KeyValue, NestedAnswer};
use crate::etcd::elements::Found;
use crate::etcd::messages::WriteOutcome;
use crate::limits::{ETCD_CALL_MS_MAX, ETCD_WRITES_MAX};
use crate::message::LinkCommand;
use crate::time::Moment;

pub(super) struct Calls {
    pub(super) conversation: Conversation,
    asked: Option<Asked>,
    /// Until when the answer must be there.
    until: Moment,
    document: Option<Result<Document, Cause>>,
    /// What has become of the writes so far.
    outcomes: Vec<WriteOutcome>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Version,
    Token,
    /// The checked key.
    Check,
    /// The number of all keys.
    Size,
    /// A page of all keys.
    Page,
    /// What the user of the client has called.
    Call,
    /// The writes of a call, each by itself: together they have failed.
    Apart,
}

/// What the answer has told.
#[derive(Debug)]
pub(super) enum Told {
    /// A key of what was asked for.
    Key(Asked, KeyValue),
    LeftOut,
    /// The answer is whole.
    Whole(Asked, Result<Document, Cause>),
}

impl Calls {
    pub(super) fn new(link: usize) -> Self {
        Calls {
            conversation: Conversation::new(link),
            asked: None,
            until: Moment::START,
            document: None,
            outcomes: Vec::new(),
        }
    }

    /// Whether a request may be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.conversation.is_open() && self.asked.is_none()
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        self.asked.map(|_| self.until)
    }

    pub(super) fn ask(&mut self, asked: Asked, request: Vec<u8>, now: Moment) -> LinkCommand {
        debug_assert!(self.is_idle());
        self.asked = Some(asked);
        self.until = now.plus_millis(ETCD_CALL_MS_MAX);
        self.document = None;
        self.outcomes.clear();
        self.conversation.send(request)
    }

    /// A long page has its time from the last byte.
    pub(super) fn on_bytes(&mut self, now: Moment) {
        if self.asked == Some(Asked::Page) {
            self.until = now.plus_millis(ETCD_CALL_MS_MAX);
        }
    }

    pub(super) fn close(&mut self) -> Option<LinkCommand> {
        self.asked = None;
        self.conversation.close()
    }

    /// What has become of the writes, when the answer is whole.
    pub(super) fn outcomes(&mut self) -> Vec<WriteOutcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// What the input tells next; `None` where all of it was read.
    pub(super) fn hear(&mut self, input: &mut &[u8]) -> Result<Option<Told>, Garbled> {
        while let Some(heard) = self.conversation.hear(input)? {
            let Some(asked) = self.asked else {
                return Err(self.garbled("an answer came that nobody had asked for"));
            };
            match heard {
                Heard::Found(Found::TooLong) => return Ok(Some(Told::LeftOut)),
                Heard::Found(Found::Element) if asked == Asked::Call => {
                    self.on_outcome(WriteOutcome::Done)?;
                }
                Heard::Found(Found::Element) if asked == Asked::Apart => self.outcome()?,
                Heard::Found(Found::Element) => return Ok(Some(self.key(asked))),
                Heard::Found(Found::Document) => self.document = Some(self.read()),
                Heard::End => {
                    let empty = Err(Cause::Garbled(self.conversation.status(), "nothing came"));
                    let document = self.document.take().unwrap_or(empty);
                    self.asked = None;
                    return Ok(Some(Told::Whole(asked, document)));
                }
            }
        }
        Ok(None)
    }

    fn key(&self, asked: Asked) -> Told {
        let read = serde_json::from_slice(self.conversation.text());
        read.map_or(Told::LeftOut, |pair| Told::Key(asked, pair))
    }

    fn outcome(&mut self) -> Result<(), Garbled> {
        let answer = serde_json::from_slice::<NestedAnswer>(self.conversation.text());
        let result = answer
            .map_err(|_| self.garbled("the answer to a write cannot be read"))?
            .response_txn;
        self.on_outcome(if result.succeeded {
            WriteOutcome::Done
        } else {
            WriteOutcome::Found(result.found())
        })
    }

    fn on_outcome(&mut self, outcome: WriteOutcome) -> Result<(), Garbled> {
        if self.outcomes.len() == ETCD_WRITES_MAX {
            return Err(self.garbled("there are more answers than writes"));
        }
        self.outcomes.push(outcome);
        Ok(())
    }

    fn read(&self) -> Result<Document, Cause> {
        let (text, status) = (self.conversation.text(), self.conversation.status());
        match serde_json::from_slice(text) {
            Ok(document) if status == 200 => Ok(document),
            _ => Err(failed(text, status)),
        }
    }

    fn garbled(&self, reason: &'static str) -> Garbled {
        let status = self.conversation.status();
        Garbled { status, reason }
    }
}
