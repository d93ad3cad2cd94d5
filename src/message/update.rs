//! The updates for watchers as values, which the formats encode.

use std::rc::Rc;
use std::sync::Arc;

use super::{Rendered, ServiceAddress};

/// A service as snapshots and deltas show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its type.
    pub service_type: Arc<str>,
    /// Its address.
    pub address: ServiceAddress,
}

/// All live services, of one type or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The registry's count of changes at the time of the snapshot.
    pub index: u64,
    /// The live services; by type, oldest first.
    pub services: Vec<Service>,
}

/// The changes of one turn, of one type or of all. A service that came and went in the same turn is
/// in neither list, so a client may apply the two in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The registry's count of changes after these.
    pub index: u64,
    /// The services that came.
    pub up: Vec<Service>,
    /// The services that went.
    pub down: Vec<Service>,
}

/// An update for a watcher. Many watchers share it.
#[derive(Clone, Debug)]
pub enum Update {
    /// Everything that is live; it replaces all that the watcher knew.
    Snapshot(Rc<Rendered<Snapshot>>),
    /// The changes since the last update.
    Delta(Rc<Rendered<Delta>>),
    /// Nothing has changed for some time. Holds the registry's count of changes.
    Keepalive(u64),
}
