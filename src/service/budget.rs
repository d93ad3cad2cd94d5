//! What the service may still do in a turn.

use crate::limits::{
    PART_LEN_MAX, RECORDS_A_UNIT, REMOVAL_WORK, TOLD_WORK, TURN_BUILD_RECORDS_MAX,
    TURN_PARTS_WORK_MAX, TURN_REMOVALS_MAX, TURN_TOLD_MAX, TURN_TOLD_MIN,
};
use crate::message::Work;

/// The budgets of one turn.
#[derive(Debug)]
pub(super) struct Budget {
    /// All work of the turn, which the sessions share.
    pub(super) work: Work,
    /// Registrations that answers may still look at.
    records: usize,
    /// Registrations that may still be removed, beside those that have expired, or looked at by
    /// `replace`.
    removals: usize,
    /// Work that is left for the parts of long answers, one unit for each registration.
    pub(super) parts: usize,
    /// Bytes at which a part is complete.
    pub(super) part_len: usize,
    /// Watchers that may be told what has changed, where work was set aside for it.
    told: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            work: Work::default(),
            records: TURN_BUILD_RECORDS_MAX,
            removals: TURN_REMOVALS_MAX,
            parts: 0,
            part_len: PART_LEN_MAX,
            told: 0,
        }
    }
}

impl Budget {
    /// Charges an answer that looks at so many registrations. `None` when answers have had their part
    /// of this turn; the first one that passes it is still built.
    pub(super) fn build(&mut self, records: usize) -> Option<()> {
        if self.records == 0 {
            return None;
        }
        self.records = self.records.saturating_sub(records);
        self.work.spend(records / RECORDS_A_UNIT);
        Some(())
    }

    /// Sets work aside for the parts of long answers, because some wait: the sessions do not get it.
    pub(super) fn reserve_parts(&mut self) {
        self.parts = TURN_PARTS_WORK_MAX;
        self.work.spend(TURN_PARTS_WORK_MAX);
    }

    /// Begins to make parts, with what was set aside or else with what the sessions have left over.
    pub(super) fn begin_parts(&mut self) {
        if self.parts == 0 {
            self.parts = self.work.left().min(TURN_PARTS_WORK_MAX);
            self.work.spend(self.parts);
        }
    }

    /// Gives back the work that was set aside and not needed.
    pub(super) fn end_parts(&mut self) {
        self.work.give_back(std::mem::take(&mut self.parts));
    }

    /// Charges work for the parts of long answers.
    pub(super) fn part(&mut self, units: usize) {
        self.parts = self.parts.saturating_sub(units);
    }

    /// Sets work aside to tell so many watchers what has changed, because some wait.
    pub(super) fn reserve_telling(&mut self, watchers: usize) {
        self.told = watchers;
        self.work.spend(watchers * TOLD_WORK);
    }

    /// Lets `tell` tell watchers what has changed, with what was set aside or else with what the sessions
    /// have left over.
    pub(super) fn tell<T>(&mut self, tell: impl FnOnce(&mut usize) -> T) -> T {
        let most = match std::mem::take(&mut self.told) {
            0 => (self.work.left() / TOLD_WORK).clamp(TURN_TOLD_MIN, TURN_TOLD_MAX),
            reserved => {
                self.work.give_back(reserved * TOLD_WORK);
                reserved
            }
        };
        let mut left = most;
        let result = tell(&mut left);
        self.work.spend((most - left) * TOLD_WORK);
        result
    }

    /// Charges one removal; `false` when no more is allowed in this turn.
    pub(super) fn remove(&mut self) -> bool {
        if self.removals == 0 {
            return false;
        }
        self.removals -= 1;
        self.work.spend(REMOVAL_WORK);
        true
    }

    /// Lets `replace` remove registrations, and look at others, as far as this turn allows.
    pub(super) fn replace<T>(&mut self, replace: impl FnOnce(&mut usize) -> T) -> T {
        let before = self.removals;
        let result = replace(&mut self.removals);
        self.work.spend((before - self.removals) * REMOVAL_WORK);
        result
    }
}
