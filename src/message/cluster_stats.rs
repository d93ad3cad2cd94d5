//! What `stats` says of the cluster.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How a node is with etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterState {
    /// It does not reach etcd, or is not told what changes; it answers with what it knows.
    #[default]
    Away,
    /// It reads everything anew.
    Loading,
    /// It is told what changes.
    Watching,
}

impl ClusterState {
    /// All of them.
    pub const ALL: [ClusterState; 3] = [
        ClusterState::Away,
        ClusterState::Loading,
        ClusterState::Watching,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ClusterState::Away => "away",
            ClusterState::Loading => "loading",
            ClusterState::Watching => "watching",
        }
    }
}

/// The figures of a node of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStats {
    /// How the node is with etcd.
    pub state: ClusterState,
    /// Whether the state of the cluster was loaded, so that questions are answered.
    pub ready: bool,
    /// The node's name.
    pub node: Arc<str>,
    /// Nodes of the cluster, with this one.
    pub nodes: u64,
    /// Registrations that this node owns.
    pub own: u64,
    /// Registrations that other nodes own.
    pub remote: u64,
    /// Those of them that etcd does not have, and which go unless they come back.
    pub orphaned: u64,
    /// Registrations that are to be written to etcd.
    pub dirty: u64,
    /// etcd's revision up to which all changes were seen.
    pub revision: u64,
    /// Milliseconds since etcd was last heard of.
    pub silent_ms: u64,
    /// Registrations that this node has taken over from others.
    pub takeovers: u64,
    /// Registrations that others have taken over from this node.
    pub yields: u64,
    /// Leases that were lost: etcd dropped what this node owned, which was written again.
    pub leases_lost: u64,
    /// How often everything was read anew after the first time.
    pub resyncs: u64,
    /// Whether etcd had no room when it was last written to.
    pub full: bool,
    /// Registrations of other nodes for which there was no room here.
    pub left_out: u64,
}
