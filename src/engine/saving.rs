//! Changes on their way to the state file, and the answers that wait for them.

use std::collections::VecDeque;

use log::warn;

use crate::limits::{
    GATE_MS_MAX, STATE_FLUSH_LEN, STATE_LOG_QUIET_MS, STATE_UNDER_WAY_LEN_MAX,
    TURN_STATE_RECORDS_MAX,
};
use crate::message::{Change, ChangeKind, Reason, StateHealth, StateStats};
use crate::state::{Pending, Record};
use crate::time::Moment;
use crate::time::rate_limit::RateLimit;

/// The number of a batch of records. Batches are saved in the order of their numbers, which wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub u32);

impl Batch {
    fn next(self) -> Batch {
        Batch(self.0.wrapping_add(1))
    }

    /// Whether this one comes after `other`. They are less than half of all numbers apart.
    fn is_after(self, other: Batch) -> bool {
        self.0.wrapping_sub(other.0) as i32 > 0
    }
}

/// Where records are saved. Nothing here may wait.
pub trait Journal {
    /// Takes the records of a batch to be saved.
    fn submit(&mut self, batch: Batch, records: Vec<u8>);

    /// The last batch that has been saved: it survives the end of this process, however that ends.
    fn saved(&mut self) -> Batch;

    /// Whether the disk refuses what is under way, so that nobody knows when it will be saved.
    fn is_failing(&mut self) -> bool;

    /// What is known of the file.
    fn stats(&mut self) -> StateStats;
}

/// What a visit to a session needs to know of what is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gates {
    /// The batch that this turn's changes will be in, if an answer must wait for it.
    next: Option<Batch>,
    /// Up to this batch no answer waits any more.
    open: Batch,
}

impl Gates {
    /// Whether an answer that waits for `batch` must still wait.
    pub(super) fn are_shut_for(self, batch: Batch) -> bool {
        self.next.is_some() && batch.is_after(self.open)
    }

    /// What the answers of a session that has made these changes must wait for.
    pub(super) fn after(self, changes: &[Change]) -> Option<Batch> {
        let next = self.next?;
        changes.iter().any(is_answered).then_some(next)
    }
}

/// Whether somebody is told of the change as the answer to a request. The end of a TTL or of a connection
/// happens by itself.
fn is_answered(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Up | ChangeKind::Updated | ChangeKind::Adopted { .. } => true,
        ChangeKind::TakenOver | ChangeKind::Yielded => false,
        ChangeKind::Down { reason, .. } => {
            matches!(reason, Reason::Deregistered | Reason::Replaced)
        }
    }
}

/// A batch that is not saved yet.
#[derive(Debug)]
struct UnderWay {
    batch: Batch,
    len: usize,
    changes: u64,
    since: Moment,
}

/// A session whose answers wait.
#[derive(Clone, Copy, Debug)]
struct Gated {
    key: usize,
    batch: Batch,
    until: Moment,
}

/// Everything that is under way to the state file, if there is one.
pub(super) struct Saving {
    journal: Option<Box<dyn Journal>>,
    last: Batch,
    open: Batch,
    under_way: VecDeque<UnderWay>,
    under_way_len: usize,
    under_way_changes: u64,
    /// What waits here, because too much is under way or for too long.
    pending: Pending,
    is_failing: bool,
    /// In the order of their batches.
    gated: VecDeque<Gated>,
    /// Changes that were answered before they were saved, since the last line about it.
    answered_early: u64,
    warnings: RateLimit,
}

impl Default for Saving {
    fn default() -> Self {
        Saving {
            journal: None,
            last: Batch::default(),
            open: Batch::default(),
            under_way: VecDeque::new(),
            under_way_len: 0,
            under_way_changes: 0,
            is_failing: false,
            pending: Pending::default(),
            gated: VecDeque::new(),
            answered_early: 0,
            warnings: RateLimit::new(STATE_LOG_QUIET_MS),
        }
    }
}

impl Saving {
    /// Saves all changes from now on.
    pub(super) fn begin(&mut self, journal: Box<dyn Journal>) {
        self.journal = Some(journal);
    }

