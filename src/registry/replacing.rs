//! Removing what is registered at an address.

use std::hash::BuildHasher;

use uuid::Uuid;

use super::Registry;
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
        if !self
            .by_address
            .make(&mut self.entries, &self.hasher, now, *budget)
        {
            *budget = 0;
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
}
