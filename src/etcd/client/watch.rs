//! The watch: one stream of all changes, probed when it is silent.

use super::Cause;
use super::conversation::{Conversation, Garbled, Heard};
use crate::etcd::answers::{Event, Header, Line};
use crate::etcd::elements::Found;
use crate::etcd::failure::{Failure, FailureKind};
use crate::etcd::messages::{PROBE, chunk};
use crate::limits::ETCD_SILENCE_MS;
use crate::message::LinkCommand;
use crate::time::Moment;

pub(super) struct Watch {
    pub(super) conversation: Conversation,
    /// When a byte came last.
    heard: Moment,
    is_probed: bool,
    /// The revision of the latest change of the line that is being read.
    line_revision: u64,
}

/// What the watch has told.
#[derive(Debug)]
pub(super) enum Told {
    Change(Event),
    LeftOut,
    /// The watch has begun; the revision may be older than what was seen.
    Created(Header),
    /// All changes to this revision were told.
    LineEnds(u64),
    /// A sign of life.
    Alive,
    /// The revision to begin with was compacted.
    Compacted,
    Over(Cause),
}

impl Watch {
    pub(super) fn new(link: usize) -> Self {
        Watch {
            conversation: Conversation::new(link),
            heard: Moment::START,
            is_probed: false,
            line_revision: 0,
        }
    }

    pub(super) fn begin(&mut self, now: Moment) {
        self.on_bytes(now);
        self.line_revision = 0;
    }

    pub(super) fn on_bytes(&mut self, now: Moment) {
        self.heard = now;
        self.is_probed = false;
    }

    /// When the watch is probed, or is dead. It counts from the moment at which it was opened.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let silences = 1 + u64::from(self.is_probed);
        self.conversation
            .is_open()
            .then(|| self.heard.plus_millis(silences * ETCD_SILENCE_MS))
    }

    /// Probes a watch that is silent. `Err` where it was probed and is silent still.
    pub(super) fn look(&mut self, now: Moment) -> Result<Option<LinkCommand>, Cause> {
        match self.next_due() {
            Some(due) if due > now => Ok(None),
            Some(_) if self.is_probed => Err(Cause::SilentWatch),
            Some(_) => {
                self.is_probed = true;
                Ok(Some(self.conversation.send(chunk(PROBE))))
            }
            None => Ok(None),
        }
    }

    /// What the input tells next; `None` where all of it was read.
    pub(super) fn hear(&mut self, input: &mut &[u8]) -> Result<Option<Told>, Garbled> {
        let told = match self.conversation.hear(input)? {
            None => return Ok(None),
            Some(Heard::End) => Told::Over(Cause::Ended),
            Some(Heard::Found(Found::TooLong)) => Told::LeftOut,
            Some(Heard::Found(Found::Element)) => self.change(),
            Some(Heard::Found(Found::Document)) => self.line(),
        };
        Ok(Some(told))
    }

    fn change(&mut self) -> Told {
        match serde_json::from_slice::<Event>(self.conversation.text()) {
            Ok(event) => {
                let revision = event.key_value().mod_revision;
                self.line_revision = self.line_revision.max(revision);
                Told::Change(event)
            }
            Err(_) => Told::LeftOut,
        }
    }

    fn line(&mut self) -> Told {
        let text = self.conversation.text();
        let result = match serde_json::from_slice::<Line>(text) {
            Ok(line) => line.result,
            Err(_) => return Told::Over(failed(text, self.conversation.status())),
        };
        let revision = std::mem::take(&mut self.line_revision);
        if result.canceled && result.compact_revision > 0 {
            Told::Compacted
        } else if result.canceled {
            Told::Over(Cause::Canceled(result.cancel_reason))
        } else if result.created {
            Told::Created(result.header)
        } else if revision > 0 {
            Told::LineEnds(revision)
        } else {
            Told::Alive
        }
    }
}

/// What a document that is no answer means.
pub(super) fn failed(document: &[u8], status: u16) -> Cause {
    match Failure::of_document(document) {
        Some(failure) => Cause::Failed(failure),
        None => Cause::Garbled(status, "what came is no answer of etcd's"),
    }
}

/// Whether a new token may help. A watch is canceled without a code, and most often for its token.
pub(super) fn needs_token(cause: &Cause) -> bool {
    match cause {
        Cause::Canceled(_) => true,
        Cause::Failed(failure) => failure.kind() == FailureKind::Credentials,
        _ => false,
    }
}
