//! What a heartbeat does.

use std::hash::BuildHasher;

use uuid::Uuid;

use super::{Heartbeat, Registry};
use crate::time::Moment;

impl<S: BuildHasher> Registry<S> {
    /// Sets the age of a registration back to zero.
    pub fn heartbeat(&mut self, now: Moment, uuid: &Uuid) -> Heartbeat {
        self.hear(now, now, uuid)
    }

    /// Takes a heartbeat that arrived between two moments: the registration must be live at `earliest`,
    /// and its age counts from `latest`.
    pub fn hear(&mut self, earliest: Moment, latest: Moment, uuid: &Uuid) -> Heartbeat {
        let Some(slot) = self.find(uuid) else {
            return Heartbeat::Unknown;
        };
        let entry = self.entries.get_mut(slot);
        if !entry.is_live(earliest) {
            return Heartbeat::Unknown;
        }
        let late = entry.beat(earliest);
        entry.heartbeat = latest;
        self.mutated();
        if late {
            Heartbeat::Late
        } else {
            Heartbeat::InTime
        }
    }
}
