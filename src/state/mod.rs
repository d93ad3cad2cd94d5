//! The records of the state file: what they are, how a file of them is read, and how it is made short.
//!
//! Knows bytes and changes. Has no knowledge of files, threads, clocks or the registry: who keeps a file
//! hands in its pieces, and applies the records that come out.
//!
//! A file is a [`Header`] and records, each `crc32 of the rest · length u16 · kind u8 · payload`, in
//! little-endian order. A record that is damaged costs itself and nothing behind it.

mod compaction;
mod decoder;
mod header;
mod payload;
mod pending;
mod record;
mod replay;

pub use compaction::{Compaction, Source, fill};
pub use decoder::{Decoder, Item};
pub use header::{Beginning, HEADER_LEN, Header};
pub use pending::Pending;
pub use record::{Counts, Record, Up};
pub use replay::{Found, Replay};
