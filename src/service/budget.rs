//! What the service may still do in a turn.

use crate::limits::{RECORDS_A_UNIT, REMOVAL_WORK, TURN_BUILD_RECORDS_MAX, TURN_REMOVALS_MAX};
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
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            work: Work::default(),
            records: TURN_BUILD_RECORDS_MAX,
            removals: TURN_REMOVALS_MAX,
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
