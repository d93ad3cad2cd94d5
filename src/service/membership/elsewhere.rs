//! Requests for a registration that another node owns.

use std::hash::BuildHasher;

use uuid::Uuid;

use crate::cluster::KeyId;
use crate::message::{Labels, Offer, Outcome, Peer, Reason, Refusal, Reply};
use crate::registry::Record;
use crate::service::Service;

impl<S: BuildHasher> Service<S> {
    /// The registration of another node with this UUID, under its key in etcd.
    pub(in crate::service) fn elsewhere(&self, uuid: &Uuid) -> Option<Record<'_>> {
        self.membership.as_ref()?;
        let key = KeyId::of(uuid).as_uuid();
        self.registry.replica(self.turn.now, &key)
    }

    /// A heartbeat of a UUID that this node does not have: it takes over what another one owns. What a
    /// connection holds there stays there.
    #[cold]
    pub(in crate::service) fn hear_elsewhere(&mut self, uuid: &Uuid, peer: &Peer) -> Outcome {
        if self.membership.is_none() {
            return Outcome::Done(Reply::NotFound);
        }
        match self.elsewhere(uuid).map(|record| record.uuid) {
            Some(key) => {
                self.registry.take_over(self.turn.heard, &key, *uuid);
                Outcome::Done(Reply::Ok)
            }
            None => self.not_found(peer),
        }
    }

    /// Nothing here has the UUID that was told. Before the state of the cluster is loaded nobody knows.
    pub(in crate::service) fn not_found(&mut self, peer: &Peer) -> Outcome {
        if self.is_ready() {
            return Outcome::Done(Reply::NotFound);
        }
        self.wait_until_ready(peer, Reply::NotFound)
    }

    /// A registration under a UUID that this node does not have: `None` where no other one has it.
    pub(in crate::service) fn revive_elsewhere(
        &mut self,
        uuid: &Uuid,
        offer: &Offer<'_>,
        peer: &Peer,
    ) -> Option<Reply> {
        let record = self.elsewhere(uuid)?;
        if !self.is_offered(&record, offer, peer) {
            return Some(Reply::Refused(Refusal::UuidTaken));
        }
        let key = record.uuid;
        self.registry.take_over(self.turn.heard, &key, *uuid);
        Some(Reply::Ok)
    }

    /// Removes what another node owns. `None` where none does.
    pub(in crate::service) fn deregister_elsewhere(&mut self, uuid: &Uuid) -> Option<Reply> {
        let key = self.elsewhere(uuid)?.uuid;
        if !self.membership.as_ref()?.node.has_room_for_removal() {
            return Some(Reply::Refused(Refusal::RegistryFull));
        }
        let reason = Reason::Deregistered;
        self.registry.remove_replica(self.turn.now, &key, reason);
        Some(Reply::Ok)
    }

    /// Removes what a connection of another node holds at the offered place: its holder has come here. `None`
    /// when that has to go on in the next turn.
    pub(in crate::service) fn take_place_elsewhere(
        &mut self,
        offer: &Offer<'_>,
        peer: &Peer,
    ) -> Option<()> {
        if self.membership.is_none() {
            return Some(());
        }
        let (now, address) = (self.turn.now, offer.address(self.reach.observed(peer)));
        let (registry, name) = (&mut self.registry, offer.service_type.as_str());
        let remove =
            |budget: &mut usize| registry.replace_held_elsewhere(now, name, address, budget);
        self.budget.replace(remove).then_some(())
    }

    /// Gives other tags and metadata to what another node owned, which this one takes over. `None` where
    /// none does, or a connection holds it there.
    pub(in crate::service) fn update_elsewhere(
        &mut self,
        uuid: &Uuid,
        labels: Option<&Labels>,
    ) -> Option<Reply> {
        let key = self.elsewhere(uuid)?.uuid;
        self.registry
            .take_over(self.turn.heard, &key, *uuid)
            .then_some(())?;
        self.update_own(uuid, labels)
    }
}
