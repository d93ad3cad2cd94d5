//! The leases of this node: what is in etcd under them goes when nobody prolongs them.

use crate::limits::CLUSTER_LEASE_KEYS_MAX;

#[derive(Debug, Default)]
pub(super) struct Leases {
    all: Vec<Lease>,
}

#[derive(Debug)]
struct Lease {
    id: i64,
    /// Registrations under it.
    keys: usize,
    /// Whether its marker is in etcd.
    is_marked: bool,
}

impl Leases {
    pub(super) fn add(&mut self, id: i64) {
        self.all.push(Lease {
            id,
            keys: 0,
            is_marked: false,
        });
    }

    /// The lease to write under, and for how many there is room: one whose marker is to be written, or
    /// one with room.
    pub(super) fn next(&self) -> Option<(i64, usize)> {
        let room = |lease: &Lease| CLUSTER_LEASE_KEYS_MAX.saturating_sub(lease.keys);
        let mut all = self.all.iter();
        let unmarked = all.find(|lease| !lease.is_marked);
        let lease = unmarked.or_else(|| self.all.iter().find(|lease| room(lease) > 0))?;
        Some((lease.id, room(lease)))
    }

    /// Whether all have their markers.
    pub(super) fn are_marked(&self) -> bool {
        self.all.iter().all(|lease| lease.is_marked)
    }

    /// The number of leases.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The lease is lost.
    pub(super) fn remove(&mut self, id: i64) {
        self.all.retain(|lease| lease.id != id);
    }

    /// Gives all up.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = i64> {
        self.all.drain(..).map(|lease| lease.id)
    }

    pub(super) fn is_marked(&self, id: i64) -> bool {
        self.all
            .iter()
            .any(|lease| lease.id == id && lease.is_marked)
    }

    pub(super) fn set_marked(&mut self, id: i64, is_marked: bool) {
        if let Some(lease) = self.find(id) {
            lease.is_marked = is_marked;
        }
    }

    /// Nobody knows whether the markers are in etcd.
    pub(super) fn unmark_all(&mut self) {
        for lease in &mut self.all {
            lease.is_marked = false;
        }
    }

    /// A registration goes from one lease to another; 0 stands for none.
    pub(super) fn move_key(&mut self, from: i64, to: i64) {
        if let Some(lease) = self.find(from) {
            lease.keys = lease.keys.saturating_sub(1);
        }
        if let Some(lease) = self.find(to) {
            lease.keys += 1;
        }
    }

    fn find(&mut self, id: i64) -> Option<&mut Lease> {
        self.all.iter_mut().find(|lease| lease.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_full_at_its_bound_and_has_room_when_one_goes() {
        let mut leases = Leases::default();
        assert_eq!(leases.next(), None);
        leases.add(1);
        leases.set_marked(1, true);
        for _ in 0..CLUSTER_LEASE_KEYS_MAX {
            leases.move_key(0, 1);
        }
        assert_eq!(leases.next(), None);
        leases.add(2);
        assert_eq!(leases.next(), Some((2, CLUSTER_LEASE_KEYS_MAX)));
        leases.set_marked(2, true);
        leases.move_key(1, 2);
        assert_eq!(leases.next(), Some((1, 1)));
        // The marker of a full lease is written again.
        leases.move_key(0, 1);
        leases.set_marked(1, false);
        assert!(!leases.are_marked());
        assert_eq!(leases.next(), Some((1, 0)));
        leases.remove(1);
        // What was under a lost lease leaves nothing behind.
        leases.move_key(1, 0);
        assert_eq!(leases.next(), Some((2, CLUSTER_LEASE_KEYS_MAX - 1)));
    }
}
