//! Who owns a registration in a cluster.

use uuid::Uuid;

use super::Id;

/// Another node of the cluster, by the number that this process has given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeNumber(pub u32);

/// The public name of a registration whose [UUID](super::Change::uuid) this is, and which is owned by this
/// node, or by another one.
pub(crate) fn public_name(uuid: &Uuid, owner: Option<NodeNumber>) -> Id {
    match owner {
        None => Id::of(uuid),
        Some(_) => Id::beginning(uuid),
    }
}
