//! The bounds on the memory that all connections together take for what they have not read.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::limits::{
    CLOSED_FIRST_LEN_MIN, SHARED_ANSWER_LEN, WAITING_ADMIT_LEN_MAX, WAITING_LEN_MAX,
};
use crate::message::Bytes;
use crate::session::Session;
use crate::time::Moment;

/// Bytes that a connection's list of pending lines takes for each.
const ENTRY_LEN: usize = 2 * size_of::<Bytes>();

/// Shared answers for which the map keeps its memory when it is empty.
const SHARES_KEPT: usize = 1024;

/// The memory of all connections between two turns for pending output and for commands that are not run
/// yet. An answer that several connections share counts once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    len: usize,
    /// The number of connections with each shared answer pending, by the answer's address in memory,
    /// which is stable as long as one of them keeps it.
    shares: HashMap<*const Vec<u8>, usize>,
    /// The connections that take memory, in the reverse of the order in which the bound closes them.
    closing_order: BTreeSet<Place>,
}

/// The place of a connection in the order of closing: those whose closing helps go first, and of these
/// the one that began last to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_heavy: bool,
    since: Moment,
    key: usize,
}

/// What was counted of a connection, without what it shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    place: Place,
    own_len: usize,
}

impl Counted {
    /// What is counted of the connection `key` in its present state; nothing if it takes no memory.
    pub(super) fn of(key: usize, session: &Session) -> Option<Counted> {
        let own_len = session.kept_len();
        let since = session.kept_since()?;
        let is_heavy = own_len + session.output().len() >= CLOSED_FIRST_LEN_MIN;
        Some(Counted {
            place: Place {
                is_heavy,
                since,
                key,
            },
            own_len,
        })
    }
}

impl Waiting {
    /// Counts the memory of the connection `key`, if it takes any.
    pub(super) fn add(&mut self, key: usize, session: &Session) {
        self.recount(None, Counted::of(key, session));
        for answer in session.shared() {
            self.share(answer);
        }
    }

    /// Counts one more shared answer of a connection that was [added](Self::add) already.
    pub(super) fn share(&mut self, answer: &Bytes) {
        let holders = self.shares.entry(Rc::as_ptr(answer)).or_insert(0);
        *holders += 1;
        self.len += ENTRY_LEN;
        if *holders == 1 {
            self.len += answer.len() + SHARED_ANSWER_LEN;
        }
    }

    /// Reverts one [`share`](Self::share).
    pub(super) fn unshare(&mut self, answer: &Bytes) {
        let address = Rc::as_ptr(answer);
        let holders = self
            .shares
            .get_mut(&address)
            .expect("the answer was counted by `share`");
        *holders -= 1;
        self.len -= ENTRY_LEN;
        if *holders == 0 {
            self.shares.remove(&address);
            self.len -= answer.len() + SHARED_ANSWER_LEN;
        }
        if self.shares.is_empty() && self.shares.capacity() > SHARES_KEPT {
            self.shares = HashMap::new();
        }
    }

    /// Reverts [`add`](Self::add). Must be called before the session changes.
    pub(super) fn remove(&mut self, key: usize, session: &Session) {
        if let Some(counted) = Counted::of(key, session) {
            self.settle(counted);
            session.shared().for_each(|answer| self.unshare(answer));
        }
    }

    /// Counts a connection as it is `now` and not as it was `before`, without what it shares.
    pub(super) fn recount(&mut self, before: Option<Counted>, now: Option<Counted>) {
        if let Some(counted) = before {
            self.settle(counted);
        }
        if let Some(counted) = now {
            self.closing_order.insert(counted.place);
            self.len += counted.own_len;
        }
    }

    fn settle(&mut self, counted: Counted) {
        self.closing_order.remove(&counted.place);
        self.len -= counted.own_len;
    }

    /// Bytes of all of it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that long answers may still take.
    pub(super) fn room(&self) -> usize {
        WAITING_ADMIT_LEN_MAX.saturating_sub(self.len)
    }

    /// Whether it is over its bound.
    pub(super) fn is_over(&self) -> bool {
        self.len > WAITING_LEN_MAX
    }

    /// The connection to close first.
    pub(super) fn last_begun(&self) -> Option<usize> {
        self.closing_order.last().map(|place| place.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_list_of_shared_answers_took_is_given_back() {
        let mut waiting = Waiting::default();
        let answers: Vec<Bytes> = (0..100 * SHARES_KEPT).map(|_| Bytes::default()).collect();
        answers.iter().for_each(|answer| waiting.share(answer));
        answers.iter().for_each(|answer| waiting.unshare(answer));
        assert_eq!(waiting, Waiting::default());
        assert!(waiting.shares.capacity() <= 2 * SHARES_KEPT);
    }
}
