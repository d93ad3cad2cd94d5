//! The ephemeral registrations and their holders.

use std::collections::HashMap;

use uuid::Uuid;

use crate::limits::HOLDS_MAX;

/// The held registrations, by connection and by UUID, and those that are to be removed because their
/// connection has ended.
#[derive(Debug, Default)]
pub(super) struct Holds {
    by_connection: HashMap<usize, Vec<Uuid>>,
    holders: HashMap<Uuid, usize>,
    leaving: Vec<Uuid>,
}

impl Holds {
    /// Whether the connection may hold one more.
    pub(super) fn has_room(&self, connection: usize) -> bool {
        self.by_connection
            .get(&connection)
            .is_none_or(|held| held.len() < HOLDS_MAX)
    }

    pub(super) fn add(&mut self, connection: usize, uuid: Uuid) {
        self.by_connection.entry(connection).or_default().push(uuid);
        self.holders.insert(uuid, connection);
    }

    /// Drops a registration that was removed, if it was held.
    pub(super) fn forget(&mut self, uuid: &Uuid) {
        let Some(connection) = self.holders.remove(uuid) else {
            return;
        };
        let Some(held) = self.by_connection.get_mut(&connection) else {
            return;
        };
        held.retain(|other| other != uuid);
        if held.is_empty() {
            self.by_connection.remove(&connection);
        }
    }

    /// The connection has ended: queues all that it holds for removal.
    pub(super) fn end(&mut self, connection: usize) {
        self.leaving
            .extend(self.by_connection.remove(&connection).unwrap_or_default());
    }

    /// Takes one registration that is to be removed.
    pub(super) fn next_leaving(&mut self) -> Option<Uuid> {
        let uuid = self.leaving.pop()?;
        self.holders.remove(&uuid);
        if self.leaving.is_empty() {
            self.leaving = Vec::new();
        }
        Some(uuid)
    }

    /// Whether any registration is still to be removed.
    pub(super) fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }
}
