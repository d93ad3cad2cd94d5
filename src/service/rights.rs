//! The UUIDs that are the right to change adopted registrations.

use std::collections::HashMap;

use uuid::Uuid;

/// A held registration of an earlier process keeps the UUID under which it was made, and so its public
/// name. Whoever adopts it gets another UUID, and the first one is no right any more.
#[derive(Debug, Default)]
pub(super) struct Rights {
    /// The registration that each of these UUIDs may change.
    registrations: HashMap<Uuid, Uuid>,
    /// The right to each of these registrations.
    rights: HashMap<Uuid, Uuid>,
}

impl Rights {
    /// The UUID of the registration that `told` may change, if that can be any.
    #[inline]
    pub(super) fn resolve(&self, told: Uuid) -> Option<Uuid> {
        if self.rights.is_empty() {
            return Some(told);
        }
        self.look_up(told)
    }

    #[inline(never)]
    fn look_up(&self, told: Uuid) -> Option<Uuid> {
        match self.registrations.get(&told) {
            Some(&uuid) => Some(uuid),
            None => (!self.rights.contains_key(&told)).then_some(told),
        }
    }

    /// Whether `uuid` is the right to another registration.
    pub(super) fn has(&self, uuid: &Uuid) -> bool {
        self.registrations.contains_key(uuid)
    }

    /// Makes `right` the right to the registration `uuid`, in place of any other.
    pub(super) fn set(&mut self, uuid: Uuid, right: Uuid) {
        if let Some(old) = self.rights.insert(uuid, right) {
            self.registrations.remove(&old);
        }
        self.registrations.insert(right, uuid);
    }

    /// The registration `uuid` is gone. Returns the UUID that was told for it.
    pub(super) fn forget(&mut self, uuid: Uuid) -> Uuid {
        let Some(right) = self.rights.remove(&uuid) else {
            return uuid;
        };
        self.registrations.remove(&right);
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_right_counts_and_it_goes_with_its_registration() {
        let uuid = Uuid::from_u128;
        let mut rights = Rights::default();
        assert_eq!(rights.resolve(uuid(1)), Some(uuid(1)));
        rights.set(uuid(1), uuid(2));
        rights.set(uuid(1), uuid(3));
        assert_eq!(rights.resolve(uuid(3)), Some(uuid(1)));
        assert_eq!(rights.resolve(uuid(1)), None);
        assert_eq!(rights.resolve(uuid(2)), Some(uuid(2)), "it is nothing now");
        assert!(rights.has(&uuid(3)) && !rights.has(&uuid(2)));
        assert_eq!(rights.forget(uuid(1)), uuid(3));
        assert_eq!(rights.resolve(uuid(1)), Some(uuid(1)));
        assert_eq!(rights.forget(uuid(1)), uuid(1));
        assert!(rights.registrations.is_empty());
    }
}
