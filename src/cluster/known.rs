//! What a node knows of a registration in etcd.

use super::name::NodeId;

/// A registration, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The revision of the latest change in etcd that is known; 0 for none.
    pub(super) revision: u64,
    /// Whether etcd has it.
    pub(super) is_there: bool,
    /// The node that has put it last.
    pub(super) node: NodeId,
    pub(super) role: Role,
    /// When it was registered, as in [`super::Record::since`].
    pub(super) since: i64,
    pub(super) ttl_ms: u32,
    /// The lease under which this node has put it last; 0 for none.
    pub(super) lease: i64,
    /// Whether it waits to be written.
    pub(super) is_queued: bool,
    /// The load in which it was seen last.
    pub(super) load: u16,
}

/// What the registration is to this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// It was registered or last heard of here. What etcd has is to follow.
    Own {
        /// It was registered or taken over here, and etcd does not tell it yet: a removal in etcd was
        /// not meant for it.
        is_claim: bool,
    },
    /// It is gone here, and is to go from etcd.
    Leaving,
    /// Another node owns it.
    #[default]
    Replica,
    /// Likewise, and what etcd had of it went with a lease, or while nobody watched: it is gone after a
    /// while unless it comes back.
    Orphan,
}

impl Known {
    pub(super) fn is_own(&self) -> bool {
        matches!(self.role, Role::Own { .. })
    }

    /// The revision that etcd must have of it for a write to count; 0 where it must have nothing.
    pub(super) fn guard(&self) -> u64 {
        if self.is_there { self.revision } else { 0 }
    }
}
