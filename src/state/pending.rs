//! Changes that wait until the file takes them, joined by registration.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use super::record::{Record, Up};
use crate::message::{Change, ChangeKind};

/// Changes that are not handed on yet. Those of one registration become one, so that they take no more
/// than the registry does, however long they wait.
#[derive(Debug, Default)]
pub struct Pending {
    /// In the order of their first change that waits, or of their registration where that waits.
    entries: VecDeque<Option<Entry>>,
    /// The number of each entry.
    by_uuid: HashMap<Uuid, u64>,
    /// The number of the first entry.
    first: u64,
}

#[derive(Debug)]
struct Entry {
    /// The last change.
    change: Change,
    /// Who may change it, where it was adopted meanwhile.
    right: Option<Uuid>,
    /// Whether it was made meanwhile.
    is_new: bool,
    /// Whether the file may have it from before.
    is_on_file: bool,
}

impl Pending {
    /// Registrations of which a change waits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_uuid.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_uuid.is_empty()
    }

    /// Adds a change.
    pub fn add(&mut self, change: &Change) {
        let uuid = &change.uuid;
        let Some(&number) = self.by_uuid.get(uuid) else {
            // A registration that is new to the list was made now, or the file has it.
            let is_new = change.begins();
            return self.push(change, is_new, !is_new);
        };
        let place = &mut self.entries[(number - self.first) as usize];
        let Some(entry) = place else {
            return;
        };
        match change.kind {
            ChangeKind::Up | ChangeKind::TakenOver => {
                let is_on_file = entry.is_on_file;
                *place = None;
                self.push(change, true, is_on_file);
            }
            ChangeKind::Down { .. } | ChangeKind::Yielded if !entry.is_on_file => {
                *place = None;
                self.by_uuid.remove(uuid);
            }
            ChangeKind::Updated
            | ChangeKind::Adopted { .. }
            | ChangeKind::Down { .. }
            | ChangeKind::Yielded => {
                entry.follow(change);
            }
        }
    }

    /// Appends the records of the first changes to `to`, until it has about `len` bytes or they are
    /// `most`; drops those changes.
    pub fn encode(&mut self, len: usize, most: usize, to: &mut Vec<u8>) {
        for _ in 0..most {
            if to.len() >= len {
                break;
            }
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            self.first += 1;
            if let Some(entry) = entry {
                self.by_uuid.remove(&entry.change.uuid);
                entry.encode(to);
            }
        }
        if self.entries.is_empty() {
            *self = Pending {
                first: self.first,
                ..Pending::default()
            };
        }
    }

    fn push(&mut self, change: &Change, is_new: bool, is_on_file: bool) {
        let number = self.first + self.entries.len() as u64;
        self.by_uuid.insert(change.uuid, number);
        let mut entry = Entry {
            change: change.clone(),
            right: None,
            is_new,
            is_on_file,
        };
        entry.follow(change);
        self.entries.push_back(Some(entry));
        self.close_gaps();
    }

    /// Drops empty places when most are.
    fn close_gaps(&mut self) {
        const PLACES_MIN: usize = 1024;
        if self.entries.len() < PLACES_MIN.max(2 * self.by_uuid.len()) {
            return;
        }
        self.entries.retain(Option::is_some);
        for (number, entry) in (self.first..).zip(self.entries.iter().flatten()) {
            self.by_uuid.insert(entry.change.uuid, number);
        }
    }
}

impl Entry {
    /// Takes over the next change of the registration.
    fn follow(&mut self, change: &Change) {
        self.change = change.clone();
        if let ChangeKind::Adopted { right } = change.kind {
            self.right = Some(right);
        }
    }

    fn encode(&self, to: &mut Vec<u8>) {
        let Change {
            uuid,
            ttl_ms,
            ref labels,
            ..
        } = self.change;
        if self.change.ends() {
            Record::Down(uuid).encode(to);
        } else if self.is_new {
            if self.is_on_file {
                Record::Down(uuid).encode(to);
            }
            Record::Up(Up::of(&self.change, self.right.unwrap_or(uuid))).encode(to);
        } else {
            if let Some(right) = self.right {
                let adopted = Record::Adopted {
                    uuid,
                    right,
                    ttl_ms,
                };
                adopted.encode(to);
            }
            let labels = labels.as_deref().map(std::borrow::Cow::Borrowed);
            Record::Update { uuid, labels }.encode(to);
        }
    }
}
