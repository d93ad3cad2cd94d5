//! The records of the latest removals, which `why` reads.

use uuid::Uuid;

use crate::limits::DEPARTURES_MAX;
use crate::message::Gone;

/// A ring of departures. Their wall times are computed at the removal, so a later change of the
/// clock does not affect them.
#[derive(Debug, Default)]
pub(super) struct Departures {
    ring: Vec<(Uuid, Gone)>,
    /// The position that the next departure overwrites.
    next: usize,
}

impl Departures {
    /// Stores a departure.
    pub(super) fn record(&mut self, uuid: Uuid, gone: Gone) {
        if self.ring.len() < DEPARTURES_MAX {
            self.ring.push((uuid, gone));
        } else {
            self.ring[self.next] = (uuid, gone);
        }
        self.next = (self.next + 1) % DEPARTURES_MAX;
    }

    /// The last departure of a registration with this UUID.
    pub(super) fn find(&self, uuid: &Uuid) -> Option<&Gone> {
        let (new, old) = self.ring.split_at(self.next.min(self.ring.len()));
        new.iter()
            .rev()
            .chain(old.iter().rev())
            .find(|(gone, _)| gone == uuid)
            .map(|(_, gone)| gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Reason;
    use crate::time::WallTime;

    #[test]
    fn the_last_1024_departures_are_remembered_and_the_latest_of_a_uuid_counts() {
        let mut departures = Departures::default();
        let go = |departures: &mut Departures, number: u128, ms: i64| {
            let time = WallTime::from_unix_millis(ms);
            let gone = Gone {
                reason: Reason::Expired,
                at: time,
                last_heartbeat: time,
            };
            departures.record(Uuid::from_u128(number), gone);
        };
        for number in 0..3_000 {
            go(&mut departures, number, number as i64);
            let oldest = (number + 1).saturating_sub(DEPARTURES_MAX as u128);
            assert!(departures.find(&Uuid::from_u128(oldest)).is_some());
            assert!(oldest == 0 || departures.find(&Uuid::from_u128(oldest - 1)).is_none());
        }
        go(&mut departures, 2_500, 9_999);
        let found = departures.find(&Uuid::from_u128(2_500)).unwrap();
        assert_eq!(found.at, WallTime::from_unix_millis(9_999));
    }
}
