//! Removing what has expired.

use std::hash::BuildHasher;

use super::{NONE, Registry, Sweep};
use crate::message::Reason;
use crate::time::Moment;

impl<S: BuildHasher> Registry<S> {
    /// Removes registrations that have expired by `now`, examining at most `budget` entries. Gives
    /// some of an index back that is not used any more.
    pub fn sweep(&mut self, now: Moment, budget: usize) -> Sweep {
        self.by_address.rest(now);
        let mut expired = 0;
        for examined in 0..budget {
            let Some(slot) = self.deadlines.poll(&mut self.entries, now) else {
                return Sweep {
                    expired,
                    examined,
                    caught_up: true,
                };
            };
            let entry = self.entries.get(slot);
            if entry.is_live(now) {
                let deadline = entry.deadline();
                self.deadlines.insert(&mut self.entries, slot, deadline);
            } else {
                self.remove(slot, now, Reason::Expired);
                expired += 1;
            }
        }
        Sweep {
            expired,
            examined: budget,
            caught_up: self.deadlines.next_due().is_none_or(|due| due > now),
        }
    }

    /// Removes the registrations of one type that have expired by `now`, and returns how many. It
    /// examines all of the type.
    pub fn sweep_type(&mut self, now: Moment, service_type: &str) -> usize {
        let mut expired = 0;
        let Some(of) = self.types.find(service_type, &self.hasher) else {
            return expired;
        };
        let mut slot = self.types.get(of).first;
        while slot != NONE {
            let entry = self.entries.get(slot);
            let next = entry.next;
            if !entry.is_live(now) {
                self.remove(slot, now, Reason::Expired);
                expired += 1;
            }
            slot = next;
        }
        expired
    }
}
