//! Query answers, kept for each type until it changes.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::limits::ANSWERS_KEPT_LEN_MAX;
use crate::message::Services;

/// The latest answer for each type, by the type's slot in the registry.
///
/// An answer is right as long as its version is the type's: versions are never used twice, so a
/// slot that came to another type cannot be mistaken.
#[derive(Default)]
pub(super) struct Answers {
    by_type: Vec<Option<Answer>>,
    /// Slots of the kept answers, oldest first.
    kept: VecDeque<u32>,
    /// Bytes of the kept answers.
    kept_len: usize,
    none: Option<Rc<Services>>,
}

struct Answer {
    version: u64,
    services: Rc<Services>,
}

impl Answers {
    /// The answer for the type in `slot`, if one is kept and still right at `version`.
    pub(super) fn get(&self, slot: u32, version: u64) -> Option<Rc<Services>> {
        let answer = self.by_type.get(slot as usize)?.as_ref()?;
        (answer.version == version).then(|| Rc::clone(&answer.services))
    }

    /// The answer for a type that has no services.
    pub(super) fn none(&mut self) -> Rc<Services> {
        Rc::clone(
            self.none
                .get_or_insert_with(|| Rc::new(Services::new(std::iter::empty()))),
        )
    }

    /// Forgets every answer and gives the memory back.
    pub(super) fn clear(&mut self) {
        if !self.by_type.is_empty() {
            *self = Answers::default();
        }
    }

    /// Keeps the answer for the type in `slot` at `version`; the oldest go when there are too many.
    pub(super) fn keep(&mut self, slot: u32, version: u64, services: &Rc<Services>) {
        let index = slot as usize;
        if index >= self.by_type.len() {
            self.by_type.resize_with(index + 1, || None);
        }
        self.kept_len += services.array().len();
        match self.by_type[index].replace(Answer {
            version,
            services: Rc::clone(services),
        }) {
            Some(old) => self.kept_len -= old.services.array().len(),
            None => self.kept.push_back(slot),
        }
        while self.kept_len > ANSWERS_KEPT_LEN_MAX && self.kept.len() > 1 {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            if oldest == slot {
                self.kept.push_back(slot);
            } else if let Some(old) = self.by_type[oldest as usize].take() {
                self.kept_len -= old.services.array().len();
            }
        }
    }
}
