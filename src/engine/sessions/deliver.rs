//! Deliveries of the service to sessions.

use super::{Connection, Sessions};
use crate::engine::ready::Reason;
use crate::engine::waiting::Counted;
use crate::limits::{HEAVY_LEN_MIN, OUTPUT_WAITING_LEN_MAX};
use crate::message::{Delivery, Reply, Update};
use crate::session::{Delivered, Session};
use crate::time::Moment;

impl<T> Sessions<T> {
    /// The session's answers need not wait any more.
    pub(in crate::engine) fn open_gate(&mut self, key: usize) {
        self.enqueue(key, Reason::Woken);
    }

    /// Hands a delivery to a session. Returns whether the session lagged on it and therefore needs a
    /// snapshot.
    pub(in crate::engine) fn deliver(
        &mut self,
        key: usize,
        delivery: &Delivery,
        now: Moment,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        let is_part = matches!(
            delivery,
            Delivery::Part(_) | Delivery::Update(Update::Snapshot(_))
        );
        if is_part {
            connection.waits_for_part = false;
        }
        match delivery {
            Delivery::Reply(_) | Delivery::Wake | Delivery::Part(_) => {
                self.answer(key, |session| {
                    session.deliver(delivery, now, OUTPUT_WAITING_LEN_MAX);
                })
            }
            Delivery::Update(_) => return self.tell(key, delivery, now),
        }
        false
    }

    /// Lets the session try its blocked request again.
    pub(in crate::engine) fn wake(&mut self, key: usize) {
        self.answer(key, Session::wake);
    }

    /// Refuses the session's incomplete request, which ends the session.
    pub(in crate::engine) fn refuse_incomplete(
        &mut self,
        key: usize,
        refusal: &Reply,
        now: Moment,
    ) {
        self.answer(key, |session| session.refuse_incomplete(refusal, now));
    }

    /// Lets the session append an answer by means of `append`, and serves it soon.
    fn answer(&mut self, key: usize, append: impl FnOnce(&mut Session)) {
        let Connection {
            session, is_heavy, ..
        } = &mut self.connections[key];
        self.waiting.remove(key, session);
        append(session);
        self.waiting.add(key, session);
        *is_heavy |= session.output().len() >= HEAVY_LEN_MIN;
        // Requests that arrived after a parked one can be run now.
        self.enqueue(key, Reason::Woken);
        self.arm(key);
    }

    fn tell(&mut self, key: usize, delivery: &Delivery, now: Moment) -> bool {
        let feed_len_max = self.bounds().feed_len_max;
        let connection = &mut self.connections[key];
        let session = &mut connection.session;
        let before = Counted::of(key, session);
        let delivered = session.deliver(delivery, now, feed_len_max);
        if let Delivered::Ignored = delivered {
            return false;
        }
        self.waiting.recount(before, Counted::of(key, session));
        let is_urgent = match &delivered {
            Delivered::Queued(count) => {
                let lines = session.latest(*count);
                lines.for_each(|line| self.waiting.share(line));
                connection.transport.is_writable()
            }
            Delivered::Snapshot(line) => {
                self.waiting.share(line);
                connection.is_heavy |= line.len() >= HEAVY_LEN_MIN;
                true
            }
            // It asks for a snapshot when it is served and its peer has read the rest.
            Delivered::Lagged(dropped) => {
                dropped.iter().for_each(|line| self.waiting.unshare(line));
                true
            }
            Delivered::Ignored | Delivered::Answered => true,
        };
        if is_urgent {
            self.enqueue(key, Reason::Woken);
        }
        self.arm(key);
        matches!(delivered, Delivered::Lagged(_))
    }
}
