//! What a node knows of the registrations in etcd.

use std::collections::HashMap;
use std::sync::Arc;

use super::name::{KeyId, Name, NodeId};
use crate::time::Moment;

/// A registration, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub(super) load: u32,
}

/// What the registration is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Replica,
    /// Likewise, and what etcd had of it went with a lease, or while nobody watched: it is gone at this
    /// moment of the watched time unless it comes back.
    Orphan(Moment),
}

impl Known {
    pub(super) fn new(role: Role) -> Self {
        Known {
            revision: 0,
            is_there: false,
            node: NodeId(0),
            role,
            since: 0,
            ttl_ms: 0,
            lease: 0,
            is_queued: false,
            load: 0,
        }
    }

    pub(super) fn is_own(&self) -> bool {
        matches!(self.role, Role::Own { .. })
    }

    /// The revision that etcd must have of it for a write to count; 0 where it must have nothing.
    pub(super) fn guard(&self) -> u64 {
        if self.is_there { self.revision } else { 0 }
    }
}

/// All registrations, by their names.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    types: HashMap<Arc<str>, HashMap<KeyId, Known>>,
}

impl Registrations {
    pub(super) fn get(&self, name: &Name) -> Option<&Known> {
        self.types.get(&name.service_type)?.get(&name.id)
    }

    pub(super) fn get_mut(&mut self, name: &Name) -> Option<&mut Known> {
        self.types.get_mut(&name.service_type)?.get_mut(&name.id)
    }

    /// What is known of it, or what is from now on.
    pub(super) fn get_or_insert(&mut self, name: &Name, role: Role) -> &mut Known {
        let of_type = self.types.entry(Arc::clone(&name.service_type));
        let known = of_type.or_default().entry(name.id);
        known.or_insert_with(|| Known::new(role))
    }

    pub(super) fn remove(&mut self, name: &Name) -> Option<Known> {
        let of_type = self.types.get_mut(&name.service_type)?;
        let known = of_type.remove(&name.id);
        if of_type.is_empty() {
            self.types.remove(&name.service_type);
        }
        known
    }

    /// All, with their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Name, &Known)> {
        self.types.iter().flat_map(|(service_type, of_type)| {
            of_type.iter().map(move |(&id, known)| {
                let service_type = Arc::clone(service_type);
                (Name { service_type, id }, known)
            })
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Known> {
        self.types.values_mut().flat_map(HashMap::values_mut)
    }
}
