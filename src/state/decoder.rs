//! Finds records in the pieces of a file.

use super::record::{Framing, Record, framing};

/// Finds records in bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Bytes that are done with.
    used: usize,
    /// Where in the file `bytes` begin.
    offset: u64,
    /// The first bytes since the last record that belong to none.
    damaged_from: Option<u64>,
    /// Whether there, what was there of the file was the beginning of a record.
    is_torn: bool,
    /// Whether there are no more pieces.
    is_last: bool,
}

/// What a file consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A record that is known.
    Record {
        /// Where it begins.
        offset: u64,
        /// Its bytes.
        raw: &'a [u8],
        /// What it says.
        record: Record<'a>,
    },
    /// A record whose checksum is right and whose kind or content this program does not know.
    Foreign(&'a [u8]),
    /// So many bytes that belong to no record.
    Damage(u64),
    /// The file ends with so many bytes of a record that is not whole.
    Torn(u64),
}

impl Decoder {
    /// A decoder of pieces that begin so far from the beginning of the file.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Decoder {
            offset,
            ..Decoder::default()
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.used);
        self.offset += self.used as u64;
        self.used = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// There are no more pieces.
    pub fn end(&mut self) {
        self.is_last = true;
    }

    /// Where in the file the bytes begin that it has not gone through.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.offset + self.used as u64
    }

    /// The bytes that it has not gone through.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Goes over so many bytes.
    pub fn skip(&mut self, len: usize) {
        self.used = self.used.saturating_add(len).min(self.bytes.len());
    }

    /// The next item. `None` when it needs the next piece, or after the last one.
    #[allow(clippy::should_implement_trait, reason = "the items borrow from it")]
    pub fn next(&mut self) -> Option<Item<'_>> {
        loop {
            let position = self.position();
            if self.rest().is_empty() {
                return self.end_of_damage().filter(|_| self.is_last);
            }
            match framing(self.rest()) {
                Framing::Whole(len) => {
                    if let Some(damage) = self.end_of_damage() {
                        return Some(damage);
                    }
                    let at = self.used;
                    self.used += len;
                    let raw = &self.bytes[at..at + len];
                    return Some(match Record::decode(raw) {
                        Some(record) => Item::Record {
                            offset: position,
                            raw,
                            record,
                        },
                        None => Item::Foreign(raw),
                    });
                }
                Framing::Short if !self.is_last => return None,
                framing => {
                    if self.damaged_from.is_none() {
                        self.damaged_from = Some(position);
                        self.is_torn = framing == Framing::Short;
                    }
                    self.used += 1;
                }
            }
        }
    }

    /// What belongs to no record up to here, once.
    fn end_of_damage(&mut self) -> Option<Item<'static>> {
        let position = self.position();
        let at_end = self.is_last && self.rest().is_empty();
        if self.rest().is_empty() && !at_end {
            return None;
        }
        let len = position - self.damaged_from.take()?;
        Some(if self.is_torn && at_end {
            Item::Torn(len)
        } else {
            Item::Damage(len)
        })
    }
}
