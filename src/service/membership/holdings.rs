//! The registrations of this node, as the cluster asks for them.

use std::collections::HashMap;
use std::hash::BuildHasher;

use uuid::Uuid;

use super::ages::Ages;
use crate::cluster::{Holdings, KeyId, Name, Owned};
use crate::registry::Registry;
use crate::service::Turn;

/// What this node owns, with its real ages.
pub(super) struct Own<'a, S> {
    pub(super) registry: &'a Registry<S>,
    pub(super) uuids: &'a HashMap<KeyId, Uuid>,
    pub(super) ages: &'a Ages,
    pub(super) turn: &'a Turn,
}

impl<S: BuildHasher> Holdings for Own<'_, S> {
    fn owned(&self, name: &Name) -> Option<Owned> {
        let uuid = self.uuids.get(&name.id)?;
        let record = self.registry.get(self.turn.now, uuid)?;
        Some(Owned {
            address: record.address,
            ttl_ms: record.ttl_ms,
            held: record.held,
            labels: record.labels.cloned(),
            heartbeat: self.ages.uptime_of(record.heartbeat, self.turn),
        })
    }
}
