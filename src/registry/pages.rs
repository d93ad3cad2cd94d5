//! A growing sequence whose elements never move: it grows by one page without copying elements.

use std::ops::{Index, IndexMut};

/// Elements in pages of `1 << BITS`, numbered by `u32`. A page's memory is not touched before it is
/// used.
#[derive(Debug)]
pub(super) struct Pages<T, const BITS: u32> {
    pages: Vec<Vec<T>>,
    len: u32,
}

impl<T, const BITS: u32> Default for Pages<T, BITS> {
    fn default() -> Self {
        Pages {
            pages: Vec::new(),
            len: 0,
        }
    }
}

impl<T, const BITS: u32> Pages<T, BITS> {
    const PAGE_LEN: usize = 1 << BITS;

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Appends an element and returns its number.
    pub(super) fn push(&mut self, value: T) -> u32 {
        let number = self.len;
        if (number as usize).is_multiple_of(Self::PAGE_LEN) {
            self.pages.push(Vec::with_capacity(Self::PAGE_LEN));
        }
        self.pages[number as usize / Self::PAGE_LEN].push(value);
        self.len += 1;
        number
    }

    /// Removes the last element, and frees a page that becomes empty.
    pub(super) fn pop(&mut self) -> Option<T> {
        let page = self.pages.last_mut()?;
        let value = page.pop();
        if page.is_empty() {
            self.pages.pop();
        }
        self.len -= 1;
        self.shrink();
        value
    }

    /// Frees the last page with all its elements; `false` when there is none.
    pub(super) fn drop_page(&mut self) -> bool {
        let Some(page) = self.pages.pop() else {
            return false;
        };
        self.len -= page.len() as u32;
        self.shrink();
        true
    }

    /// Frees most of the list of pages where most of it is unused.
    fn shrink(&mut self) {
        if self.pages.len() < self.pages.capacity() / 4 {
            self.pages.shrink_to(2 * self.pages.len());
        }
    }
}

impl<T, const BITS: u32> Index<u32> for Pages<T, BITS> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.pages[number as usize >> BITS][number as usize & (Self::PAGE_LEN - 1)]
    }
}

impl<T, const BITS: u32> IndexMut<u32> for Pages<T, BITS> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pages[number as usize >> BITS][number as usize & (Self::PAGE_LEN - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_are_while_pages_come_and_go() {
        let mut pages: Pages<u32, 2> = Pages::default();
        for i in 0..10 {
            assert_eq!(pages.push(i * 7), i);
        }
        let first: *const u32 = &raw const pages[0];
        for i in 10..1_000 {
            pages.push(i * 7);
        }
        assert_eq!(first, &raw const pages[0]);
        assert!((0..1_000).all(|i| pages[i] == i * 7));
        for i in (0..1_000).rev() {
            assert_eq!(pages.pop(), Some(i * 7));
            assert_eq!(pages.len(), i);
            assert_eq!(
                pages.pages.len(),
                i.div_ceil(4) as usize,
                "empty pages are given back"
            );
        }
        assert_eq!(pages.pop(), None);
    }
}
