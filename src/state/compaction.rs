//! Makes a file short: keeps what lives, in its order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;

use uuid::Uuid;

use super::decoder::{Decoder, Item};
use super::header::{Beginning, HEADER_LEN, Header};
use super::record::{Counts, FRAME_LEN, Record, Up};
use crate::limits::{STATE_PAYLOAD_LEN_MAX, STATE_PIECE_LEN};

/// Bytes that are given up at once where a file cannot be read: a block of most disks.
const BLOCK_LEN: usize = 4096;

/// The file that is made short.
pub trait Source {
    /// Reads some bytes from `offset` on; 0 at the end of the file.
    ///
    /// # Errors
    /// The system's error; these bytes then count as lost.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A compaction under way: it goes through the file twice, a piece at each [step](Self::step). First it
/// notes what was said last of each registration that was changed or removed, then it copies the
/// registrations that live, each with its last change.
#[derive(Debug)]
pub struct Compaction {
    /// Where the part of the file ends that it goes through.
    end: u64,
    pass: Pass,
    decoder: Decoder,
    /// Where the next piece begins.
    next: u64,
    last: HashMap<Uuid, Last>,
    header: Header,
    /// The registry's count of changes after what it has gone through.
    index: u64,
    written: Counts,
    written_len: u64,
    unreadable_len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Survey,
    Copy,
    Done,
}

/// Where the last records of a registration begin, beside that which made it.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    down: u64,
    update: u64,
    adopted: u64,
}

impl Compaction {
    /// The compaction of the first `end` bytes of a file.
    #[must_use]
    pub fn new(end: u64) -> Self {
        Compaction {
            end,
            pass: Pass::Survey,
            decoder: Decoder::default(),
            next: 0,
            last: HashMap::new(),
            header: Header::default(),
            index: 0,
            written: Counts::default(),
            written_len: 0,
            unreadable_len: 0,
        }
    }

    /// Goes through one piece, and appends to `to` what comes next in the new file. `true` when that is
    /// complete.
    pub fn step(&mut self, source: &impl Source, to: &mut Vec<u8>) -> bool {
        let before = to.len();
        match self.pass {
            Pass::Survey => {
                let is_last = !self.read(source);
                self.survey();
                if is_last {
                    self.restart();
                    to.extend(self.header.encode());
                }
            }
            Pass::Copy => {
                let is_last = !self.read(source);
                self.copy(source, to);
                if is_last {
                    self.pass = Pass::Done;
                    self.last = HashMap::new();
                    // What was left out has counted.
                    Record::Index(self.index).encode(to);
                }
            }
            Pass::Done => {}
        }
        self.written_len += (to.len() - before) as u64;
        self.pass == Pass::Done
    }

    /// Where the part of the file ends that it goes through.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The records that it has written.
    #[must_use]
    pub fn written(&self) -> Counts {
        self.written
    }

    /// Bytes that it has written.
    #[must_use]
    pub fn written_len(&self) -> u64 {
        self.written_len
    }

    /// Bytes that could not be read.
    #[must_use]
    pub fn unreadable_len(&self) -> u64 {
        self.unreadable_len
    }

    fn restart(&mut self) {
        self.pass = Pass::Copy;
        self.decoder = Decoder::default();
        self.next = 0;
    }

    /// Reads the next piece; `false` when it was the last.
    fn read(&mut self, source: &impl Source) -> bool {
        let left = self.end - self.next;
        let mut piece = vec![0; left.min(STATE_PIECE_LEN as u64) as usize];
        let lost = fill(source, self.next, &mut piece);
        if self.pass == Pass::Survey {
            self.unreadable_len += lost;
        }
        let is_first = self.next == 0;
        self.next += piece.len() as u64;
        self.decoder.push(&piece);
        if is_first {
            let head = &piece[..piece.len().min(HEADER_LEN)];
            if let Beginning::Right(header) = Header::decode(head) {
                self.header = header;
                if self.pass == Pass::Survey {
                    self.index = header.index;
                }
                self.decoder.skip(HEADER_LEN);
            }
        }
        let has_more = self.next < self.end;
        if !has_more {
            self.decoder.end();
        }
        has_more
    }

    fn survey(&mut self) {
        while let Some(item) = self.decoder.next() {
            let Item::Record { offset, record, .. } = item else {
                continue;
            };
            self.index = record.index_after(self.index);
            match record {
                Record::Up(_) | Record::Index(_) => {}
                Record::Down(uuid) => self.last.entry(uuid).or_default().down = offset,
                Record::Update { uuid, .. } => self.last.entry(uuid).or_default().update = offset,
                Record::Adopted { uuid, .. } => self.last.entry(uuid).or_default().adopted = offset,
            }
        }
    }

    fn copy(&mut self, source: &impl Source, to: &mut Vec<u8>) {
        while let Some(item) = self.decoder.next() {
            let Item::Record {
                offset,
                raw,
                record: Record::Up(up),
            } = item
            else {
                continue;
            };
            let start = to.len();
            match self.last.get(&up.uuid) {
                Some(last) if last.down > offset => continue,
                Some(last) if last.update > offset || last.adopted > offset => {
                    last.changed(up, offset, source).encode(to);
                }
                _ => to.extend_from_slice(raw),
            }
            self.written.count(&to[start..]);
        }
    }
}

impl Last {
    /// The record of a registration that was made at `offset`, with what was changed since.
    fn changed<'a>(&self, mut up: Up<'a>, offset: u64, source: &impl Source) -> Record<'a> {
        let later = |at: u64| (at > offset).then_some(at);
        let mut bytes = [0; FRAME_LEN + STATE_PAYLOAD_LEN_MAX];
        if let Some(Record::Update { labels, .. }) =
            later(self.update).and_then(|at| record_at(source, at, &mut bytes))
        {
            up.labels = labels.map(|labels| Cow::Owned(labels.into_owned()));
        }
        if let Some(Record::Adopted { right, ttl_ms, .. }) =
            later(self.adopted).and_then(|at| record_at(source, at, &mut bytes))
        {
            (up.right, up.ttl_ms) = (right, ttl_ms);
        }
        Record::Up(up)
    }
}

/// The record at `offset`, where one was found before.
fn record_at<'a>(source: &impl Source, offset: u64, bytes: &'a mut [u8]) -> Option<Record<'a>> {
    let mut len = 0;
    while len < bytes.len()
        && let Ok(n @ 1..) = source.read_at(offset + len as u64, &mut bytes[len..])
    {
        len += n;
    }
    let head = bytes.first_chunk::<FRAME_LEN>()?;
    let end = FRAME_LEN + usize::from(u16::from_le_bytes([head[4], head[5]]));
    Record::decode(bytes.get(..end.min(len))?)
}

/// Fills `piece` from `offset` on. What cannot be read is left as zeros; returns how many bytes that are.
pub fn fill(source: &impl Source, offset: u64, piece: &mut [u8]) -> u64 {
    let (mut at, mut lost) = (0, 0);
    while at < piece.len() {
        let place = offset + at as u64;
        let rest = &mut piece[at..];
        at += match source.read_at(place, rest) {
            // The file was cut.
            Ok(0) => return lost + rest.len() as u64,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                let block = rest.len().min(BLOCK_LEN);
                match source.read_at(place, &mut rest[..block]) {
                    Ok(n @ 1..) => n,
                    _ => {
                        rest[..block].fill(0);
                        lost += block as u64;
                        block
                    }
                }
            }
        };
    }
    lost
}