    /// Takes note of what has been saved, and calls `open` for each session whose answers need not wait
    /// any more.
    pub(super) fn advance(&mut self, now: Moment, mut open: impl FnMut(usize)) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let saved = journal.saved();
        self.is_failing = journal.is_failing();
        while let Some(first) = self.under_way.front()
            && !first.batch.is_after(saved)
        {
            self.under_way_len -= first.len;
            self.under_way_changes -= first.changes;
            self.under_way.pop_front();
        }
        if saved.is_after(self.open) {
            self.open = saved;
        }
        let is_late = self.is_late(now);
        while let Some(&Gated { key, batch, until }) = self.gated.front()
            && (is_late || until <= now || !batch.is_after(self.open))
        {
            if batch.is_after(self.open) {
                self.open = batch;
                self.answered_early += 1;
            }
            self.gated.pop_front();
            open(key);
        }
        if self.answered_early > 0 && self.warnings.pass(now).is_some() {
            let count = std::mem::take(&mut self.answered_early);
            warn!("{count} changes were answered before they were in the state file");
        }
    }

    /// What the visits of this turn need to know.
    pub(super) fn gates(&self, now: Moment) -> Gates {
        let waits = self.journal.is_some() && !self.is_late(now);
        Gates {
            next: waits.then(|| self.last.next()),
            open: self.open,
        }
    }

    /// The session's answers wait for this batch.
    pub(super) fn gate(&mut self, key: usize, batch: Batch, now: Moment) {
        let until = now.plus_millis(GATE_MS_MAX);
        self.gated.push_back(Gated { key, batch, until });
    }

    /// Takes the changes of a turn to what this node owns. Where the engine is `stopping`, the end of a
    /// connection is none: its peer comes back to the next process.
    pub(super) fn take(&mut self, changes: &[Change], stopping: bool, now: Moment) {
        if self.journal.is_none() {
            return;
        }
        let stays = |change: &&Change| {
            let is_left = stopping && change.held && change.ends_with_connection();
            change.owner.is_none() && !is_left
        };
        let changes = changes.iter().filter(stays);
        if self.is_late(now) {
            for change in changes {
                self.answered_early += u64::from(is_answered(change));
                self.pending.add(change);
            }
            if self.has_backlog() {
                self.flush(STATE_FLUSH_LEN, TURN_STATE_RECORDS_MAX, now);
            }
            return;
        }
        let (mut records, mut count) = (Vec::new(), 0);
        for change in changes {
            Record::of(change).encode(&mut records);
            count += 1;
        }
        self.submit(records, count, now);
    }

    /// Hands over everything that waits here.
    pub(super) fn finish(&mut self, now: Moment) {
        self.flush(usize::MAX, usize::MAX, now);
    }

    /// Whether what waits here can be handed over.
    pub(super) fn has_backlog(&self) -> bool {
        !self.pending.is_empty() && self.under_way.is_empty() && !self.is_failing
    }

    /// When the first session has waited for long enough.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.gated.front().map(|gated| gated.until)
    }

    /// The figures of the state file.
    pub(super) fn stats(&mut self, now: Moment) -> StateStats {
        let Some(journal) = &mut self.journal else {
            return StateStats::default();
        };
        let stats = journal.stats();
        let is_late = self.is_late(now);
        let unsaved = self.under_way_changes + self.pending.len() as u64;
        let health = match stats.health {
            StateHealth::Ok if is_late => StateHealth::Slow,
            health => health,
        };
        StateStats {
            health,
            unsaved,
            ..stats
        }
    }

    /// Whether so much is under way, or for so long, that no answer waits for it.
    fn is_late(&self, now: Moment) -> bool {
        let oldest = self.under_way.front();
        self.is_failing
            || !self.pending.is_empty()
            || self.under_way_len > STATE_UNDER_WAY_LEN_MAX
            || oldest.is_some_and(|oldest| oldest.since.plus_millis(GATE_MS_MAX) <= now)
    }

    fn flush(&mut self, len: usize, most: usize, now: Moment) {
        let before = self.pending.len();
        let mut records = Vec::new();
        self.pending.encode(len, most, &mut records);
        self.submit(records, (before - self.pending.len()) as u64, now);
    }

    fn submit(&mut self, records: Vec<u8>, changes: u64, now: Moment) {
        let Some(journal) = self.journal.as_mut().filter(|_| !records.is_empty()) else {
            return;
        };
        self.last = self.last.next();
        self.under_way_len += records.len();
        self.under_way_changes += changes;
        self.under_way.push_back(UnderWay {
            batch: self.last,
            len: records.len(),
            changes,
            since: now,
        });
        journal.submit(self.last, records);
    }
}
