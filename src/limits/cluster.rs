//! The bounds of a node of a cluster.

use std::ops::RangeInclusive;

use super::ETCD_WRITES_MAX;

/// Registrations that are stored together: as many are moved at most when one comes or goes.
pub const CLUSTER_CHUNK_LEN_MAX: usize = 512;
/// Seconds for which what a dead node owned stays in etcd.
pub const CLUSTER_LEASE_SECONDS: RangeInclusive<u32> = 5..=3_600;
/// What it is where nobody says otherwise.
pub const CLUSTER_LEASE_SECONDS_DEFAULT: u32 = 15;
/// Seconds for which what a lost lease has removed stays visible, at most.
pub const CLUSTER_GRACE_SECONDS_MAX: u32 = 60;
/// What it is where nobody says otherwise.
pub const CLUSTER_GRACE_SECONDS_DEFAULT: u32 = 3;
/// Seconds for which the start waits for the state of the cluster, at most.
pub const CLUSTER_WAIT_SECONDS_MAX: u32 = 3_600;
/// What it is where nobody says otherwise.
pub const CLUSTER_WAIT_SECONDS_DEFAULT: u32 = 10;
/// What the keys of a cluster begin with where nobody says otherwise.
pub const CLUSTER_PREFIX_DEFAULT: &str = "/discovery";
/// The name of a cluster where nobody says otherwise.
pub const CLUSTER_NAME_DEFAULT: &str = "default";
/// Bytes of the prefix of a cluster's keys, of its name, and of a node's.
pub const CLUSTER_NAME_LEN_MAX: usize = 255;
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
/// Registrations at one address among which a new hold looks for the one that it comes back to.
pub const PLACE_LOOKS_MAX: usize = 64;
/// Milliseconds for which a question waits until a node has loaded the state of its cluster.
pub const CLUSTER_READY_WAIT_MS: u64 = 3_000;
/// Milliseconds between two log lines about registrations that move from node to node.
pub const CLUSTER_LOG_QUIET_MS: u64 = 10_000;
/// Replicas that one turn of the loop gives up because their node did not come back.
pub const TURN_ORPHANS_MAX: usize = 1_024;
/// Registrations that one turn of the loop walks through behind a load, and a chunk more at most.
pub const TURN_WALKED_MAX: usize = 1_024;
/// Registrations that wait to be written, of those that one turn of the loop looks at for another reason.
pub const TURN_QUEUED_MAX: usize = 1_024;
/// Milliseconds between two checks of whether a node knows of as many keys as etcd has, on an average: half
/// of it to one and a half, by the node's id.
pub const CLUSTER_CHECK_MS: u64 = 3_600_000;
/// Writes that a transaction may have beside those of registrations: three of the node's own state, and
/// of one that goes together with the last.
pub const CLUSTER_OWN_WRITES_MAX: usize = 4;

const _: () = assert!(CLUSTER_OWN_WRITES_MAX < ETCD_WRITES_MAX);
