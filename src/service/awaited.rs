//! The held registrations of an earlier process, whose holders are awaited.

use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

use super::holds::AWAITED;
use super::register::Terms;
use super::{Service, Turn};
use crate::limits::AWAITED_MS_MAX;
use crate::message::{Id, Offer, Peer, Reply, ServiceAddress, Ttl};
use crate::registry::table::{Keyed, Table};
use crate::time::Moment;

/// Where the awaited registrations are, so that a `hold` finds the one that it comes back to.
///
/// What is removed meanwhile stays in here, and is not found: the registry does not have it any more.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    places: Table<Place>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Place {
    uuid: Uuid,
    /// The hash of its type and its address.
    place: u64,
}

impl Keyed for Place {
    fn hash(&self, _: &impl BuildHasher) -> u64 {
        self.place
    }
}

impl Awaited {
    fn place(&self, service_type: &str, address: ServiceAddress) -> u64 {
        self.hasher.hash_one((service_type, address))
    }

    fn add(&mut self, uuid: Uuid, service_type: &str, address: ServiceAddress) {
        let place = self.place(service_type, address);
        self.places.insert(Place { uuid, place }, &self.hasher);
    }

    /// The registration in a slot.
    pub(super) fn uuid(&self, slot: u32) -> Uuid {
        self.places.get(slot).uuid
    }

    /// Whether any may be awaited.
    pub(super) fn are_some(&self) -> bool {
        self.places.len() > 0
    }
}

impl<S: BuildHasher> Service<S> {
    /// Waits for the holders of all held registrations that the registry has now, which were held in an
    /// earlier process.
    pub(super) fn await_holders(&mut self) {
        for view in self.registry.types() {
            for record in view.records(Moment::START).filter(|record| record.held) {
                self.holds.add(AWAITED, record.uuid);
                self.awaited.add(record.uuid, view.name(), record.address);
            }
        }
    }

    /// Gives those up that nobody has come back for.
    pub(super) fn end_wait_for_holders(&mut self) {
        if self.awaited.are_some() && self.turn.now >= Moment::from_millis(AWAITED_MS_MAX) {
            self.holds.end(AWAITED);
            self.awaited = Awaited::default();
        }
    }

    /// The slot of the awaited registration that this offer comes back to.
    pub(super) fn awaited(&self, offer: &Offer<'_>, peer: &Peer) -> Option<u32> {
        if !self.awaited.are_some() {
            return None;
        }
        let (name, address) = (
            offer.service_type.as_str(),
            offer.address(self.reach.observed(peer)),
        );
        let place = self.awaited.place(name, address);
        let (registry, holds, now) = (&self.registry, &self.holds, self.turn.now);
        self.awaited.places.find(place, |other| {
            let is_here = |record: crate::registry::Record<'_>| {
                record.address == address && **record.service_type == *name
            };
            holds.is_held_by(AWAITED, &other.uuid)
                && registry.get(now, &other.uuid).is_some_and(is_here)
        })
    }

    /// Lets the peer hold the awaited registration in this slot. It keeps its place and its public name, and
    /// nobody is told.
    pub(super) fn adopt(&mut self, slot: u32, terms: Terms<'_>, peer: &mut Peer) -> Option<Reply> {
        let uuid = self.awaited.uuid(slot);
        let Turn { now, .. } = self.turn;
        let right = loop {
            let right = (self.uuids)();
            if !self.is_taken(&right) {
                break right;
            }
        };
        let ttl = terms.ttl.map_or(self.ttl, Ttl::duration);
        match self.registry.adopt(now, &uuid, right, ttl, terms.labels) {
            Ok(_) => {}
            Err(error) => return self.not_registered(error),
        }
        self.awaited.places.remove(slot, &self.awaited.hasher);
        self.rights.set(uuid, right);
        self.holds.forget(&uuid);
        self.begin_hold(uuid, terms, peer);
        Some(Reply::Adopted(right, Id::of(&uuid)))
    }

    /// Whether a live registration has this UUID, or it is the right to one.
    pub(super) fn is_taken(&self, uuid: &Uuid) -> bool {
        self.rights.has(uuid) || self.registry.get(self.turn.now, uuid).is_some()
    }
}
