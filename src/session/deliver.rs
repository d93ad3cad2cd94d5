//! Deliveries from the service: the reply to a parked request, a part of an answer, or an update for
//! a watcher.

use std::collections::VecDeque;

use super::{Awaited, Session};
use crate::message::{Bytes, Delivery, Part, Update};
use crate::time::Moment;

/// The result of a delivery.
#[derive(Debug)]
pub enum Delivered {
    /// The session does not expect it.
    Ignored,
    /// The request, or a part of its answer, is answered.
    Answered,
    /// A part of the snapshot is pending.
    Snapshot(Bytes),
    /// So many lines are pending, and are the [latest](Session::latest).
    Queued(usize),
    /// The watcher lags: these pending lines are dropped, and it needs a snapshot.
    Lagged(VecDeque<Bytes>),
}

impl Session {
    /// Takes a delivery from the service. The session sends it when it is next served.
    /// A watcher may have `feed_len_max` bytes of deltas pending.
    pub fn deliver(&mut self, delivery: &Delivery, now: Moment, feed_len_max: usize) -> Delivered {
        match (delivery, self.awaited) {
            (Delivery::Reply(reply), Some(Awaited::Reply { .. })) => {
                self.awaited = None;
                self.completed_at = now;
                self.answer(reply, now);
                Delivered::Answered
            }
            (Delivery::Wake, Some(Awaited::Wake { .. })) => {
                self.awaited = None;
                Delivered::Answered
            }
            (Delivery::Part(part), Some(Awaited::Part)) => {
                self.answer_part(part, now);
                Delivered::Answered
            }
            (Delivery::Reply(_) | Delivery::Wake | Delivery::Part(_), _) => Delivered::Ignored,
            (Delivery::Update(Update::Keepalive(_)), _) if !self.is_silent(now) => {
                Delivered::Ignored
            }
            (Delivery::Update(update), _) => self.tell(update, now, feed_len_max),
        }
    }

    fn answer_part(&mut self, part: &Part, now: Moment) {
        self.mark_pending(self.has_pending(), now);
        let end = self.codec.encode_part(part, &mut self.output);
        if !self.output.is_empty() {
            self.answer_since.get_or_insert(now);
        }
        if part.is_last {
            self.awaited = None;
            self.completed_at = now;
        }
        if let Some(reason) = end {
            self.close(reason);
        }
    }

    fn tell(&mut self, update: &Update, now: Moment, feed_len_max: usize) -> Delivered {
        let pending = self.has_pending();
        let Some(feed) = &mut self.feed else {
            return Delivered::Ignored;
        };
        let codec = &self.codec;
        let delivered = match update {
            Update::Snapshot(snapshot) if feed.expects(snapshot.share) => {
                let mut part = Bytes::default();
                codec.render(update, |line| part = Bytes::clone(line));
                feed.add_part(snapshot.share, Bytes::clone(&part));
                Delivered::Snapshot(part)
            }
            Update::Snapshot(_) => return Delivered::Ignored,
            _ if feed.needs_snapshot() => return Delivered::Ignored,
            _ => {
                let (mut count, mut len) = (0, 0);
                codec.render(update, |line| (count, len) = (count + 1, len + line.len()));
                if !feed.has_room(len, &self.output, feed_len_max) {
                    return Delivered::Lagged(feed.lag());
                }
                codec.render(update, |line| feed.push(Bytes::clone(line)));
                Delivered::Queued(count)
            }
        };
        self.mark_pending(pending, now);
        delivered
    }

    /// The `count` pending lines that were added last.
    pub fn latest(&self, count: usize) -> impl Iterator<Item = &Bytes> {
        self.feed.iter().flat_map(move |feed| feed.latest(count))
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
