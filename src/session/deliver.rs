//! Deliveries from the service: the reply to a parked request, or an update for a watcher.

use std::collections::VecDeque;

use super::Session;
use crate::message::{Bytes, Delivery, Update};
use crate::time::Moment;

/// The result of a delivery.
#[derive(Debug)]
pub enum Delivered {
    /// The session does not expect it.
    Ignored,
    /// The parked request is answered.
    Answered,
    /// This line is pending.
    Queued(Bytes),
    /// The watcher lags: these pending lines are dropped, and it needs a snapshot.
    Lagged(VecDeque<Bytes>),
}

impl Session {
    /// Takes a delivery from the service. The session sends it when it is next served.
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
        let (wants, pending) = (self.wants_snapshot(), self.has_pending());
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
        self.mark_pending(pending, now);
        Delivered::Queued(line)
    }

    /// Moves a watcher's next updates into the output.
    #[inline]
    pub(super) fn refill(&mut self, now: Moment) {
        if let Some(feed) = &mut self.feed
            && self.output.is_empty()
            && !feed.is_empty()
        {
            feed.refill(&mut self.output);
            self.updated_at = now;
        }
    }
}
