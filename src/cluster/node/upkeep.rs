//! What goes on behind the reports, a slice at a time: a node may know a million registrations.

use super::{News, Node};
use crate::cluster::known::{Known, Role};
use crate::cluster::name::Name;
use crate::limits::{TURN_ORPHANS_MAX, TURN_QUEUED_MAX, TURN_WALKED_MAX};
use crate::message::Reason;
use crate::time::Moment;

/// A walk through all registrations behind a load: what it has not told is not there.
#[derive(Debug)]
pub(super) struct Walk {
    /// The revision of the load.
    revision: u64,
    /// The first name of the chunk that was walked through last.
    behind: Option<Name>,
}

impl Walk {
    pub(super) fn new(revision: u64) -> Self {
        let behind = None;
        Walk { revision, behind }
    }
}

impl Node {
    /// Does what is due: as much as one turn of the loop may take. There may be more, which is
    /// [due](Self::next_due) at once.
    pub fn look(&mut self, now: Moment) {
        self.walk(now);
        self.end_waits(now);
        for _ in 0..TURN_ORPHANS_MAX {
            let Some(name) = self.orphans.due(now) else {
                break;
            };
            self.give_up(&name);
        }
        for _ in 0..TURN_QUEUED_MAX {
            if self.unowned.front().is_none_or(|(due, _)| *due > now) {
                break;
            }
            if let Some((_, name)) = self.unowned.pop_front() {
                self.enqueue(&name);
            }
        }
        self.sort_queue();
    }

    /// Whether a slice of what goes on is left.
    pub(super) fn has_slices(&self) -> bool {
        self.walk.is_some() || !self.returned.is_empty() || self.unsorted > 0
    }

    /// Walks through some more of what a load may have left out.
    pub(super) fn walk(&mut self, now: Moment) {
        let mut count = 0;
        while count < TURN_WALKED_MAX {
            let Some(walk) = &mut self.walk else {
                return;
            };
            let Some((first, chunk)) = self.all.chunk_behind(walk.behind.as_ref()) else {
                (self.walk, self.is_forgotten) = (None, false);
                return;
            };
            let mut missing = Vec::new();
            for (name, known) in chunk {
                count += 1;
                if known.load != self.load {
                    missing.push(name);
                }
            }
            walk.behind = Some(first.clone());
            for name in missing {
                self.catch_up(&name, now);
            }
        }
    }

    /// Draws what follows from the latest load, before anything else happens to the registration: the walk
    /// may come to it later.
    pub(super) fn catch_up(&mut self, name: &Name, now: Moment) {
        let Some(before) = self.all.get(name) else {
            return;
        };
        let mut known = self.caught_up(before);
        if known == before {
            return;
        }
        match known.role {
            Role::Own { .. } => {
                // Nobody who removes it now knows of it.
                known.role = Role::Own { is_claim: true };
                self.set(name, known);
                self.enqueue(name);
            }
            Role::Leaving => self.forget(name),
            // Its owner may put it again, or it has gone while nobody watched.
            Role::Replica if self.walk.is_some() => {
                let lease_ms = self.config.lease_s.saturating_mul(1_000);
                self.orphan(name, known, lease_ms, now);
            }
            Role::Replica | Role::Orphan => self.set(name, known),
        }
    }

    /// What is known of a registration behind the latest load, without what follows from it.
    pub(super) fn caught_up(&self, mut known: Known) -> Known {
        if known.load == self.load {
            return known;
        }
        if let Some(walk) = &self.walk {
            known.load = self.load;
            (known.revision, known.is_there) = (walk.revision, false);
        } else if self.is_forgotten {
            (known.revision, known.is_there) = (0, false);
        }
        if self.is_forgotten {
            known.lease = 0;
        }
        known
    }

    /// Gives up what nodes that are ready have lost and not put again.
    pub(super) fn end_waits(&mut self, now: Moment) {
        for _ in 0..TURN_ORPHANS_MAX {
            let Some((&node, &seen)) = self.returned.first_key_value() else {
                return;
            };
            let Some(name) = self.orphans.lost_by(node, seen) else {
                self.returned.pop_first();
                continue;
            };
            self.catch_up(&name, now);
            // What a load has not told was lost later, as far as is known.
            let is_over = |known: Known| known.node == node && known.revision <= seen;
            if self.all.get(&name).is_some_and(is_over) {
                self.on_removed(&name, Reason::Expired);
            }
        }
    }

    /// etcd has become full: it takes what removes one key, and nothing else that waits.
    fn sort_queue(&mut self) {
        let count = self.unsorted.min(TURN_QUEUED_MAX);
        self.unsorted -= count;
        for _ in 0..count {
            let Some(queued) = self.queue.pop_front() else {
                break;
            };
            match self.all.get(&queued.name) {
                Some(known) if self.is_removable(&known) => self.removals.push_back(queued.name),
                _ => self.queue.push_back(queued),
            }
        }
    }

    /// Nobody has put it again.
    fn give_up(&mut self, name: &Name) {
        match self.all.get(name) {
            // It says that this node owns it, and is still to go from etcd.
            Some(known) if known.is_there => {
                let role = Role::Leaving;
                self.set(name, Known { role, ..known });
                self.enqueue(name);
            }
            _ => self.forget(name),
        }
        self.news
            .push_back(News::Gone(name.clone(), Reason::Expired));
    }
}
