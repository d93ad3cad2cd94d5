//! The bound on the pending output of all connections together.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::limits::WAITING_LEN_MAX;
use crate::message::Bytes;
use crate::session::Session;
use crate::time::Moment;

/// The pending output of all connections between two turns. An answer that several connections
/// share counts once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    len: usize,
    /// The number of connections with each shared answer pending, by the answer's address in memory,
    /// which is stable as long as one of them keeps it.
    shares: HashMap<*const Vec<u8>, usize>,
    /// The connections with pending output in the order in which the bound closes them: longest
    /// pending first, but those that hold or watch last.
    closing_order: BTreeSet<(bool, Moment, usize)>,
}

impl Waiting {
    /// Counts the pending output of the connection `key`, if there is any.
    pub(super) fn add(&mut self, key: usize, session: &Session) {
        let Some(since) = session.pending_since() else {
            return;
        };
        self.closing_order
            .insert((session.peer().stays(), since, key));
        self.len += session.output().own_capacity();
        for answer in session.shared() {
            self.share(answer);
        }
    }

    /// Counts one more shared answer of a connection that was [added](Self::add) already.
    pub(super) fn share(&mut self, answer: &Bytes) {
        let holders = self.shares.entry(Rc::as_ptr(answer)).or_insert(0);
        *holders += 1;
        if *holders == 1 {
            self.len += answer.len();
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
        if *holders == 0 {
            self.shares.remove(&address);
            self.len -= answer.len();
        }
    }

    /// Reverts [`add`](Self::add). Must be called before the session's output changes.
    pub(super) fn remove(&mut self, key: usize, session: &Session) {
        let Some(since) = session.pending_since() else {
            return;
        };
        self.settle(key, session, since, session.output().own_capacity());
        session.shared().for_each(|answer| self.unshare(answer));
    }

    /// Removes a session whose shared answers are no longer counted. `since` is the moment since which
    /// its output was pending, `own_len` the bytes of its own that were counted.
    pub(super) fn settle(&mut self, key: usize, session: &Session, since: Moment, own_len: usize) {
        self.closing_order
            .remove(&(session.peer().stays(), since, key));
        self.len -= own_len;
    }

    /// Pending bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The connection to close next, if the pending output is over its limit.
    pub(super) fn excess(&self) -> Option<usize> {
        if self.len <= WAITING_LEN_MAX {
            return None;
        }
        self.closing_order.first().map(|&(_, _, key)| key)
    }
}
