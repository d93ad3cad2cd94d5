//! How many registrations are so.

use crate::cluster::known::{Known, Role};
use crate::cluster::name::NodeId;

#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Those that etcd has.
    pub(super) there: usize,
    /// Those that another node has put and that are to go from etcd.
    pub(super) foreign_removals: usize,
}

impl Counts {
    /// What is known of a registration has changed.
    pub(super) fn change(&mut self, me: NodeId, before: Option<&Known>, after: Option<&Known>) {
        let is_foreign_removal =
            |known: &&Known| known.role == Role::Leaving && known.is_there && known.node != me;
        let is_there = |known: &&Known| known.is_there;
        self.there -= usize::from(before.filter(is_there).is_some());
        self.there += usize::from(after.filter(is_there).is_some());
        self.foreign_removals -= usize::from(before.filter(is_foreign_removal).is_some());
        self.foreign_removals += usize::from(after.filter(is_foreign_removal).is_some());
    }
}
