//! A cache of query answers, one for each type until the type changes.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::limits::ANSWERS_KEPT_LEN_MAX;
use crate::message::{Catalog, Endpoint, Endpoints, Rendered, Service, ServiceAddress, Services};

/// The latest answer for each type, by the type's slot in the registry.
///
/// An answer is valid as long as its version is the type's. Versions are never reused, so an answer
/// cannot be taken for that of another type in the same slot.
pub(super) struct Answers<T> {
    by_type: Vec<Option<Answer<T>>>,
    /// Slots of the cached answers, oldest first.
    kept: VecDeque<u32>,
    /// Bytes of the cached answers, as last counted.
    kept_len: usize,
    none: Option<Rc<T>>,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Answers {
            by_type: Vec::new(),
            kept: VecDeque::new(),
            kept_len: 0,
            none: None,
        }
    }
}

struct Answer<T> {
    version: u64,
    services: Rc<T>,
    /// Bytes that `kept_len` counts for this answer.
    counted_len: usize,
}

/// An answer that is kept.
pub(super) trait Kept {
    /// Bytes of what it tells and of its renderings.
    fn memory_len(&self) -> usize;
}

impl Kept for Services {
    fn memory_len(&self) -> usize {
        self.len() * size_of::<ServiceAddress>() + self.rendered_len()
    }
}

impl Kept for Rendered<Catalog> {
    fn memory_len(&self) -> usize {
        self.services.len() * size_of::<Service>() + self.rendered_len()
    }
}

impl Kept for Rendered<Endpoints> {
    fn memory_len(&self) -> usize {
        self.0.len() * size_of::<Endpoint>() + self.rendered_len()
    }
}

impl Answers<Services> {
    /// The answer for a type that has no services.
    pub(super) fn none(&mut self) -> Rc<Services> {
        let none = || Rc::new(Services::new(Box::default()));
        Rc::clone(self.none.get_or_insert_with(none))
    }
}

impl<T: Kept> Answers<T> {
    /// The answer for the type in `slot`, if one is cached for `version`.
    pub(super) fn get(&mut self, slot: u32, version: u64) -> Option<Rc<T>> {
        let answer = self.by_type.get_mut(slot as usize)?.as_mut()?;
        if answer.version != version {
            return None;
        }
        let services = Rc::clone(&answer.services);
        // A rendering may have been made since it was last counted.
        let len = services.memory_len();
        if len != answer.counted_len {
            self.kept_len += len - answer.counted_len;
            answer.counted_len = len;
            self.fit(slot);
        }
        Some(services)
    }

    /// Drops all answers and frees their memory.
    pub(super) fn clear(&mut self) {
        if !self.by_type.is_empty() {
            *self = Answers::default();
        }
    }

    /// Caches the answer for the type in `slot` at `version`, and drops the oldest beyond the limit.
    pub(super) fn keep(&mut self, slot: u32, version: u64, services: &Rc<T>) {
        let index = slot as usize;
        if index >= self.by_type.len() {
            self.by_type.resize_with(index + 1, || None);
        }
        let counted_len = services.memory_len();
        self.kept_len += counted_len;
        let answer = Answer {
            version,
            services: Rc::clone(services),
            counted_len,
        };
        match self.by_type[index].replace(answer) {
            Some(old) => self.kept_len -= old.counted_len,
            None => self.kept.push_back(slot),
        }
        self.fit(slot);
    }

    /// Drops the oldest answers until the rest fits, except the answer of the type in `latest`.
    fn fit(&mut self, latest: u32) {
        while self.kept_len > ANSWERS_KEPT_LEN_MAX && self.kept.len() > 1 {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            if oldest == latest {
                self.kept.push_back(oldest);
            } else if let Some(old) = self.by_type[oldest as usize].take() {
                self.kept_len -= old.counted_len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Form;

    fn services(len: usize) -> Rc<Services> {
        let address = ServiceAddress::new("10.0.0.1", 80).unwrap();
        Rc::new(Services::new(vec![address; len].into()))
    }

    #[test]
    fn the_oldest_answers_go_when_renderings_pass_the_bound_and_the_latest_stays() {
        let mut answers = Answers::default();
        let rendering = ANSWERS_KEPT_LEN_MAX / 2;
        for slot in 0..3 {
            let answer = services(1);
            answers.keep(slot, 1, &answer);
            answer.render(Form::Line, |_| vec![0; rendering]);
        }
        for slot in [0, 1] {
            assert!(answers.get(slot, 1).is_some());
        }
        assert!(answers.kept_len <= ANSWERS_KEPT_LEN_MAX);
        assert!(
            answers.get(0, 1).is_none(),
            "the oldest went for the second"
        );
        answers
            .get(1, 1)
            .unwrap()
            .render(Form::Frame, |_| vec![0; 2 * ANSWERS_KEPT_LEN_MAX]);
        assert!(
            answers.get(1, 1).is_some(),
            "the latest is kept whatever its length"
        );
        assert!(answers.get(2, 1).is_none());
    }
}
