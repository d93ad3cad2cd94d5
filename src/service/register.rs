//! The verbs `register` and `hold`, and the form of `heartbeat` that re-registers.

use std::hash::BuildHasher;

use log::debug;
use uuid::Uuid;

use super::{Service, Turn};
use crate::message::{Labels, Offer, Outcome, Peer, Refusal, Reply, Ttl};
use crate::registry::{Record, RegisterError, Registration, Registry};
use crate::time::Moment;

/// What a registration is made with beside the service itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms<'a> {
    pub(super) ttl: Option<Ttl>,
    pub(super) labels: Option<&'a Labels>,
}

impl<'a> Terms<'a> {
    pub(super) fn new(ttl: Option<Ttl>, labels: &'a Option<Box<Labels>>) -> Self {
        let labels = labels.as_deref();
        Terms { ttl, labels }
    }
}

/// One of the ways to add a registration.
type Add<S> = fn(&mut Registry<S>, Moment, Registration<'_>) -> Result<(), RegisterError>;

impl<S: BuildHasher> Service<S> {
    pub(super) fn register(
        &mut self,
        offer: &Offer<'_>,
        terms: Terms<'_>,
        replace: bool,
        peer: &Peer,
    ) -> Option<Reply> {
        if replace {
            self.replace(offer, peer, None)?;
        }
        self.add(offer, terms, peer, Registry::register)
    }

    /// Makes a registration without options, if nothing stands against it.
    #[inline(never)]
    pub(super) fn register_plainly(&mut self, offer: &Offer<'_>, peer: &Peer) -> Option<Reply> {
        let is_full = self.registry.len() >= self.registry.services_max() as usize;
        if is_full || self.reach.refuse_offer(offer, peer).is_some() {
            return None;
        }
        self.register(offer, Terms::default(), false, peer)
    }

    pub(super) fn hold(
        &mut self,
        offer: &Offer<'_>,
        terms: Terms<'_>,
        replace: bool,
        peer: &mut Peer,
    ) -> Option<Reply> {
        self.record_changes();
        if !self.holds.has_room(peer.session) {
            return Some(Reply::Refused(Refusal::TooManyHolds));
        }
        let awaited = self.awaited(offer, peer);
        if replace {
            let spared = awaited.map(|slot| self.awaited.uuid(slot));
            self.replace(offer, peer, spared.as_ref())?;
        }
        if let Some(slot) = awaited {
            return self.adopt(slot, terms, peer);
        }
        if !replace {
            self.take_place_elsewhere(offer, peer)?;
        }
        let reply = self.add(offer, terms, peer, Registry::hold)?;
        if let Reply::Registered(uuid) = reply {
            self.begin_hold(uuid, terms, peer);
        }
        Some(reply)
    }

    /// The peer holds a registration from now on.
    pub(super) fn begin_hold(&mut self, uuid: Uuid, terms: Terms<'_>, peer: &mut Peer) {
        self.holds.add(peer.session, uuid);
        peer.holds = true;
        peer.ttl = peer.ttl.into_iter().chain(terms.ttl).min();
    }

    /// Removes what is registered at the offered place, but the `spared` one. `None` when that has to go on
    /// in the next turn.
    fn replace(&mut self, offer: &Offer<'_>, peer: &Peer, spared: Option<&Uuid>) -> Option<()> {
        let (now, address) = (self.turn.now, offer.address(self.reach.observed(peer)));
        let name = offer.service_type.as_str();
        let registry = &mut self.registry;
        let remove = |budget: &mut usize| registry.replace(now, name, address, spared, budget);
        self.budget.replace(remove).then_some(())
    }

    /// Gives a registration other tags and metadata.
    pub(super) fn update(
        &mut self,
        uuid: Option<&Uuid>,
        labels: Option<&Labels>,
        peer: &Peer,
    ) -> Outcome {
        let Some(uuid) = self.right_of(uuid) else {
            return Outcome::Done(Reply::NotFound);
        };
        let done = self
            .update_own(&uuid, labels)
            .or_else(|| self.update_elsewhere(&uuid, labels));
        match done {
            Some(reply) => Outcome::Done(reply),
            None => self.not_found(peer),
        }
    }

    /// `None` when this node has no registration with this UUID.
    pub(super) fn update_own(&mut self, uuid: &Uuid, labels: Option<&Labels>) -> Option<Reply> {
        match self.registry.update(self.turn.now, uuid, labels) {
            Ok(true) => Some(Reply::Ok),
            Ok(false) => None,
            Err(_) => Some(Reply::Refused(Refusal::RegistryFull)),
        }
    }

    pub(super) fn revive(
        &mut self,
        uuid: Uuid,
        offer: &Offer<'_>,
        terms: Terms<'_>,
        peer: &Peer,
    ) -> Option<Reply> {
        // What is no right to a registration that is there cannot become another one.
        let Some(uuid) = self.rights.resolve(uuid) else {
            return Some(Reply::Refused(Refusal::UuidTaken));
        };
        if self.is_leaving(&uuid) {
            self.remove_left(&uuid);
        }
        if let Some(record) = self.registry.get(self.turn.now, &uuid) {
            return Some(if self.is_offered(&record, offer, peer) {
                self.hear_one(&uuid)
            } else {
                Reply::Refused(Refusal::UuidTaken)
            });
        }
        if let Some(reply) = self.revive_elsewhere(&uuid, offer, peer) {
            return Some(reply);
        }
        match self.add_as(uuid, offer, terms, peer, Registry::register) {
            Ok(()) => Some(Reply::Ok),
            Err(error) => self.not_registered(error),
        }
    }

    /// Whether the offer is for the very service that is registered.
    pub(super) fn is_offered(&self, record: &Record<'_>, offer: &Offer<'_>, peer: &Peer) -> bool {
        record.address == offer.address(self.reach.observed(peer))
            && **record.service_type == *offer.service_type.as_str()
    }

    /// Adds a registration under a new UUID by means of `how`.
    fn add(
        &mut self,
        offer: &Offer<'_>,
        terms: Terms<'_>,
        peer: &Peer,
        how: Add<S>,
    ) -> Option<Reply> {
        loop {
            let uuid = (self.uuids)();
            return match self.add_as(uuid, offer, terms, peer, how) {
                Ok(()) => Some(Reply::Registered(uuid)),
                Err(RegisterError::UuidTaken) => continue,
                Err(error) => self.not_registered(error),
            };
        }
    }

    fn add_as(
        &mut self,
        uuid: Uuid,
        offer: &Offer<'_>,
        terms: Terms<'_>,
        peer: &Peer,
        how: Add<S>,
    ) -> Result<(), RegisterError> {
        let new = Registration {
            uuid,
            service_type: offer.service_type.as_str(),
            address: offer.address(self.reach.observed(peer)),
            ttl: terms.ttl.map_or(self.ttl, Ttl::duration),
            labels: terms.labels,
        };
        let Turn { now, heard, .. } = self.turn;
        if self.rights.has(&uuid) || (heard > now && self.registry.get(now, &uuid).is_some()) {
            return Err(RegisterError::UuidTaken);
        }
        how(&mut self.registry, heard, new)?;
        self.reach.note(new.service_type, new.address);
        // A UUID is the right to change a registration, so the log shows only a part of it.
        debug!(
            "{}: registered {:?} at {} {} as {:08x}…",
            peer.address,
            new.service_type,
            new.address.ip,
            new.address.port,
            uuid.as_fields().0
        );
        Ok(())
    }

    pub(super) fn not_registered(&mut self, error: RegisterError) -> Option<Reply> {
        debug_assert_eq!(
            error,
            RegisterError::Full,
            "who is not known has not taken a UUID"
        );
        // Pending removals may free room.
        if !self.is_settled() {
            return None;
        }
        self.notices
            .registry_full(self.turn.now, self.registry.services_max());
        Some(Reply::Refused(Refusal::RegistryFull))
    }
}
