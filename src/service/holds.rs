//! The ephemeral registrations and their holders.

use std::collections::HashMap;

use uuid::Uuid;

use crate::limits::HOLDS_MAX;

/// The held registrations, by holder and by UUID, and those that are to be removed because their
/// connection has ended.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// The number of each connection that holds. Keys of connections are used again, numbers are not.
    connections: HashMap<usize, u64>,
    holders: HashMap<u64, Holder>,
    /// The number of each registration's holder.
    by_uuid: HashMap<Uuid, u64>,
    /// The holders whose connections have ended, and which still have registrations.
    leaving: Vec<u64>,
    last_number: u64,
}

/// A connection that holds, or that has held until it ended.
#[derive(Debug, Default)]
struct Holder {
    held: Vec<Uuid>,
    has_ended: bool,
}

impl Holds {
    /// Whether the connection may hold one more.
    pub(super) fn has_room(&self, connection: usize) -> bool {
        let number = self.connections.get(&connection);
        let holder = number.and_then(|number| self.holders.get(number));
        holder.is_none_or(|holder| holder.held.len() < HOLDS_MAX)
    }

    pub(super) fn add(&mut self, connection: usize, uuid: Uuid) {
        let number = *self.connections.entry(connection).or_insert_with(|| {
            self.last_number += 1;
            self.last_number
        });
        self.holders.entry(number).or_default().held.push(uuid);
        self.by_uuid.insert(uuid, number);
    }

    /// Drops a registration that was removed, if it was held.
    pub(super) fn forget(&mut self, uuid: &Uuid) {
        let Some(number) = self.by_uuid.remove(uuid) else {
            return;
        };
        let Some(holder) = self.holders.get_mut(&number) else {
            return;
        };
        holder.held.retain(|other| other != uuid);
        if holder.held.is_empty() {
            self.holders.remove(&number);
        }
    }

    /// The connection has ended: queues all that it holds for removal.
    pub(super) fn end(&mut self, connection: usize) {
        let Some(number) = self.connections.remove(&connection) else {
            return;
        };
        if let Some(holder) = self.holders.get_mut(&number) {
            holder.has_ended = true;
            self.leaving.push(number);
        }
    }

    /// Takes one registration that is to be removed.
    pub(super) fn next_leaving(&mut self) -> Option<Uuid> {
        while let Some(number) = self.leaving.last() {
            let uuid = self
                .holders
                .get_mut(number)
                .and_then(|holder| holder.held.pop());
            if let Some(uuid) = uuid {
                self.by_uuid.remove(&uuid);
                return Some(uuid);
            }
            self.holders.remove(number);
            self.leaving.pop();
        }
        self.leaving = Vec::new();
        None
    }

    /// Whether any registration may still have to be removed.
    pub(super) fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Whether the registration is still to be removed, because its connection has ended.
    pub(super) fn is_leaving(&self, uuid: &Uuid) -> bool {
        let number = self.by_uuid.get(uuid);
        let holder = number.and_then(|number| self.holders.get(number));
        holder.is_some_and(|holder| holder.has_ended)
    }
}
