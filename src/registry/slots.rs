//! Values in numbered slots, in pages that go back to the allocator when they are empty.

use std::ops::{Index, IndexMut};

/// Bytes of a page at least. glibc maps as much by itself at first, and so gives it back whatever
/// lies beside it.
const PAGE_MEMORY_LEN: usize = 128 * 1024;
const WORD_BITS: u32 = u64::BITS;

/// Values that keep their slot number as long as they are stored. It grows by one page without
/// copying values. A new value gets the lowest free slot, so that the last pages become empty.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    pages: Vec<Page<T>>,
    /// A bit for each page that has a free slot.
    with_room: Vec<u64>,
    /// No page below this word of `with_room` has a free slot.
    lowest: usize,
    len: u32,
}

/// The values of a page, and a bit for each slot in use. An empty page has no memory for values.
#[derive(Debug)]
struct Page<T> {
    values: Vec<T>,
    used: Vec<u64>,
    /// No slot below this word of `used` is free.
    lowest: u32,
    len: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            pages: Vec::new(),
            with_room: Vec::new(),
            lowest: 0,
            len: 0,
        }
    }
}

impl<T> Slots<T> {
    /// Slots of a page: a power of two, so that a slot is split into page and offset by its bits.
    const PAGE_LEN: u32 = (PAGE_MEMORY_LEN / size_of::<T>()).next_power_of_two() as u32;
}

impl<T: Default> Slots<T> {
    /// Values that are stored.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// All used slots are below this number.
    pub(crate) fn end(&self) -> u32 {
        (self.pages.len() as u32).saturating_mul(Self::PAGE_LEN)
    }

    /// Whether a value is stored in `slot`.
    pub(crate) fn is_used(&self, slot: u32) -> bool {
        let page = self.pages.get((slot / Self::PAGE_LEN) as usize);
        page.is_some_and(|page| page.is_used(slot % Self::PAGE_LEN))
    }

    /// Stores a value in the lowest free slot, and returns that slot.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let page = self.page_with_room();
        let offset = self.pages[page as usize].lowest_free();
        let slot = page * Self::PAGE_LEN + offset;
        self.put(slot, value);
        slot
    }

    /// Stores a value in `slot`, which must be free.
    pub(crate) fn put(&mut self, slot: u32, value: T) {
        let number = slot / Self::PAGE_LEN;
        while self.pages.len() as u32 <= number {
            self.add_page();
        }
        let page = &mut self.pages[number as usize];
        page.put(slot % Self::PAGE_LEN, value);
        if page.len == Self::PAGE_LEN {
            self.with_room[(number / WORD_BITS) as usize] &= !(1 << (number % WORD_BITS));
        }
        self.len += 1;
    }

    /// Takes the value out of `slot`, which must be used. Frees the page that becomes empty.
    pub(crate) fn remove(&mut self, slot: u32) -> T {
        let number = slot / Self::PAGE_LEN;
        let page = &mut self.pages[number as usize];
        let value = page.take(slot % Self::PAGE_LEN);
        self.len -= 1;
        let word = (number / WORD_BITS) as usize;
        self.with_room[word] |= 1 << (number % WORD_BITS);
        self.lowest = self.lowest.min(word);
        if self.pages[number as usize].len == 0 {
            self.drop_last_pages();
        }
        value
    }

    /// Frees the last page with all its values; `false` when there is none.
    pub(crate) fn drop_page(&mut self) -> bool {
        let Some(page) = self.pages.pop() else {
            return false;
        };
        self.len -= page.len;
        self.forget_room();
        self.drop_last_pages();
        true
    }

    /// All values with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.pages).flat_map(|(number, page)| {
            let values = (0..).zip(&page.values);
            let used = values.filter(|(offset, _)| page.is_used(*offset));
            used.map(move |(offset, value)| (number * Self::PAGE_LEN + offset, value))
        })
    }

    /// The number of the lowest page that has a free slot.
    fn page_with_room(&mut self) -> u32 {
        while let Some(&word) = self.with_room.get(self.lowest) {
            if word != 0 {
                return self.lowest as u32 * WORD_BITS + word.trailing_zeros();
            }
            self.lowest += 1;
        }
        self.add_page();
        self.pages.len() as u32 - 1
    }

    fn add_page(&mut self) {
        let number = self.pages.len() as u32;
        self.pages.push(Page::default());
        let word = (number / WORD_BITS) as usize;
        if word == self.with_room.len() {
            self.with_room.push(0);
        }
        self.with_room[word] |= 1 << (number % WORD_BITS);
        self.lowest = self.lowest.min(word);
    }

    /// Drops the empty pages at the end.
    fn drop_last_pages(&mut self) {
        while self.pages.pop_if(|page| page.len == 0).is_some() {
            self.forget_room();
        }
        if self.pages.len() < self.pages.capacity() / 4 {
            self.pages.shrink_to(2 * self.pages.len());
        }
    }

    /// Drops what `with_room` says of the page that was the last one.
    fn forget_room(&mut self) {
        let number = self.pages.len() as u32;
        match number % WORD_BITS {
            0 => drop(self.with_room.pop()),
            bit => self.with_room[(number / WORD_BITS) as usize] &= !(1 << bit),
        }
        self.lowest = self.lowest.min(self.with_room.len());
    }

    #[cfg(test)]
    fn memory_pages(&self) -> usize {
        let has_memory = |page: &&Page<T>| page.values.capacity() > 0;
        self.pages.iter().filter(has_memory).count()
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Page {
            values: Vec::new(),
            used: Vec::new(),
            lowest: 0,
            len: 0,
        }
    }
}

