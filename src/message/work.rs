//! The work of a turn, in units: what every session, and the service itself, take from one budget.

use super::Verb;
use crate::limits::TURN_WORK_MAX;

/// What is left of a turn's work.
///
/// A unit is about a quarter of a microsecond on an ordinary core. Work is charged when it is done,
/// so the last piece may pass the budget by its own cost.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    left: i64,
}

impl Default for Work {
    /// The work of a whole turn.
    fn default() -> Self {
        Work {
            left: i64::from(TURN_WORK_MAX),
        }
    }
}

impl Work {
    /// Charges work that was done.
    pub fn spend(&mut self, units: usize) {
        self.left -= units as i64;
    }

    /// Takes charged work back that was not done.
    pub fn give_back(&mut self, units: usize) {
        self.left += units as i64;
    }

    /// The units that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(0)
    }

    /// Whether nothing is left of the budget.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left <= 0
    }

    /// The units that were charged in this turn.
    #[must_use]
    pub fn spent(&self) -> u32 {
        u32::try_from(i64::from(TURN_WORK_MAX) - self.left).unwrap_or(u32::MAX)
    }
}

impl Verb {
    /// The units of a request, beside those for each registration that it looks at or removes.
    #[must_use]
    pub const fn work(self) -> usize {
        match self {
            Verb::Heartbeat | Verb::Ping | Verb::Auth | Verb::Quit => 1,
            Verb::Deregister | Verb::Query => 3,
            Verb::Register | Verb::Update | Verb::Hold | Verb::Watch => 4,
            Verb::Help | Verb::Types | Verb::List => 8,
            Verb::Why => 16,
            Verb::Stats => 32,
        }
    }
}
