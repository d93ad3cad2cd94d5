//! The other nodes, by the numbers that they have in the registry.

use std::collections::HashMap;

use crate::cluster::NodeId;
use crate::message::NodeNumber;

/// The numbers of all nodes that were ever seen to own something: a node has another id after each start, and
/// a number is four bytes in the registry and about forty here.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    numbers: HashMap<NodeId, NodeNumber>,
    ids: Vec<NodeId>,
}

impl Nodes {
    /// The number of the node.
    pub(super) fn number(&mut self, id: NodeId) -> NodeNumber {
        *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            NodeNumber((self.ids.len() - 1) as u32)
        })
    }

    /// The node with this number.
    pub(super) fn id(&self, number: NodeNumber) -> Option<NodeId> {
        self.ids.get(number.0 as usize).copied()
    }
}
