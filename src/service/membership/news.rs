//! What other nodes have done, in the registry.

use std::hash::BuildHasher;
use std::time::Duration;

use super::Membership;
use crate::cluster::{KeyId, Name, News, Record};
use crate::message::Reason;
use crate::registry::Replica;
use crate::service::Service;

impl<S: BuildHasher> Service<S> {
    /// Does what the node tells; the node knows of these changes. What is gone because its place was taken
    /// has this successor.
    pub(super) fn take_news(
        &mut self,
        membership: &mut Membership,
        successor: Option<&(Name, Record)>,
    ) {
        debug_assert_eq!(membership.fed, self.registry.changes().len());
        while let Some(news) = membership.node.next_news() {
            match news {
                News::Replica(name, record) => self.put_replica(membership, &name, &record),
                News::Gone(name, reason) => {
                    let is_replaced = reason == Reason::Deregistered
                        && successor.is_some_and(|new| self.takes_place(membership, new, &name));
                    let reason = if is_replaced {
                        Reason::Replaced
                    } else {
                        reason
                    };
                    self.drop_registration(membership, name.id, reason);
                }
                News::OtherCluster(name) => membership.other_cluster = Some(name),
            }
        }
        membership.fed = self.registry.changes().len();
    }

    fn put_replica(&mut self, membership: &mut Membership, name: &Name, record: &Record) {
        let owner = membership.nodes.number(record.node);
        let key = name.id.as_uuid();
        if let Some(uuid) = membership.uuids.remove(&name.id)
            && self.registry.yield_to(owner, &uuid, key)
        {
            membership.counts.yields += 1;
        }
        let replica = Replica {
            key,
            owner,
            service_type: &name.service_type,
            address: record.address,
            ttl: Duration::from_millis(record.ttl_ms.into()),
            held: record.held,
            labels: record.labels.as_deref(),
        };
        if self.registry.put_replica(self.turn.now, &replica).is_err() {
            membership.counts.left_out += 1;
        }
    }

    /// Whether the new registration is at the very place of another one, which is still there.
    fn takes_place(
        &self,
        membership: &Membership,
        (new, record): &(Name, Record),
        old: &Name,
    ) -> bool {
        let now = self.turn.now;
        let there = match membership.uuids.get(&old.id) {
            Some(uuid) => self.registry.get(now, uuid),
            None => self.registry.replica(now, &old.id.as_uuid()),
        };
        new.service_type == old.service_type
            && there.is_some_and(|there| there.address == record.address)
    }

    /// Removes it, whoever owned it.
    fn drop_registration(&mut self, membership: &mut Membership, key: KeyId, reason: Reason) {
        let now = self.turn.now;
        match membership.uuids.remove(&key) {
            Some(uuid) => drop(self.registry.deregister(now, &uuid, reason)),
            None => drop(self.registry.remove_replica(now, &key.as_uuid(), reason)),
        }
    }
}
