//! What the service has for a session later: the answer to a parked request, or what a watcher is
//! told.

use std::collections::VecDeque;

use super::Session;
use crate::message::{Bytes, Delivery, Update};
use crate::time::Moment;

/// What became of a delivery.
#[derive(Debug)]
pub enum Delivered {
    /// The session does not wait for it.
    Ignored,
    /// The parked request is answered.
    Answered,
    /// This line waits for the peer.
    Queued(Bytes),
    /// The watcher lags: all that waited for it is dropped, and it needs a snapshot.
    Lagged(VecDeque<Bytes>),
}

impl Session {
    /// Takes what the service has for this session. What waits from then on is sent when the session
    /// is next served.
    pub fn deliver(&mut self, delivery: &Delivery, now: Moment) -> Delivered {
        match delivery {
            Delivery::Reply(reply) if self.parked.take().is_some() => {
                self.completed_at = now;
                self.answer(reply, now);
                Delivered::Answered
            }
            Delivery::Reply(_) => Delivered::Ignored,
            Delivery::Update(Update::Keepalive(_)) if !self.is_silent(now) => Delivered::Ignored,
            Delivery::Update(update) => self.tell(update, now),
        }
    }

    fn tell(&mut self, update: &Update, now: Moment) -> Delivered {
        let (wants, owes) = (self.wants_snapshot(), self.owes());
        let Some(feed) = &mut self.feed else {
            return Delivered::Ignored;
        };
        let is_snapshot = matches!(update, Update::Snapshot(_));
        if is_snapshot != feed.needs_snapshot() || is_snapshot != wants {
            return Delivered::Ignored;
        }
        let line = self.codec.render(update);
        if is_snapshot {
            feed.restart(Bytes::clone(&line));
        } else if feed.has_room(line.len(), &self.output) {
            feed.push(Bytes::clone(&line));
        } else {
            return Delivered::Lagged(feed.lag());
        }
        self.note_waiting(owes, now);
        Delivered::Queued(line)
    }

    /// Moves what a watcher is to be told next to where it is sent from.
    #[inline]
    pub(super) fn refill(&mut self, now: Moment) {
        if let Some(feed) = &mut self.feed
            && self.output.is_empty()
            && !feed.is_empty()
        {
            feed.refill(&mut self.output);
            self.told_at = now;
        }
    }
}
