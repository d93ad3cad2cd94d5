//! The bounds of a node of a cluster.

use super::ETCD_WRITES_MAX;

/// Registrations that are stored together: as many are moved at most when one comes or goes.
pub const CLUSTER_CHUNK_LEN_MAX: usize = 512;
/// Registrations under one lease. What a lost lease removes is one message to all nodes, and stalls etcd's
/// writers while it is made.
pub const CLUSTER_LEASE_KEYS_MAX: usize = 8_192;
/// Milliseconds between two transactions of a node that are not full.
pub const CLUSTER_WRITES_APART_MS: u64 = 20;
/// Milliseconds after which a node tries again what etcd has refused.
pub const CLUSTER_REFUSED_PAUSE_MS: u64 = 1_000;
/// Removals that a node remembers, so that what was removed does not come back.
pub const CLUSTER_DEPARTED_MAX: usize = 65_536;
/// Registrations of other nodes that are gone at a node and still to go from etcd.
pub const CLUSTER_FOREIGN_REMOVALS_MAX: usize = 65_536;
/// Milliseconds for which a node remembers a removal at least; longer where the TTL is longer.
pub const CLUSTER_DEPARTED_MS_MIN: u64 = 60_000;
/// Replicas that one turn of the loop gives up because their node did not come back.
pub const TURN_ORPHANS_MAX: usize = 1_024;
/// Registrations that one turn of the loop walks through behind a load, and a chunk more at most.
pub const TURN_WALKED_MAX: usize = 1_024;
/// Registrations that wait to be written, of those that one turn of the loop looks at for another reason.
pub const TURN_QUEUED_MAX: usize = 1_024;
/// Writes that a transaction may have beside those of registrations: three of the node's own state, and
/// of one that goes together with the last.
pub const CLUSTER_OWN_WRITES_MAX: usize = 4;

const _: () = assert!(CLUSTER_OWN_WRITES_MAX < ETCD_WRITES_MAX);
