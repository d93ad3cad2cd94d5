//! A hierarchical timing wheel: deadlines of millisecond precision, O(1) each, however many.
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987). Each deadline belongs to
//! a key of the owner, and the wheel's links are stored in the owner's memory. The owner does not
//! report a deadline that only moves later: when the old slot is polled, the owner sees that the key
//! is not due and inserts it again (lazy re-arming), so a heartbeat costs the wheel nothing.

use crate::time::Moment;

/// Each level has 64 slots, each as wide as the whole level below; the lowest are 1 ms wide.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// 64^6 ms are more than two years, longer than any deadline here.
const LEVELS: usize = 6;
const NONE: u32 = u32::MAX;
const UNLINKED: u16 = u16::MAX;

/// A key's place in the wheel, which the owner stores with the entry of the key. Packed, because
/// there may be a million of them.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(2))]
pub struct WheelLink {
    previous: u32,
    next: u32,
    slot: u16,
}

impl Default for WheelLink {
    /// Not in the wheel.
    fn default() -> Self {
        WheelLink {
            previous: NONE,
            next: NONE,
            slot: UNLINKED,
        }
    }
}

impl WheelLink {
    /// Whether the key is in the wheel.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.slot != UNLINKED
    }
}

/// The owner of the links.
pub trait WheelLinks {
    /// The link of `key`, which is in use.
    fn wheel_link(&mut self, key: u32) -> &mut WheelLink;
}

/// The wheel. All calls on one wheel must pass the same owner.
#[derive(Debug)]
pub struct Wheel {
    /// The time up to which every due key has been polled.
    elapsed: u64,
    /// A bit for each slot that holds a key.
    occupied: [u64; LEVELS],
    heads: [[u32; SLOTS]; LEVELS],
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel::new()
    }
}

impl Wheel {
    /// An empty wheel at the start of time.
    #[must_use]
    pub fn new() -> Self {
        Wheel {
            elapsed: 0,
            occupied: [0; LEVELS],
            heads: [[NONE; SLOTS]; LEVELS],
        }
    }

    /// Inserts `key`, which must not be in the wheel. It is polled at `deadline` or before, or at once
    /// when the deadline has passed.
    pub fn insert(&mut self, links: &mut impl WheelLinks, key: u32, deadline: Moment) {
        let (level, slot) = self.place(deadline.as_millis());
        let head = std::mem::replace(&mut self.heads[level][slot], key);
        let link = links.wheel_link(key);
        debug_assert!(!link.is_linked(), "a key is in the wheel once");
        *link = WheelLink {
            previous: NONE,
            next: head,
            slot: (level * SLOTS + slot) as u16,
        };
        if head != NONE {
            links.wheel_link(head).previous = key;
        }
        self.occupied[level] |= 1 << slot;
    }

    /// Removes `key`, if it is in the wheel.
    pub fn remove(&mut self, links: &mut impl WheelLinks, key: u32) {
        let WheelLink {
            previous,
            next,
            slot,
        } = std::mem::take(links.wheel_link(key));
        if slot == UNLINKED {
            return;
        }
        let (level, slot) = (usize::from(slot) / SLOTS, usize::from(slot) % SLOTS);
        if next != NONE {
            links.wheel_link(next).previous = previous;
        }
        if previous != NONE {
            links.wheel_link(previous).next = next;
        } else {
            self.heads[level][slot] = next;
            if next == NONE {
                self.occupied[level] &= !(1 << slot);
            }
        }
    }

