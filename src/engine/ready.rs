//! The order in which sessions are served.
//!
//! Three queues, each first in, first out. Those that the service has put off come first, for they
//! have waited for a turn already; while others wait, they get a quarter of its work, so that many
//! whose answers wait for the same thing do not use up every turn. Then those that had nothing to do
//! before, such as a client that sends one request at a time, and those that used up their share last
//! time share the turn: while both wait, the former get three quarters of its work. So a session that
//! asks now and then is served in the next turn, whatever a thousand others send without a pause.

use std::collections::VecDeque;

use crate::limits::TURN_WORK_MAX;

/// Why a session has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// An event or a delivery has come.
    Woken,
    /// It used up its share of the last turn.
    Unfinished,
    /// The service has put its request off.
    PutOff,
}

/// Keys of the sessions that have something to do.
#[derive(Debug, Default)]
pub(super) struct Ready {
    put_off: VecDeque<usize>,
    woken: VecDeque<usize>,
    unfinished: VecDeque<usize>,
}

/// The sessions that may be served in one turn: those that were in a queue when it began.
#[derive(Debug)]
pub(super) struct Round {
    put_off: usize,
    woken: usize,
    unfinished: usize,
    /// Work that was spent on those that were put off.
    put_off_work: u32,
    /// Work that was spent on those that were woken.
    woken_work: u32,
}

impl Ready {
    pub(super) fn push(&mut self, key: usize, reason: Reason) {
        match reason {
            Reason::Woken => self.woken.push_back(key),
            Reason::Unfinished => self.unfinished.push_back(key),
            Reason::PutOff => self.put_off.push_back(key),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.put_off.is_empty() && self.woken.is_empty() && self.unfinished.is_empty()
    }

    pub(super) fn round(&self) -> Round {
        Round {
            put_off: self.put_off.len(),
            woken: self.woken.len(),
            unfinished: self.unfinished.len(),
            put_off_work: 0,
            woken_work: 0,
        }
    }
}

impl Round {
    /// Takes the session that is served next, and why it has something to do.
    pub(super) fn next(&mut self, ready: &mut Ready) -> Option<(usize, Reason)> {
        let others_wait = self.woken > 0 || self.unfinished > 0;
        let put_off_had_their_part = self.put_off_work >= TURN_WORK_MAX / 4;
        let had_their_part = self.woken_work >= TURN_WORK_MAX / 4 * 3;
        let (left, queue, reason) = if self.put_off > 0 && !(put_off_had_their_part && others_wait)
        {
            (&mut self.put_off, &mut ready.put_off, Reason::PutOff)
        } else if self.woken > 0 && !(had_their_part && self.unfinished > 0) {
            (&mut self.woken, &mut ready.woken, Reason::Woken)
        } else {
            let queue = &mut ready.unfinished;
            (&mut self.unfinished, queue, Reason::Unfinished)
        };
        *left = left.checked_sub(1)?;
        Some((queue.pop_front()?, reason))
    }

    /// Notes the work that was spent on a session.
    pub(super) fn spent(&mut self, reason: Reason, units: u32) {
        match reason {
            Reason::PutOff => self.put_off_work += units,
            Reason::Woken => self.woken_work += units,
            Reason::Unfinished => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(ready: &mut Ready, work: u32, visits: usize) -> Vec<usize> {
        let mut round = ready.round();
        let mut order = Vec::new();
        while order.len() < visits
            && let Some((key, reason)) = round.next(ready)
        {
            round.spent(reason, work);
            order.push(key);
        }
        order
    }

    #[test]
    fn who_was_put_off_comes_first_and_the_others_share_the_turn() {
        let mut ready = Ready::default();
        for key in 0..4 {
            ready.push(key, Reason::Unfinished);
            ready.push(10 + key, Reason::Woken);
        }
        ready.push(20, Reason::PutOff);
        let quarter = TURN_WORK_MAX / 4;
        assert_eq!(order(&mut ready, quarter, 6), [20, 10, 11, 12, 0, 1]);
        // What has come meanwhile is behind those that wait already.
        ready.push(30, Reason::Woken);
        ready.push(1, Reason::Unfinished);
        assert_eq!(order(&mut ready, 0, 9), [13, 30, 2, 3, 1]);
        assert!(ready.is_empty());
    }

    #[test]
    fn what_comes_in_a_turn_is_served_in_the_next() {
        let mut ready = Ready::default();
        ready.push(1, Reason::Woken);
        let mut round = ready.round();
        assert_eq!(round.next(&mut ready), Some((1, Reason::Woken)));
        ready.push(1, Reason::PutOff);
        ready.push(2, Reason::Woken);
        assert_eq!(round.next(&mut ready), None);
        assert_eq!(order(&mut ready, 0, 9), [1, 2]);
    }

    #[test]
    fn who_was_put_off_leaves_three_quarters_of_the_turn_to_the_others() {
        let mut ready = Ready::default();
        for key in 0..4 {
            ready.push(key, Reason::PutOff);
        }
        ready.push(10, Reason::Woken);
        ready.push(20, Reason::Unfinished);
        let an_eighth = TURN_WORK_MAX / 8;
        assert_eq!(order(&mut ready, an_eighth, 9), [0, 1, 10, 20, 2, 3]);
    }
}
