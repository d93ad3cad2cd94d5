//! Removing what is registered at an address.

use std::hash::BuildHasher;

use uuid::Uuid;

use super::Registry;
use crate::limits::PLACE_LOOKS_MAX;
use crate::message::{Reason, ServiceAddress};
use crate::time::Moment;

impl<S: BuildHasher> Registry<S> {
    /// Removes every registration of this type at this address but the one that is `spared`, so that this
    /// or a new one can replace them. Works within `budget` and reduces it; `false` when the work is not
    /// finished: call again.
    pub fn replace(
        &mut self,
        now: Moment,
        service_type: &str,
        address: ServiceAddress,
        spared: Option<&Uuid>,
        budget: &mut usize,
    ) -> bool {
        if !self.make_address_index(now, budget) {
            return false;
        }
        let Some(of) = self.types.find(service_type, &self.hasher) else {
            return true;
        };
        let spared = spared.and_then(|uuid| self.find(uuid));
        while let Some(slot) =
            self.by_address
                .entry_at(&self.entries, &self.hasher, of, address, spared)
        {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            self.remove(slot, now, Reason::Replaced);
        }
        true
    }

    /// Removes what a connection of another node holds at this address, so that a new one can take its place:
    /// its holder has come here. It looks at the first few registrations at the address. Works within `budget`
    /// and reduces it; `false` when the work is not finished: call again.
    pub fn replace_held_elsewhere(
        &mut self,
        now: Moment,
        service_type: &str,
        address: ServiceAddress,
        budget: &mut usize,
    ) -> bool {
        if !self.make_address_index(now, budget) {
            return false;
        }
        let Some(of) = self.types.find(service_type, &self.hasher) else {
            return true;
        };
        let at_address = self
            .by_address
            .entries_at(&self.entries, &self.hasher, of, address);
        let is_held_elsewhere = |slot: &u32| {
            let entry = self.entries.get(*slot);
            entry.owner().is_some() && entry.is_held()
        };
        let found = at_address.take(PLACE_LOOKS_MAX).find(is_held_elsewhere);
        *budget = budget.saturating_sub(1);
        if let Some(slot) = found {
            self.remove(slot, now, Reason::Replaced);
        }
        true
    }

    /// Whether the index by address is whole; if not, it has used up the budget.
    fn make_address_index(&mut self, now: Moment, budget: &mut usize) -> bool {
        let is_whole = self
            .by_address
            .make(&mut self.entries, &self.hasher, now, *budget);
        if !is_whole {
            *budget = 0;
        }
        is_whole
    }
}
