//! What a session that watches is told, as values: the formats write them.

use std::rc::Rc;
use std::sync::Arc;

use super::{Rendered, ServiceAddress};

/// A service as watchers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its type.
    pub service_type: Arc<str>,
    /// Where it can be reached.
    pub address: ServiceAddress,
}

/// All that is live, of one type or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How many changes the registry had seen when this was so.
    pub index: u64,
    /// What is live; by type, oldest first.
    pub services: Vec<Service>,
}

/// What has changed in one turn, of one type or of all. What came and went in the same turn stands
/// in neither list, so a client may apply the two in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// How many changes the registry had seen after these.
    pub index: u64,
    /// What came.
    pub up: Vec<Service>,
    /// What went.
    pub down: Vec<Service>,
}

/// What a session that watches is told next. Many sessions are told the same.
#[derive(Clone, Debug)]
pub enum Update {
    /// Forget everything: this is what is live.
    Snapshot(Rc<Rendered<Snapshot>>),
    /// Apply this to what you know.
    Delta(Rc<Rendered<Delta>>),
    /// Nothing has changed for long. The number is the registry's count of changes.
    Keepalive(u64),
}
