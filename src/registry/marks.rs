//! Marks: places in the lists of types that stay right when registrations are removed.
//!
//! A mark stands before an entry, or at the end of the list. When its entry is removed, it moves on
//! to the next one; where a mark stands there already, the two become one. So a removal costs O(1),
//! however many walks have stopped at the entry.

use std::collections::BTreeMap;

use slab::Slab;

use super::NONE;
use super::entry::Entries;

/// The number of a mark. Whoever has it must [leave](Marks::leave) the mark in the end.
pub(super) type MarkNumber = u32;

/// All marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: Slab<Mark>,
    /// The mark before each marked entry.
    before: BTreeMap<u32, MarkNumber>,
}

#[derive(Debug)]
struct Mark {
    place: Place,
    /// Walks and marks that refer to it.
    users: u32,
    /// Marks in the longest chain that leads to it, at most.
    rank: u8,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the entry in this slot.
    Before(u32),
    /// Behind the last entry of the list, as it was then.
    End,
    /// It has become one with this mark.
    Joined(MarkNumber),
}

impl Marks {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// A mark before the entry `slot`.
    pub(super) fn set(&mut self, entries: &mut Entries, slot: u32) -> MarkNumber {
        if let Some(&number) = self.before.get(&slot) {
            self.marks[number as usize].users += 1;
            return number;
        }
        let place = Place::Before(slot);
        let number = self.marks.insert(Mark {
            place,
            users: 1,
            rank: 0,
        }) as MarkNumber;
        self.before.insert(slot, number);
        entries.get_mut(slot).set_marked(true);
        number
    }

    /// One more user of the mark.
    pub(super) fn share(&mut self, number: MarkNumber) {
        self.marks[number as usize].users += 1;
    }

    /// Gives the mark up, and returns the slot that it stood before; [`NONE`] for the end.
    pub(super) fn leave(&mut self, entries: &mut Entries, number: MarkNumber) -> u32 {
        let mut number = number;
        let mut counts = true;
        loop {
            let mark = &mut self.marks[number as usize];
            let place = mark.place;
            // A mark that goes gives up the one that it has joined.
            if counts {
                mark.users -= 1;
                counts = mark.users == 0;
                if counts {
                    self.marks.remove(number as usize);
                }
            }
            match place {
                Place::Joined(other) => number = other,
                Place::End => return NONE,
                Place::Before(slot) => {
                    if counts {
                        self.before.remove(&slot);
                        entries.get_mut(slot).set_marked(false);
                    }
                    return slot;
                }
            }
        }
    }

    /// Moves the mark before the entry `slot` on, before the entry is removed.
    pub(super) fn move_on(&mut self, entries: &mut Entries, slot: u32) {
        let Some(number) = self.before.remove(&slot) else {
            return;
        };
        entries.get_mut(slot).set_marked(false);
        let next = entries.get(slot).next;
        if next == NONE {
            self.marks[number as usize].place = Place::End;
            return;
        }
        let number = match self.before.get(&next) {
            Some(&other) => self.join(number, other),
            None => number,
        };
        self.marks[number as usize].place = Place::Before(next);
        self.before.insert(next, number);
        entries.get_mut(next).set_marked(true);
    }

    /// Makes one of the two marks refer to the other, and returns the other. The one of lower rank refers:
    /// a chain of so many marks takes two to the power of as many joins, however soon the walks of the
    /// others have left.
    fn join(&mut self, a: MarkNumber, b: MarkNumber) -> MarkNumber {
        let rank = |number: MarkNumber| self.marks[number as usize].rank;
        let (low, high) = if rank(a) < rank(b) { (a, b) } else { (b, a) };
        if rank(low) == rank(high) {
            self.marks[high as usize].rank += 1;
        }
        self.marks[low as usize].place = Place::Joined(high);
        self.share(high);
        high
    }

    /// Panics when a mark and the flag of its entry disagree.
    pub(super) fn check(&self, entries: &Entries) {
        for (&slot, &number) in &self.before {
            assert!(entries.is_used(slot) && entries.get(slot).is_marked());
            let place = self.marks[number as usize].place;
            assert!(matches!(place, Place::Before(other) if other == slot));
        }
        for (_, mark) in &self.marks {
            assert!(mark.users > 0, "a mark that nobody needs was kept");
            if let Place::Before(slot) = mark.place {
                assert!(self.before.contains_key(&slot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::message::{Reason, ServiceAddress};
    use crate::registry::{KeyedHash, Registration, Registry};
    use crate::time::Moment;

    const ENTRIES: u32 = 1_000;

    fn uuid(number: u32) -> Uuid {
        Uuid::from_u128(number.into())
    }

    /// A registry with a walk that has stopped before each entry.
    fn marked() -> Registry {
        let mut registry = Registry::new(ENTRIES, KeyedHash::new(0x5eed));
        for number in 0..ENTRIES {
            let new = Registration {
                uuid: uuid(number),
                service_type: "a",
                address: ServiceAddress::new("::1", 80).unwrap(),
                ttl: Duration::from_secs(1),
                labels: None,
            };
            registry.register(Moment::START, new).unwrap();
        }
        for entries in 0..ENTRIES {
            let (mut cursor, mut budget) = (registry.cursor(Some("a")), entries as usize);
            registry.walk(&mut cursor, Moment::START, &mut budget, |_| {
                ControlFlow::Continue(())
            });
        }
        assert_eq!(registry.marks.len(), ENTRIES as usize);
        registry
    }

    /// How many marks refer to each other between a walk and its place, at most.
    fn longest_chain(marks: &Marks) -> u32 {
        let len = |mark: &Mark| {
            let (mut len, mut place) = (1, mark.place);
            while let Place::Joined(other) = place {
                (len, place) = (len + 1, marks.marks[other as usize].place);
            }
            len
        };
        let lens = marks.marks.iter().map(|(_, mark)| len(mark));
        lens.max().unwrap_or(0)
    }

    #[test]
    fn a_walk_finds_its_place_in_few_steps_in_whatever_order_the_entries_have_gone() {
        let in_pairs = (0..10).flat_map(|bit| (0..ENTRIES).filter(move |n| (n >> bit) & 1 == 0));
        let orders: [Vec<u32>; 3] = [
            (0..ENTRIES - 1).collect(),
            (0..ENTRIES - 1).rev().collect(),
            in_pairs.collect(),
        ];
        for order in orders {
            let mut registry = marked();
            for number in order {
                // In pairs, most are named several times.
                registry.deregister(Moment::START, &uuid(number), Reason::Deregistered);
            }
            let steps = longest_chain(&registry.marks);
            assert!(steps <= ENTRIES.ilog2() + 1, "{steps} steps");
        }
    }
}
