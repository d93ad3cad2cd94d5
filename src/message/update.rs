//! The updates for watchers as values, which the formats encode.

use std::rc::Rc;
use std::sync::Arc;

use super::{Id, Labels, Reason, Rendered, ServiceAddress};

/// A registration as snapshots and deltas show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its public name.
    pub id: Id,
    /// Its type.
    pub service_type: Arc<str>,
    /// Its address.
    pub address: ServiceAddress,
    /// Its tags and metadata, if it has any.
    pub labels: Option<Arc<Labels>>,
}

impl Service {
    /// Bytes that a line takes at most for it, its members and what stands between them: an escaped
    /// character of the type takes two.
    #[must_use]
    pub fn line_len_max(&self) -> usize {
        const WITHOUT_TYPE: usize = 128;
        let labels = self.labels.as_deref().map_or(0, Labels::line_len_max);
        2 * self.service_type.len() + WITHOUT_TYPE + labels
    }
}

/// A registration that was removed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The registration.
    pub service: Service,
    /// The reason for the removal.
    pub reason: Reason,
}

/// How much of a snapshot one line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    Whole,
    /// A part of a long one; the parts are numbered from 1.
    Part {
        /// Its number.
        number: u32,
        /// Whether another part follows.
        more: bool,
    },
}

impl Share {
    /// Whether it replaces all that the watcher knew.
    #[must_use]
    pub fn is_first(self) -> bool {
        matches!(self, Share::Whole | Share::Part { number: 1, .. })
    }

    /// Whether another part follows.
    #[must_use]
    pub fn has_more(self) -> bool {
        matches!(self, Share::Part { more: true, .. })
    }
}

/// The live services, of one type or of all, or a part of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The registry's count of changes at the time of the snapshot.
    pub index: u64,
    /// How much of the snapshot it is.
    pub share: Share,
    /// The live services; by type, oldest first.
    pub services: Vec<Service>,
}

/// Changes of one turn, of one type or of all. A registration is in one of the lists at most, so a
/// client may apply them in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The registry's count of changes after this turn.
    pub index: u64,
    /// The services that came, that came back at another address, or whose tags or metadata changed.
    pub up: Vec<Service>,
    /// The services that went.
    pub down: Vec<Removal>,
}

/// An update for a watcher. Many watchers share it.
#[derive(Clone, Debug)]
pub enum Update {
    /// Everything that is live, or a part of it.
    Snapshot(Rc<Rendered<Snapshot>>),
    /// The changes of a turn; many in several deltas.
    Deltas(Rc<[Rendered<Delta>]>),
    /// Nothing has changed for some time. Holds the registry's count of changes.
    Keepalive(u64),
}
