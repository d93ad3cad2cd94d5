//! The ephemeral registrations and their holders.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

use crate::limits::HOLDS_MAX;
use crate::registry::table::{Keyed, NONE, Slots, Table};

/// Stands for the connections of an earlier process.
pub(super) const AWAITED: usize = usize::MAX - 1;

/// The held registrations, by holder and by UUID, and those that are to be removed because their
/// connection has ended.
#[derive(Debug, Default)]
pub(super) struct Holds {
    holds: Table<Hold>,
    holders: Slots<Holder>,
    /// The holder of each connection that holds.
    by_connection: HashMap<usize, u32>,
    /// The holders whose connections have ended, and which may still have registrations.
    leaving: Vec<u32>,
    hasher: RandomState,
}

/// A held registration.
#[derive(Debug, Default)]
struct Hold {
    uuid: Uuid,
    holder: u32,
    /// Neighbours in the list of the holder.
    previous: u32,
    next: u32,
}

impl Keyed for Hold {
    fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hash(hasher, &self.uuid)
    }
}

/// A connection that holds, or that has held until it ended.
#[derive(Debug, Default)]
struct Holder {
    connection: usize,
    /// Its latest hold.
    latest: u32,
    len: usize,
    has_ended: bool,
}

impl Holds {
    /// Whether the connection may hold one more.
    pub(super) fn has_room(&self, connection: usize) -> bool {
        let holder = self.by_connection.get(&connection);
        holder.is_none_or(|&holder| self.holders[holder].len < HOLDS_MAX)
    }

    pub(super) fn add(&mut self, connection: usize, uuid: Uuid) {
        let holders = &mut self.holders;
        let holder = *self.by_connection.entry(connection).or_insert_with(|| {
            holders.insert(Holder {
                connection,
                latest: NONE,
                len: 0,
                has_ended: false,
            })
        });
        let of = &mut self.holders[holder];
        let new = Hold {
            uuid,
            holder,
            previous: of.latest,
            next: NONE,
        };
        let hold = self.holds.insert(new, &self.hasher);
        if of.latest != NONE {
            self.holds.get_mut(of.latest).next = hold;
        }
        of.latest = hold;
        of.len += 1;
    }

    /// Drops a registration that was removed, if it was held.
    pub(super) fn forget(&mut self, uuid: &Uuid) {
        let Some(hold) = self.find(uuid) else {
            return;
        };
        let holder = self.remove(hold).holder;
        let of = &self.holders[holder];
        if of.len == 0 && !of.has_ended {
            self.by_connection.remove(&of.connection);
            self.holders.remove(holder);
            self.shrink();
        }
    }

    /// The connection has ended: queues all that it holds for removal.
    pub(super) fn end(&mut self, connection: usize) {
        if let Some(holder) = self.by_connection.remove(&connection) {
            self.holders[holder].has_ended = true;
            self.leaving.push(holder);
            self.shrink();
        }
    }

