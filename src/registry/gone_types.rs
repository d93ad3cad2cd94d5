//! When types went that have no registrations any more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::limits::GONE_TYPES_MAX;

/// The count of changes at which each of the last types went. For older ones the latest of theirs
/// stands: it is none of their changes, but comes after all of them.
#[derive(Debug, Default)]
pub(super) struct GoneTypes {
    by_name: HashMap<Arc<str>, u64>,
    /// In the order in which they went; a type that went again stands there again.
    order: VecDeque<(Arc<str>, u64)>,
    older: u64,
}

impl GoneTypes {
    /// The type went at `index`.
    pub(super) fn add(&mut self, name: &Arc<str>, index: u64) {
        self.by_name.insert(Arc::clone(name), index);
        self.order.push_back((Arc::clone(name), index));
        if self.order.len() > GONE_TYPES_MAX
            && let Some((name, index)) = self.order.pop_front()
        {
            self.older = index;
            if self.by_name.get(&name) == Some(&index) {
                self.by_name.remove(&name);
            }
        }
    }

    /// The count at which the type went, or a later one.
    pub(super) fn index(&self, name: &str) -> u64 {
        self.by_name.get(name).copied().unwrap_or(self.older)
    }

    /// All that went before is counted as this.
    pub(super) fn begin(&mut self, index: u64) {
        self.older = index;
    }
}
