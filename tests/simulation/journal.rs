//! A state file in memory that delays, fails, and outlives the service that writes it.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use discovery_service::engine::{Batch, Journal};
use discovery_service::message::{StateHealth, StateStats};
use discovery_service::state::{Compaction, Found, HEADER_LEN, Header, Record, Replay, Source};
use uuid::Uuid;

/// The file, and what is on its way to it. Clones are the same file.
#[derive(Clone)]
pub struct FakeFile(Rc<RefCell<Inside>>);

struct Inside {
    bytes: Vec<u8>,
    under_way: VecDeque<(Batch, Vec<u8>)>,
    saved: Batch,
    failing: bool,
    /// Whether it takes what is submitted at once.
    prompt: bool,
    /// Bytes of all that was ever submitted.
    submitted_len: usize,
    submitted: usize,
    /// Up to where the engine knows that it is saved.
    known: Batch,
    /// The registrations that were ever saved.
    ups: BTreeSet<Uuid>,
}

impl FakeFile {
    pub fn new() -> Self {
        FakeFile(Rc::new(RefCell::new(Inside {
            bytes: Header::default().encode().to_vec(),
            under_way: VecDeque::new(),
            saved: Batch::default(),
            failing: false,
            prompt: false,
            submitted_len: 0,
            submitted: 0,
            known: Batch::default(),
            ups: BTreeSet::new(),
        })))
    }

    /// A journal of a new process over this file; what was under way is lost, but for a part of it.
    pub fn reopened(&self, torn_len: usize) -> Box<dyn Journal> {
        let mut inside = self.0.borrow_mut();
        let lost: Vec<u8> = inside
            .under_way
            .drain(..)
            .flat_map(|(_, records)| records)
            .collect();
        inside.bytes.extend(&lost[..torn_len.min(lost.len())]);
        inside.saved = Batch::default();
        inside.failing = false;
        drop(inside);
        Box::new(FakeJournal(self.clone()))
    }

    /// Lets it take what is submitted at once, or not.
    pub fn set_prompt(&self, prompt: bool) {
        self.0.borrow_mut().prompt = prompt;
        if prompt {
            self.save(usize::MAX);
        }
    }

    pub fn set_failing(&self, failing: bool) {
        self.0.borrow_mut().failing = failing;
    }

    /// Saves this many of the batches that are under way.
    pub fn save(&self, count: usize) {
        let mut inside = self.0.borrow_mut();
        for _ in 0..count {
            if inside.failing {
                return;
            }
            let Some((batch, records)) = inside.under_way.pop_front() else {
                return;
            };
            let mut replay = Replay::default();
            replay.piece(&Header::default().encode(), &mut |_| ());
            let mut note = |record: Record<'_>| {
                if let Record::Up(up) = record {
                    inside.ups.insert(up.uuid);
                }
            };
            replay.piece(&records, &mut note);
            replay.end(&mut note);
            inside.bytes.extend(records);
            inside.saved = batch;
        }
    }

    pub fn under_way(&self) -> usize {
        self.0.borrow().under_way.len()
    }

    /// Batches that were ever submitted, and those that were saved, to one process.
    pub fn submitted(&self) -> usize {
        self.0.borrow().submitted
    }

    pub fn saved(&self) -> usize {
        self.0.borrow().saved.0 as usize
    }

    /// Whether the engine knows everything that there is to know.
    pub fn is_quiet(&self) -> bool {
        let inside = self.0.borrow();
        inside.under_way.is_empty() && inside.known == inside.saved
    }

    /// Whether a registration with this UUID was ever saved.
    pub fn has_saved(&self, uuid: &Uuid) -> bool {
        self.0.borrow().ups.contains(uuid)
    }

    pub fn submitted_len(&self) -> usize {
        self.0.borrow().submitted_len
    }

    /// Reads it as a new process would.
    pub fn replay(&self, each: &mut impl FnMut(Record<'_>)) -> Found {
        let mut replay = Replay::default();
        for piece in self.0.borrow().bytes.chunks(1000) {
            replay.piece(piece, each);
        }
        replay.end(each)
    }

    /// Flips a bit of the record with this number.
    pub fn damage(&self, number: usize) {
        const FRAME_LEN: usize = 7;
        let bytes = &mut self.0.borrow_mut().bytes;
        let mut at = HEADER_LEN;
        for _ in 0..number {
            at += FRAME_LEN + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        }
        bytes[at + FRAME_LEN] ^= 1;
    }

    /// Makes it short, as the service does beside its work.
    pub fn compact(&self) {
        let mut inside = self.0.borrow_mut();
        let mut compaction = Compaction::new(inside.bytes.len() as u64);
        let mut short = Vec::new();
        while !compaction.step(&Bytes(&inside.bytes), &mut short) {}
        inside.bytes = short;
    }
}

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

struct FakeJournal(FakeFile);

impl Journal for FakeJournal {
    fn submit(&mut self, batch: Batch, records: Vec<u8>) {
        let mut inside = self.0.0.borrow_mut();
        inside.submitted_len += records.len();
        inside.submitted += 1;
        inside.under_way.push_back((batch, records));
        let prompt = inside.prompt;
        drop(inside);
        if prompt {
            self.0.save(usize::MAX);
        }
    }

    fn saved(&mut self) -> Batch {
        let mut inside = self.0.0.borrow_mut();
        inside.known = inside.saved;
        inside.saved
    }

    fn is_failing(&mut self) -> bool {
        self.0.0.borrow().failing
    }

    fn stats(&mut self) -> StateStats {
        let inside = self.0.0.borrow();
        StateStats {
            health: match inside.failing {
                true => StateHealth::Failing,
                false => StateHealth::Ok,
            },
            len: inside.bytes.len() as u64,
            ..StateStats::default()
        }
    }
}