    /// Takes one registration that is to be removed.
    pub(super) fn next_leaving(&mut self) -> Option<Uuid> {
        while let Some(&holder) = self.leaving.last() {
            let latest = self.holders[holder].latest;
            if latest != NONE {
                return Some(self.remove(latest).uuid);
            }
            self.holders.remove(holder);
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
        let hold = self.find(uuid);
        hold.is_some_and(|hold| self.holders[self.holds.get(hold).holder].has_ended)
    }

    /// Whether this connection holds the registration.
    pub(super) fn is_held_by(&self, connection: usize, uuid: &Uuid) -> bool {
        let hold = self.find(uuid);
        hold.is_some_and(|hold| {
            let holder = &self.holders[self.holds.get(hold).holder];
            holder.connection == connection && !holder.has_ended
        })
    }

    fn find(&self, uuid: &Uuid) -> Option<u32> {
        self.holds
            .find(hash(&self.hasher, uuid), |hold| hold.uuid == *uuid)
    }

    /// Removes a hold from its holder's list.
    fn remove(&mut self, hold: u32) -> Hold {
        let removed = self.holds.remove(hold, &self.hasher);
        let Hold {
            holder,
            previous,
            next,
            ..
        } = removed;
        let of = &mut self.holders[holder];
        of.len -= 1;
        match next {
            NONE => of.latest = previous,
            next => self.holds.get_mut(next).previous = previous,
        }
        if previous != NONE {
            self.holds.get_mut(previous).next = next;
        }
        removed
    }

    /// Gives memory back when most of it is unused.
    fn shrink(&mut self) {
        const KEPT_LEN: usize = 64;
        let len = self.by_connection.len();
        if self.by_connection.capacity() > KEPT_LEN.max(8 * len) {
            self.by_connection.shrink_to(2 * len);
        }
    }
}

/// The hash of a UUID, keyed, because a client may choose the UUID.
fn hash(hasher: &impl BuildHasher, uuid: &Uuid) -> u64 {
    hasher.hash_one(uuid.as_u128())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Add(usize),
        Forget(prop::sample::Index),
        End(usize),
        Take,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0..4_usize).prop_map(Op::Add),
            2 => any::<prop::sample::Index>().prop_map(Op::Forget),
            1 => (0..4_usize).prop_map(Op::End),
            2 => Just(Op::Take),
        ]
    }

    proptest! {
        #[test]
        fn holds_equal_a_plain_map(ops in prop::collection::vec(op(), 1..300)) {
            let mut holds = Holds::default();
            // The connection of each hold, or `None` when it has ended.
            let mut model: BTreeMap<Uuid, Option<usize>> = BTreeMap::new();
            for (number, op) in (1..).zip(ops) {
                match op {
                    Op::Add(connection) => {
                        let uuid = Uuid::from_u128(number);
                        holds.add(connection, uuid);
                        model.insert(uuid, Some(connection));
                    }
                    Op::Forget(index) if !model.is_empty() => {
                        let uuid = *model.keys().nth(index.index(model.len())).unwrap();
                        holds.forget(&uuid);
                        model.remove(&uuid);
                    }
                    Op::Forget(_) => holds.forget(&Uuid::nil()),
                    Op::End(connection) => {
                        holds.end(connection);
                        let held = model.values_mut().filter(|held| **held == Some(connection));
                        held.for_each(|held| *held = None);
                    }
                    Op::Take => {
                        let leaving = model.values().any(Option::is_none);
                        let uuid = holds.next_leaving();
                        prop_assert_eq!(uuid.is_some(), leaving);
                        prop_assert_eq!(uuid.map(|uuid| model.remove(&uuid)), leaving.then_some(Some(None)));
                    }
                }
                for (uuid, held) in &model {
                    prop_assert_eq!(holds.is_leaving(uuid), held.is_none());
                }
                prop_assert!(holds.are_leaving() || model.values().all(Option::is_some));
            }
            for connection in 0..4 {
                holds.end(connection);
            }
            while holds.next_leaving().is_some() {}
            prop_assert_eq!((holds.holds.len(), holds.holders.len()), (0, 0));
            prop_assert_eq!((holds.by_connection.len(), holds.leaving.capacity()), (0, 0));
        }
    }

    #[test]
    fn a_connection_holds_no_more_than_its_bound_and_has_room_again() {
        let mut holds = Holds::default();
        for number in 0..HOLDS_MAX as u128 {
            assert!(holds.has_room(7));
            holds.add(7, Uuid::from_u128(number));
        }
        assert!(!holds.has_room(7) && holds.has_room(8));
        holds.forget(&Uuid::from_u128(500));
        assert!(holds.has_room(7));
    }

    #[test]
    fn the_list_of_connections_is_given_back() {
        let mut holds = Holds::default();
        for connection in 0..10_000 {
            holds.add(connection, Uuid::from_u128(connection as u128));
        }
        for connection in 0..10_000 {
            holds.end(connection);
        }
        assert!(holds.by_connection.capacity() <= 64);
    }
}