impl<T: Default> Page<T> {
    fn is_used(&self, offset: u32) -> bool {
        let word = self.used.get((offset / WORD_BITS) as usize);
        word.is_some_and(|word| word & (1 << (offset % WORD_BITS)) != 0)
    }

    /// The lowest free slot of a page that has one.
    fn lowest_free(&mut self) -> u32 {
        while let Some(used) = self.used.get(self.lowest as usize) {
            let bit = used.trailing_ones();
            if bit < WORD_BITS {
                return self.lowest * WORD_BITS + bit;
            }
            self.lowest += 1;
        }
        // An empty page has no bits.
        0
    }

    fn put(&mut self, offset: u32, value: T) {
        debug_assert!(!self.is_used(offset), "a slot holds one value");
        if self.values.capacity() == 0 {
            self.values.reserve_exact(Slots::<T>::PAGE_LEN as usize);
            self.used = vec![0; (Slots::<T>::PAGE_LEN / WORD_BITS) as usize];
        }
        // Memory behind the last value that was ever stored stays untouched.
        match self.values.get_mut(offset as usize) {
            Some(free) => *free = value,
            None => {
                self.values.resize_with(offset as usize, T::default);
                self.values.push(value);
            }
        }
        self.used[(offset / WORD_BITS) as usize] |= 1 << (offset % WORD_BITS);
        self.len += 1;
    }

    fn take(&mut self, offset: u32) -> T {
        debug_assert!(self.is_used(offset), "nothing is stored in the slot");
        let value = std::mem::take(&mut self.values[offset as usize]);
        let word = offset / WORD_BITS;
        self.used[word as usize] &= !(1 << (offset % WORD_BITS));
        self.lowest = self.lowest.min(word);
        self.len -= 1;
        if self.len == 0 {
            *self = Page::default();
        }
        value
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.pages[(slot / Slots::<T>::PAGE_LEN) as usize].values
            [(slot % Slots::<T>::PAGE_LEN) as usize]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pages[(slot / Slots::<T>::PAGE_LEN) as usize].values
            [(slot % Slots::<T>::PAGE_LEN) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A value of which a page has few.
    #[derive(Debug, Default)]
    #[repr(align(512))]
    struct Wide(u32);

    const PAGE: u32 = Slots::<Wide>::PAGE_LEN;

    #[test]
    fn a_page_that_becomes_empty_is_given_back_wherever_it_is() {
        const PAGES: u32 = 200;
        let mut slots = Slots::default();
        for value in 0..PAGES * PAGE {
            assert_eq!(slots.insert(Wide(value)), value);
        }
        assert_eq!(slots.memory_pages(), PAGES as usize);
        // Two values stay, in two pages.
        let stays = |slot: u32| slot == 3 * PAGE || slot == 150 * PAGE + 7;
        for slot in (0..PAGES * PAGE).filter(|&slot| !stays(slot)) {
            assert_eq!(slots.remove(slot).0, slot);
        }
        assert_eq!((slots.len(), slots.memory_pages()), (2, 2));
        assert_eq!(slots.end(), 151 * PAGE);
        assert_eq!(slots.insert(Wide(7)), 0, "the lowest slot is used first");
        slots.remove(150 * PAGE + 7);
        assert_eq!(slots.end(), 4 * PAGE);
        assert!(slots.pages.capacity() < PAGES as usize / 4);
        slots.remove(0);
        slots.remove(3 * PAGE);
        assert_eq!((slots.end(), slots.pages.capacity()), (0, 0));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert,
        Put(u32),
        Remove(prop::sample::Index),
        DropPage,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            20 => Just(Op::Insert),
            20 => (0..70 * PAGE).prop_map(Op::Put),
            20 => any::<prop::sample::Index>().prop_map(Op::Remove),
            1 => Just(Op::DropPage),
        ]
    }

    proptest! {
        #[test]
        fn slots_equal_a_sorted_map(ops in prop::collection::vec(op(), 1..300)) {
            let mut slots = Slots::default();
            let mut model = BTreeMap::new();
            for (value, op) in (1..).zip(ops) {
                match op {
                    Op::Insert => {
                        let free = (0..).find(|slot| !model.contains_key(slot));
                        prop_assert_eq!(Some(slots.insert(Wide(value))), free);
                        model.insert(free.unwrap(), value);
                    }
                    Op::Put(slot) if slots.is_used(slot) => {}
                    Op::Put(slot) => {
                        slots.put(slot, Wide(value));
                        model.insert(slot, value);
                    }
                    Op::Remove(index) if !model.is_empty() => {
                        let slot = *model.keys().nth(index.index(model.len())).unwrap();
                        prop_assert_eq!(Some(slots.remove(slot).0), model.remove(&slot));
                    }
                    Op::Remove(_) => {}
                    Op::DropPage => {
                        let end = slots.end().saturating_sub(PAGE);
                        prop_assert_eq!(slots.drop_page(), !model.is_empty());
                        model.retain(|&slot, _| slot < end);
                    }
                }
                let last = model.keys().next_back();
                let pages = model.keys().map(|slot| slot / PAGE).collect::<std::collections::BTreeSet<_>>();
                prop_assert_eq!(slots.len() as usize, model.len());
                prop_assert_eq!(slots.end(), last.map_or(0, |slot| (slot / PAGE + 1) * PAGE));
                prop_assert_eq!(slots.memory_pages(), pages.len());
            }
            let stored: Vec<_> = slots.iter().map(|(slot, value)| (slot, value.0)).collect();
            prop_assert_eq!(stored, model.into_iter().collect::<Vec<_>>());
        }
    }
}
