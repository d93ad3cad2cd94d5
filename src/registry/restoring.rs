//! What a service needs that goes on with the registrations of an earlier process.

use std::hash::BuildHasher;
use std::time::Duration;

use uuid::Uuid;

use super::{RegisterError, Registry};
use crate::message::{ChangeKind, Labels};
use crate::time::Moment;

impl<S: BuildHasher> Registry<S> {
    /// Bounds the number of registrations anew; those that are there stay.
    pub fn set_services_max(&mut self, services_max: u32) {
        self.services_max = services_max;
    }

    /// Goes on with the count of changes at `index` at least. Each type counts as changed, so that no
    /// count of an earlier process stands for what there is now.
    pub fn count_on_from(&mut self, index: u64) {
        self.index = self.index.max(index);
        let slots: Vec<u32> = self.types.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.index += 1;
            self.types.touch(slot, self.index);
        }
        self.types.begin(self.index);
    }

    /// A connection holds a held registration from now on that did not make it: `right` is the right to
    /// change it, and its TTL, tags and metadata are those of that connection. `false` when no held one
    /// has this UUID.
    ///
    /// # Errors
    /// [`RegisterError::Full`] where there is no room for the tags and metadata; nothing has changed.
    pub fn adopt(
        &mut self,
        now: Moment,
        uuid: &Uuid,
        right: Uuid,
        ttl: Duration,
        labels: Option<&Labels>,
    ) -> Result<bool, RegisterError> {
        let held = |slot: &u32| self.entries.get(*slot).is_held();
        let Some(slot) = self.find(uuid).filter(held) else {
            return Ok(false);
        };
        let labels = labels.filter(|labels| !labels.is_empty());
        if self.labels(slot).map(|own| &**own) != labels {
            self.update(now, uuid, labels)?;
        }
        let entry = self.entries.get_mut(slot);
        entry.set_ttl_ms(ttl.as_millis() as u32);
        entry.heartbeat = now;
        self.record_change(slot, now, ChangeKind::Adopted { right });
        self.mutated();
        Ok(true)
    }
}
