//! Changes of the registry, as whole records in one list that all readers share.

use std::sync::Arc;

use uuid::Uuid;

use super::{Id, Labels, NodeNumber, Reason, ServiceAddress};
use crate::time::Moment;

/// A registration that was made or removed, with its whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its UUID: the right to change it, told only to the peer that registered it. Of one that another
    /// node of the cluster owns, the digest that is its key in etcd.
    pub uuid: Uuid,
    /// The node that owns it, where that is another one.
    pub owner: Option<NodeNumber>,
    /// Its type.
    pub service_type: Arc<str>,
    /// Where the service can be reached.
    pub address: ServiceAddress,
    /// Milliseconds that it lives without a heartbeat.
    pub ttl_ms: u32,
    /// Whether a connection holds it.
    pub held: bool,
    /// Its last heartbeat. For a new registration, and for one that was held until its removal, the
    /// moment of the change.
    pub heartbeat: Moment,
    /// Its tags and metadata after the change, if it has any.
    pub labels: Option<Arc<Labels>>,
    /// What has changed.
    pub kind: ChangeKind,
}

impl Change {
    /// Its public name.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::of_owned(&self.uuid, self.owner)
    }

    /// Whether this node has the registration as its own from this change on.
    #[must_use]
    pub fn begins(&self) -> bool {
        matches!(self.kind, ChangeKind::Up | ChangeKind::TakenOver)
    }

    /// Whether this node has the registration as its own no more.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self.kind, ChangeKind::Down { .. } | ChangeKind::Yielded)
    }

    /// Whether the end of the connection that held it has removed it.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        matches!(
            self.kind,
            ChangeKind::Down {
                reason: Reason::ConnectionClosed,
                ..
            }
        )
    }

    /// Whether it is nothing that a watcher is told: who holds or owns it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(
            self.kind,
            ChangeKind::Adopted { .. } | ChangeKind::TakenOver | ChangeKind::Yielded
        )
    }
}

/// What has changed of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was made.
    Up,
    /// Its tags and metadata were replaced.
    Updated,
    /// A connection holds it that did not make it: its TTL is that connection's from now on.
    Adopted {
        /// The UUID that is the right to change it from now on.
        right: Uuid,
    },
    /// Another node of the cluster owned it, and this one does from now on.
    TakenOver,
    /// This node owned it, and another one does from now on.
    Yielded,
    /// It was removed.
    Down {
        /// The reason for the removal.
        reason: Reason,
        /// The moment of removal; for one that expired, the end of its TTL.
        at: Moment,
    },
}