    /// When [`poll`](Self::poll) next has work, if the wheel is not empty.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.next_slot()
            .map(|(start, _, _)| Moment::from_millis(start))
    }

    /// Removes one key whose slot starts by `now`. The owner checks the key's true deadline and
    /// inserts the key again when that is later.
    ///
    /// `None` means that no key with a deadline up to `now` is left.
    pub fn poll(&mut self, links: &mut impl WheelLinks, now: Moment) -> Option<u32> {
        let now = now.as_millis();
        match self.next_slot() {
            Some((start, level, slot)) if start <= now => {
                self.elapsed = self.elapsed.max(start);
                let key = self.heads[level][slot];
                self.remove(links, key);
                Some(key)
            }
            _ => {
                self.elapsed = self.elapsed.max(now);
                None
            }
        }
    }

    /// The next occupied slot and its start; no deadline in it is earlier.
    fn next_slot(&self) -> Option<(u64, usize, usize)> {
        let slot_of = |(level, &occupied): (usize, &u64)| {
            if occupied == 0 {
                return None;
            }
            let shift = level as u32 * SLOT_BITS;
            let turns = self.elapsed >> shift;
            let present = (turns as usize) % SLOTS;
            let ahead = occupied.rotate_right(present as u32).trailing_zeros();
            let start = (turns + u64::from(ahead)) << shift;
            Some((start, level, (present + ahead as usize) % SLOTS))
        };
        self.occupied.iter().enumerate().filter_map(slot_of).min()
    }

    /// The level and slot of a deadline. The level is the lowest on which the deadline is in another
    /// slot than the present, so every slot between is on a lower level or earlier on this one.
    fn place(&self, deadline: u64) -> (usize, usize) {
        const HORIZON: u64 = (SLOTS as u64 - 1) << ((LEVELS as u32 - 1) * SLOT_BITS);
        let deadline = deadline.clamp(self.elapsed, self.elapsed.saturating_add(HORIZON));
        let differing_bits = u64::BITS - (self.elapsed ^ deadline).leading_zeros();
        let level = (differing_bits.saturating_sub(1) / SLOT_BITS).min(LEVELS as u32 - 1);
        let slot = (deadline >> (level * SLOT_BITS)) as usize % SLOTS;
        (level as usize, slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl WheelLinks for Vec<WheelLink> {
        fn wheel_link(&mut self, key: u32) -> &mut WheelLink {
            &mut self[key as usize]
        }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    /// Polls as an owner does: inserts again every key that is not due.
    fn due(wheel: &mut Wheel, links: &mut Vec<WheelLink>, deadlines: &[u64], now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        while let Some(key) = wheel.poll(links, at(now)) {
            let deadline = deadlines[key as usize];
            if deadline <= now {
                due.push(key);
            } else {
                wheel.insert(links, key, at(deadline));
            }
        }
        due.sort_unstable();
        due
    }

    #[test]
    fn a_key_comes_exactly_at_its_deadline() {
        for deadline in [
            0,
            1,
            63,
            64,
            65,
            4_095,
            4_096,
            30_000,
            86_400_000,
            31_536_000_000,
            200_000_000_000,
        ] {
            let mut wheel = Wheel::new();
            let mut links = vec![WheelLink::default()];
            wheel.insert(&mut links, 0, at(deadline));
            if deadline > 0 {
                assert_eq!(
                    due(&mut wheel, &mut links, &[deadline], deadline - 1),
                    [0; 0],
                    "{deadline}"
                );
                assert!(wheel.next_due().unwrap() <= at(deadline));
            }
            assert_eq!(
                due(&mut wheel, &mut links, &[deadline], deadline),
                [0],
                "{deadline}"
            );
            assert_eq!(wheel.next_due(), None);
        }
    }

    #[test]
    fn a_deadline_that_has_passed_comes_at_the_next_poll() {
        let mut wheel = Wheel::new();
        let mut links = vec![WheelLink::default()];
        assert_eq!(wheel.poll(&mut links, at(1_000_000)), None);
        wheel.insert(&mut links, 0, at(5));
        assert_eq!(wheel.poll(&mut links, at(1_000_000)), Some(0));
    }

    #[test]
    fn a_wheel_that_runs_for_years_still_keeps_its_deadlines() {
        let mut wheel = Wheel::new();
        let mut links = vec![WheelLink::default()];
        let day = 86_400_000;
        let mut now = 0;
        for _ in 0..2_000 {
            wheel.insert(&mut links, 0, at(now + day));
            assert_eq!(
                due(&mut wheel, &mut links, &[now + day], now + day - 1),
                [0; 0]
            );
            assert_eq!(due(&mut wheel, &mut links, &[now + day], now + day), [0]);
            now += day;
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Inserts a key that is due in so many milliseconds, or moves its deadline later.
        Set(u8, u64),
        Remove(u8),
        Pass(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let span = prop_oneof![0..200_u64, 0..100_000_u64, 0..100_000_000_u64];
        prop_oneof![
            4 => (0..32_u8, span.clone()).prop_map(|(key, ms)| Op::Set(key, ms)),
            1 => (0..32_u8).prop_map(Op::Remove),
            3 => span.prop_map(Op::Pass),
        ]
    }

    proptest! {
        #[test]
        fn the_wheel_equals_a_sorted_list(ops in proptest::collection::vec(op(), 1..200), start in 0..1_u64 << 40) {
            let mut wheel = Wheel::new();
            let mut links = vec![WheelLink::default(); 32];
            let mut deadlines = vec![0; 32];
            let mut model: Vec<(u64, u32)> = Vec::new();
            let mut now = start;
            assert_eq!(wheel.poll(&mut links, at(now)), None);
            for op in ops {
                match op {
                    Op::Set(key, ms) => {
                        let (key, deadline) = (u32::from(key), now + ms);
                        match model.iter_mut().find(|(_, other)| *other == key) {
                            // Lazy re-arming: the wheel keeps the old slot.
                            Some(entry) => entry.0 = entry.0.max(deadline),
                            None => {
                                model.push((deadline, key));
                                wheel.insert(&mut links, key, at(deadline));
                            }
                        }
                        deadlines[key as usize] = model.iter().find(|(_, other)| *other == key).unwrap().0;
                    }
                    Op::Remove(key) => {
                        wheel.remove(&mut links, u32::from(key));
                        model.retain(|&(_, other)| other != u32::from(key));
                    }
                    Op::Pass(ms) => {
                        now += ms;
                        let mut expected: Vec<u32> =
                            model.iter().filter(|(deadline, _)| *deadline <= now).map(|&(_, key)| key).collect();
                        expected.sort_unstable();
                        model.retain(|&(deadline, _)| deadline > now);
                        prop_assert_eq!(due(&mut wheel, &mut links, &deadlines, now), expected);
                        let earliest = model.iter().map(|&(deadline, _)| at(deadline)).min();
                        prop_assert!(wheel.next_due() <= earliest || earliest.is_none());
                        prop_assert_eq!(wheel.next_due().is_none(), model.is_empty());
                    }
                }
            }
        }
    }
}
