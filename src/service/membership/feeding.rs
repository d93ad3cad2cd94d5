//! What has changed here, for the node.

use std::hash::BuildHasher;
use std::sync::Arc;

use uuid::Uuid;

use super::Membership;
use crate::cluster::{KeyId, Name};
use crate::message::{Change, ChangeKind, Reason};
use crate::registry::Registry;
use crate::service::Service;
use crate::time::{Moment, WallTime};

impl<S: BuildHasher> Service<S> {
    /// Tells the node what has changed here and it does not know of.
    pub(super) fn feed(&mut self, membership: &mut Membership) {
        let changes = &self.registry.changes()[membership.fed..];
        // Who held at a node that stops comes to another one, where it takes its own place.
        let stays = |change: &&Change| !(self.is_stopping && change.ends_with_connection());
        let mut changes = changes.iter().filter(stays).peekable();
        while let Some(change) = changes.next() {
            let successor = changes.next_if(|next| takes_place(next, change));
            membership.tell(change, successor, self.turn.uptime, self.turn.wall);
        }
        membership.fed = self.registry.changes().len();
    }
}

/// Whether the registration is made at the very place that another one has just left.
fn takes_place(new: &Change, old: &Change) -> bool {
    let is_replaced = matches!(
        old.kind,
        ChangeKind::Down {
            reason: Reason::Replaced,
            ..
        }
    );
    is_replaced
        && new.kind == ChangeKind::Up
        && new.address == old.address
        && new.service_type == old.service_type
}

fn name(change: &Change) -> Name {
    let id = match change.owner {
        None => KeyId::of(&change.uuid),
        Some(_) => KeyId::from_uuid(change.uuid),
    };
    Name {
        service_type: Arc::clone(&change.service_type),
        id,
    }
}

impl Membership {
    /// Owns all registrations that there are.
    pub(super) fn claim_all<S: BuildHasher>(
        &mut self,
        registry: &Registry<S>,
        now: Moment,
        wall: WallTime,
    ) {
        for view in registry.types() {
            for record in view.records(now) {
                let name = Name {
                    service_type: Arc::clone(view.name()),
                    id: KeyId::of(&record.uuid),
                };
                self.begin(&name, record.uuid, record.ttl_ms, wall);
            }
        }
    }

    fn tell(&mut self, change: &Change, successor: Option<&Change>, now: Moment, wall: WallTime) {
        let name_of_change = name(change);
        match change.kind {
            ChangeKind::Up => self.begin(&name_of_change, change.uuid, change.ttl_ms, wall),
            ChangeKind::TakenOver => {
                self.uuids.insert(name_of_change.id, change.uuid);
                self.counts.takeovers += 1;
                self.node.took_over(&name_of_change);
            }
            ChangeKind::Updated | ChangeKind::Adopted { .. } => self.node.updated(&name_of_change),
            // The node has told of it.
            ChangeKind::Yielded => {}
            ChangeKind::Down { reason, .. } => {
                self.uuids.remove(&name_of_change.id);
                let Some(new) = successor else {
                    return self.node.removed(&name_of_change, reason, now);
                };
                let new_name = name(new);
                self.uuids.insert(new_name.id, new.uuid);
                let since = wall.as_unix_millis();
                self.node
                    .took_place(&name_of_change, &new_name, since, new.ttl_ms, now);
            }
        }
    }

    fn begin(&mut self, name: &Name, uuid: Uuid, ttl_ms: u32, wall: WallTime) {
        self.uuids.insert(name.id, uuid);
        self.node.registered(name, wall.as_unix_millis(), ttl_ms);
    }
}
