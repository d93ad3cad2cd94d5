//! What a node can say of itself.

use std::sync::Arc;

use super::{Node, Phase};
use crate::cluster::name::NodeId;

impl Node {
    /// Registrations that wait to be written, and those that are being written.
    #[must_use]
    pub fn dirty_len(&self) -> usize {
        self.queue.len() + self.removals.len() + usize::from(self.sent.is_some())
    }

    /// All changes up to this revision of etcd's were seen.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.seen
    }

    /// Whether it reads everything anew.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        self.phase == Phase::Loading
    }

    /// This node's own name in etcd.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// This node's name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What a node is called by people, if it says so.
    #[must_use]
    pub fn name_of(&self, node: NodeId) -> Option<&Arc<str>> {
        self.names.get(&node)
    }
}
