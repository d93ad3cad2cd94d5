//! Who owns a registration in a cluster.

/// Another node of the cluster, by the number that this process has given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeNumber(pub u32);
