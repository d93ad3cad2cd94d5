//! Reads a whole file.

use super::decoder::{Decoder, Item};
use super::header::{Beginning, HEADER_LEN, Header};
use super::record::{Counts, Record};

/// Reads a file piece by piece, from its beginning.
#[derive(Debug, Default)]
pub struct Replay {
    decoder: Decoder,
    found: Found,
    has_begun: bool,
}

/// What a file was found to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What its first bytes say. For [`Beginning::Newer`] nothing else is known.
    pub beginning: Beginning,
    /// The registry's count of changes after it.
    pub index: u64,
    /// The records in it.
    pub counts: Counts,
    /// Records of a kind or content that this program does not know.
    pub foreign: u64,
    /// Bytes that belong to no record, without those of one that is not whole at the end.
    pub damaged_len: u64,
    /// Bytes of a record that is not whole at the end.
    pub torn_len: u64,
    /// Bytes of the file.
    pub len: u64,
}

impl Default for Found {
    fn default() -> Self {
        Found {
            beginning: Beginning::Blank,
            index: 0,
            counts: Counts::default(),
            foreign: 0,
            damaged_len: 0,
            torn_len: 0,
            len: 0,
        }
    }
}

impl Found {
    /// Whether there is nothing of ours in it, although there is something.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.beginning == Beginning::Unknown && self.counts.records == 0
    }

    /// Whether something in it is lost, so that it must be written anew.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damaged_len > 0
            || (self.len > 0 && !matches!(self.beginning, Beginning::Right(_) | Beginning::Blank))
    }
}

impl Replay {
    /// Takes the next piece, and hands out its records in their order.
    pub fn piece(&mut self, bytes: &[u8], each: &mut impl FnMut(Record<'_>)) {
        self.found.len += bytes.len() as u64;
        self.decoder.push(bytes);
        if self.has_begun || self.decoder.rest().len() >= HEADER_LEN {
            self.advance(each);
        }
    }

    /// The file ends here.
    pub fn end(mut self, each: &mut impl FnMut(Record<'_>)) -> Found {
        self.decoder.end();
        self.advance(each);
        self.found
    }

    fn begin(&mut self) {
        let head = self.decoder.rest();
        let head = &head[..head.len().min(HEADER_LEN)];
        self.found.beginning = Header::decode(head);
        let len = head.len();
        match self.found.beginning {
            Beginning::Right(header) => {
                self.found.index = header.index;
                self.decoder.skip(len);
            }
            Beginning::Blank if len < HEADER_LEN => self.decoder.skip(len),
            // The header may be gone, and the records there.
            Beginning::Blank | Beginning::Damaged | Beginning::Unknown | Beginning::Newer(_) => {}
        }
    }

    fn advance(&mut self, each: &mut impl FnMut(Record<'_>)) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin();
        }
        if let Beginning::Newer(_) = self.found.beginning {
            self.decoder.skip(usize::MAX);
            return;
        }
        let found = &mut self.found;
        while let Some(item) = self.decoder.next() {
            match item {
                Item::Record { raw, record, .. } => {
                    found.counts.count(raw);
                    found.index = record.index_after(found.index);
                    each(record);
                }
                Item::Foreign(_) => {
                    found.counts.records += 1;
                    found.foreign += 1;
                }
                Item::Damage(len) => found.damaged_len += len,
                Item::Torn(len) => found.torn_len += len,
            }
        }
    }
}
