//! Small numbers for what many registrations have in common.

use std::collections::BTreeMap;

/// Values with a number each, as long as something has it. The default value has number 0.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    all: Vec<Counted<T>>,
    numbers: BTreeMap<T, u32>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Counted<T> {
    value: T,
    /// How much has its number.
    count: usize,
}

impl<T: Copy + Default + Ord> Default for Numbers<T> {
    fn default() -> Self {
        let value = T::default();
        // It is had by nobody, and stays.
        let none = Counted { value, count: 1 };
        Numbers {
            all: vec![none],
            numbers: [(value, 0)].into(),
            free: Vec::new(),
        }
    }
}

impl<T: Copy + Default + Ord> Numbers<T> {
    pub(super) fn value(&self, number: u32) -> T {
        self.all[number as usize].value
    }

    /// How much has the number of this value.
    pub(super) fn count(&self, value: T) -> usize {
        let number = self.numbers.get(&value);
        number.map_or(0, |&number| self.all[number as usize].count)
    }

    /// The number of this value, which something has from now on.
    pub(super) fn take(&mut self, value: T) -> u32 {
        if let Some(&number) = self.numbers.get(&value) {
            self.all[number as usize].count += 1;
            return number;
        }
        let counted = Counted { value, count: 1 };
        let number = match self.free.pop() {
            Some(number) => {
                self.all[number as usize] = counted;
                number
            }
            None => {
                self.all.push(counted);
                self.all.len() as u32 - 1
            }
        };
        self.numbers.insert(value, number);
        number
    }

    /// Something has the number no more.
    pub(super) fn give_back(&mut self, number: u32) {
        let counted = &mut self.all[number as usize];
        counted.count -= 1;
        if counted.count == 0 {
            self.numbers.remove(&counted.value);
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_had_as_long_as_something_has_it_and_is_then_given_to_another_value() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.take(0_u64), 0);
        numbers.give_back(0);
        let (seven, eight) = (numbers.take(7), numbers.take(8));
        assert_eq!((numbers.take(7), numbers.count(7)), (seven, 2));
        numbers.give_back(seven);
        assert_eq!((numbers.value(seven), numbers.count(7)), (7, 1));
        numbers.give_back(seven);
        assert_eq!((numbers.count(7), numbers.count(8)), (0, 1));
        assert_eq!(numbers.take(9), seven);
        assert_eq!((numbers.value(seven), numbers.value(eight)), (9, 8));
        assert_eq!(numbers.take(0), 0);
    }
}
