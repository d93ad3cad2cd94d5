//! What a peer asks for with the UUID that is its right to a registration.

use std::hash::BuildHasher;

use uuid::Uuid;

use super::Service;
use crate::message::{Heartbeats, Outcome, Peer, Reason, Reply};
use crate::registry::Heartbeat;

impl<S: BuildHasher> Service<S> {
    #[inline]
    pub(super) fn heartbeat(&mut self, uuid: Option<&Uuid>, peer: &Peer) -> Outcome {
        let Some(uuid) = self.right_of(uuid) else {
            return Outcome::Done(Reply::NotFound);
        };
        match self.hear_one(&uuid) {
            Reply::NotFound => self.hear_elsewhere(&uuid, peer),
            reply => Outcome::Done(reply),
        }
    }

    /// The registration that a peer may change that has told this UUID, if it is not about to be removed.
    #[inline]
    pub(super) fn right_of(&mut self, told: Option<&Uuid>) -> Option<Uuid> {
        let uuid = self.rights.resolve(*told?)?;
        (!self.is_leaving(&uuid)).then_some(uuid)
    }

    #[inline]
    pub(super) fn hear_one(&mut self, uuid: &Uuid) -> Reply {
        match self.registry.hear(self.turn.now, self.turn.heard, uuid) {
            Heartbeat::InTime => Reply::Ok,
            Heartbeat::Late => {
                self.warn_of_late_heartbeat(uuid);
                Reply::Ok
            }
            Heartbeat::Unknown => Reply::NotFound,
        }
    }

    /// Takes these heartbeats up to the first that is for no registration of this node, or was told a UUID in
    /// place of its own. Returns how many it took.
    #[inline]
    pub(super) fn hear_all(&mut self, heartbeats: &Heartbeats) -> usize {
        let places = self.registry.find_all(heartbeats);
        let uuids = heartbeats.uuids();
        for (number, (uuid, place)) in uuids.iter().zip(places).enumerate() {
            if self.right_of(Some(uuid)) != Some(*uuid) {
                return number;
            }
            match self.registry.hear_at(self.turn.now, self.turn.heard, place) {
                Heartbeat::InTime => {}
                Heartbeat::Late => self.warn_of_late_heartbeat(uuid),
                Heartbeat::Unknown => return number,
            }
        }
        uuids.len()
    }

    fn warn_of_late_heartbeat(&mut self, uuid: &Uuid) {
        let now = self.turn.now;
        if let Some(record) = self.registry.get(now, uuid) {
            self.notices
                .late(now, record.service_type, record.address, record.ttl_ms);
        }
    }

    pub(super) fn deregister(&mut self, uuid: Option<&Uuid>, peer: &Peer) -> Outcome {
        let Some(uuid) = self.right_of(uuid) else {
            return Outcome::Done(Reply::NotFound);
        };
        let (now, reason) = (self.turn.now, Reason::Deregistered);
        if self.registry.deregister(now, &uuid, reason) {
            return Outcome::Done(Reply::Ok);
        }
        match self.deregister_elsewhere(&uuid) {
            Some(reply) => Outcome::Done(reply),
            None => self.not_found(peer),
        }
    }
}
