//! Whether this node knows of as many registrations as etcd has: what no event has told is loaded.

use super::{Node, Phase};
use crate::etcd::{Answer, Call, Count, FailureKind};
use crate::limits::{CLUSTER_CHECK_MS, CLUSTER_REFUSED_PAUSE_MS};
use crate::time::Moment;

/// When the next check is, and what it needs to know.
#[derive(Debug)]
pub(super) struct Checks {
    due: Moment,
    /// The revision of the latest change that is known, of which the line may not have ended.
    told: u64,
    /// Keys among those of registrations that are none, as of the latest load.
    strangers: usize,
}

impl Default for Checks {
    fn default() -> Self {
        Checks {
            due: Moment::START,
            told: 0,
            strangers: 0,
        }
    }
}

impl Checks {
    /// All is to be loaded.
    pub(super) fn begin_load(&mut self) {
        (self.told, self.strangers) = (0, 0);
    }

    /// This change is known.
    pub(super) fn on_change(&mut self, revision: u64) {
        self.told = self.told.max(revision);
    }

    /// Something was loaded that is no registration.
    pub(super) fn on_stranger(&mut self) {
        self.strangers += 1;
    }
}

impl Node {
    /// The next check is in about an hour, and not at the same time as those of other nodes.
    pub(super) fn put_off_check(&mut self, now: Moment) {
        let share_ms = self.config.id.0 % CLUSTER_CHECK_MS;
        self.checks.due = now.plus_millis(CLUSTER_CHECK_MS / 2 + share_ms);
    }

    /// When the number of keys can be checked: it must be known as of the end of a line.
    pub(super) fn check_due(&self) -> Option<Moment> {
        let is_even = self.phase == Phase::Watching
            && self.sent.is_none()
            && self.walk.is_none()
            && self.checks.told <= self.seen;
        is_even.then_some(self.checks.due)
    }

    pub(super) fn next_check(&mut self, now: Moment) -> Option<Call> {
        if self.check_due().is_none_or(|due| due > now) {
            return None;
        }
        self.put_off_check(now);
        let (from, end) = self.config.layout.registrations();
        Some(Call::Count(Count {
            from,
            end,
            revision: self.seen,
            expected: (self.counts.there + self.checks.strangers) as u64,
        }))
    }

    /// The client loads all where the number is another one.
    pub(super) fn on_counted(&mut self, answer: &Answer, now: Moment) {
        if let Answer::Failed(failure) = answer
            && failure.kind() == FailureKind::Compacted
        {
            // Nothing has changed for long. A change of the own key makes a revision that can be counted at.
            self.own_key.state = None;
            self.checks.due = now.plus_millis(CLUSTER_REFUSED_PAUSE_MS);
        }
    }
}
