//! The leases of this node: what is in etcd under them goes when nobody prolongs them.

use super::registrations::Registrations;
use crate::limits::CLUSTER_LEASE_KEYS_MAX;

#[derive(Debug, Default)]
pub(super) struct Leases {
    all: Vec<Lease>,
}

#[derive(Debug)]
struct Lease {
    id: i64,
    /// Whether its marker is in etcd.
    is_marked: bool,
}

impl Leases {
    pub(super) fn add(&mut self, id: i64) {
        self.all.push(Lease {
            id,
            is_marked: false,
        });
    }

    /// The lease to write under, and for how many there is room: one whose marker is to be written, or
    /// one with room.
    pub(super) fn next(&self, all: &Registrations) -> Option<(i64, usize)> {
        let room = |lease: &Lease| CLUSTER_LEASE_KEYS_MAX.saturating_sub(all.under(lease.id));
        let unmarked = self.all.iter().find(|lease| !lease.is_marked);
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

    fn find(&mut self, id: i64) -> Option<&mut Lease> {
        self.all.iter_mut().find(|lease| lease.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::known::Known;
    use crate::cluster::{KeyId, Name};
    use uuid::Uuid;

    #[test]
    fn a_lease_is_full_at_its_bound_and_has_room_when_one_goes() {
        let name = |number: usize| Name {
            service_type: "hive".into(),
            id: KeyId::of(&Uuid::from_u128(number as u128)),
        };
        let under = |lease| Known {
            lease,
            ..Known::default()
        };
        let mut all = Registrations::default();
        let mut leases = Leases::default();
        assert_eq!(leases.next(&all), None);
        leases.add(1);
        leases.set_marked(1, true);
        for number in 0..CLUSTER_LEASE_KEYS_MAX {
            all.set(&name(number), under(1));
        }
        assert_eq!(leases.next(&all), None);
        leases.add(2);
        assert_eq!(leases.next(&all), Some((2, CLUSTER_LEASE_KEYS_MAX)));
        leases.set_marked(2, true);
        all.set(&name(0), under(2));
        assert_eq!(leases.next(&all), Some((1, 1)));
        // The marker of a full lease is written again.
        all.set(&name(CLUSTER_LEASE_KEYS_MAX), under(1));
        leases.set_marked(1, false);
        assert!(!leases.are_marked());
        assert_eq!(leases.next(&all), Some((1, 0)));
        leases.remove(1);
        // What was under a lost lease leaves nothing behind.
        all.set(&name(1), under(0));
        assert_eq!(leases.next(&all), Some((2, CLUSTER_LEASE_KEYS_MAX - 1)));
    }
}
