//! The bound on all waiting answers together.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::limits::WAITING_LEN_MAX;
use crate::message::Bytes;
use crate::session::Session;
use crate::time::Moment;

/// What waits in all connections between two turns. An answer that several connections share
/// counts once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    len: usize,
    /// How many connections wait for each shared answer, by its address in memory: it stays where
    /// it is as long as one of them holds it.
    shares: HashMap<*const Vec<u8>, usize>,
    /// The connections that owe answers, the one that has owed longest first.
    /// Those that hold or watch come last.
    debtors: BTreeSet<(bool, Moment, usize)>,
}

impl Waiting {
    /// Counts what waits in the connection `key`; nothing when nothing does.
    pub(super) fn add(&mut self, key: usize, session: &Session) {
        let Some(since) = session.owes_since() else {
            return;
        };
        self.debtors.insert((session.peer().stays(), since, key));
        self.len += session.output().own_capacity();
        for answer in session.shared() {
            self.share(answer);
        }
    }

    /// Counts one more answer of a connection that was [added](Self::add) already.
    pub(super) fn share(&mut self, answer: &Bytes) {
        let holders = self.shares.entry(Rc::as_ptr(answer)).or_insert(0);
        *holders += 1;
        if *holders == 1 {
            self.len += answer.len();
        }
    }

    /// Takes back one [`share`](Self::share).
    pub(super) fn unshare(&mut self, answer: &Bytes) {
        let address = Rc::as_ptr(answer);
        let holders = self
            .shares
            .get_mut(&address)
            .expect("what is taken back was counted");
        *holders -= 1;
        if *holders == 0 {
            self.shares.remove(&address);
            self.len -= answer.len();
        }
    }

    /// Takes back what [`add`](Self::add) counted; to be called before the session's answers change.
    pub(super) fn remove(&mut self, key: usize, session: &Session) {
        let Some(since) = session.owes_since() else {
            return;
        };
        self.settle(key, session, since, session.output().own_capacity());
        session.shared().for_each(|answer| self.unshare(answer));
    }

    /// The session owes nothing any more since what it shared was taken back: `since` when it owed,
    /// and how many bytes of its own were counted.
    pub(super) fn settle(&mut self, key: usize, session: &Session, since: Moment, own_len: usize) {
        self.debtors.remove(&(session.peer().stays(), since, key));
        self.len -= own_len;
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The connection to close, if more waits than may.
    pub(super) fn excess(&self) -> Option<usize> {
        if self.len <= WAITING_LEN_MAX {
            return None;
        }
        self.debtors.first().map(|&(_, _, key)| key)
    }
}
