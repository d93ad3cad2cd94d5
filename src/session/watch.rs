//! A connection that watches: what it is told, and when.

use std::rc::Rc;

use super::{Phase, Session};
use crate::limits::WATCH_SILENCE_MS;
use crate::message::{Bytes, Update};
use crate::time::Moment;

impl Session {
    /// Whether the connection watches, and is told nothing before the whole state.
    #[must_use]
    pub fn needs_state(&self) -> bool {
        self.phase == Phase::Open && self.feed.as_ref().is_some_and(|feed| feed.needs_state())
    }

    /// Whether a watcher can be told the whole state now: nothing else waits.
    #[must_use]
    pub fn wants_state(&self) -> bool {
        self.needs_state() && self.output.is_empty()
    }

    /// The bytes of an update in this connection's format.
    #[must_use]
    pub fn render(&self, update: &Update) -> Bytes {
        self.codec.render(update)
    }

    /// Whether `line` may wait for this watcher with what waits already.
    #[must_use]
    pub fn has_room_for(&self, line: &[u8]) -> bool {
        self.feed
            .as_ref()
            .is_some_and(|feed| feed.has_room(line.len(), &self.output))
    }

    /// Tells a watcher of a change, for which there is room.
    pub fn tell(&mut self, line: &Rc<Vec<u8>>, now: Moment) {
        self.note_waiting(now);
        if let Some(feed) = &mut self.feed {
            feed.push(line);
        }
    }

    /// Drops what waits for a watcher that is too slow; it is told the whole state when it has read
    /// what it was being sent.
    pub fn fall_behind(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.fall_behind();
        }
    }

    /// Tells a watcher the whole state, which it [wants](Self::wants_state).
    pub fn restart(&mut self, state: &Rc<Vec<u8>>, now: Moment) {
        self.note_waiting(now);
        if let Some(feed) = &mut self.feed {
            feed.restart(state);
        }
    }

    /// Moves what a watcher is to be told next to where it is sent from; `true` when there is
    /// something.
    pub fn refill(&mut self, now: Moment) -> bool {
        match &mut self.feed {
            Some(feed) if self.output.is_empty() && !feed.is_empty() => {
                feed.refill(&mut self.output);
                self.told_at = now;
                true
            }
            _ => false,
        }
    }

    /// Whether a watcher was told nothing for so long that it is to be told that.
    #[must_use]
    pub fn is_silent(&self, now: Moment) -> bool {
        self.silent_at().is_some_and(|at| at <= now)
    }

    pub(super) fn silent_at(&self) -> Option<Moment> {
        let told =
            self.phase == Phase::Open && self.feed.is_some() && !self.needs_state() && !self.owes();
        told.then(|| self.told_at.plus_millis(WATCH_SILENCE_MS))
    }
}
