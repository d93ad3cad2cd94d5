//! What a heartbeat does.

use std::hash::BuildHasher;

use uuid::Uuid;

use super::{Heartbeat, NONE, Registry, hash};
use crate::message::Heartbeats;
use crate::time::Moment;

/// Where a registration is stored, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(Option<u32>);

impl<S: BuildHasher> Registry<S> {
    /// Sets the age of a registration back to zero.
    pub fn heartbeat(&mut self, now: Moment, uuid: &Uuid) -> Heartbeat {
        self.hear(now, now, uuid)
    }

    /// Takes a heartbeat that arrived between two moments: the registration must be live at `earliest`,
    /// and its age counts from `latest`.
    pub fn hear(&mut self, earliest: Moment, latest: Moment, uuid: &Uuid) -> Heartbeat {
        self.hear_at(earliest, latest, Place(self.find(uuid)))
    }

    /// The places of the registrations that heartbeats are for. The memory of all is fetched side by side,
    /// which takes most of the time among a million.
    #[inline]
    #[must_use]
    pub fn find_all(&self, heartbeats: &Heartbeats) -> [Place; Heartbeats::LEN_MAX] {
        let uuids = heartbeats.uuids();
        let mut firsts = [NONE; Heartbeats::LEN_MAX];
        for (first, uuid) in firsts.iter_mut().zip(uuids) {
            *first = self.by_uuid.first(hash(&self.hasher, uuid));
        }
        let mut places = [Place(None); Heartbeats::LEN_MAX];
        for ((place, uuid), first) in places.iter_mut().zip(uuids).zip(firsts) {
            *place = Place(self.find_behind(first, uuid, |entry| entry.owner().is_none()));
        }
        places
    }

    /// As [`hear`](Self::hear), for the registration at a place that was found since the last change.
    #[inline]
    pub fn hear_at(&mut self, earliest: Moment, latest: Moment, place: Place) -> Heartbeat {
        let Some(slot) = place.0 else {
            return Heartbeat::Unknown;
        };
        let entry = self.entries.get_mut(slot);
        if !entry.is_live(earliest) {
            return Heartbeat::Unknown;
        }
        let late = entry.beat(earliest);
        entry.heartbeat = latest;
        self.mutated();
        if late {
            Heartbeat::Late
        } else {
            Heartbeat::InTime
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::message::ServiceAddress;
    use crate::registry::{KeyedHash, Registration};

    fn uuid(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    /// Twenty registrations, of which one in three lives for 1 s and the others for 30.
    fn filled() -> Registry {
        let mut registry = Registry::new(100, KeyedHash::new(7));
        for number in 0..20 {
            let new = Registration {
                uuid: uuid(number),
                service_type: "hive",
                address: ServiceAddress::new("10.0.0.1", 80).unwrap(),
                ttl: Duration::from_secs(if number % 3 == 0 { 1 } else { 30 }),
                labels: None,
            };
            registry.register(Moment::START, new).unwrap();
        }
        registry
    }

    #[test]
    fn heartbeats_that_arrive_together_are_taken_as_one_by_one() {
        let now = Moment::from_millis(2_000);
        for first in 0..25 {
            let (mut together, mut one_by_one) = (filled(), filled());
            let heartbeats = Heartbeats::first_of((first..).map(uuid));
            assert_eq!(heartbeats.uuids().len(), Heartbeats::LEN_MAX);
            let places = together.find_all(&heartbeats);
            for (uuid, place) in heartbeats.uuids().iter().zip(places) {
                let heard = together.hear_at(now, now, place);
                assert_eq!(heard, one_by_one.heartbeat(now, uuid), "{uuid}");
            }
            let later = Moment::from_millis(31_000);
            for number in 0..20 {
                let [a, b] = [&together, &one_by_one].map(|of| of.get(later, &uuid(number)));
                assert_eq!(a.is_some(), b.is_some(), "{number}");
            }
        }
    }
}
