//! The bounds of the client of etcd.

use std::ops::RangeInclusive;

/// Bytes of the head of an answer of etcd, and likewise of the fields behind its body.
pub const ETCD_HEAD_LEN_MAX: usize = 8 * 1024;
/// Fields in the head of an answer of etcd.
pub const ETCD_FIELDS_MAX: usize = 64;
/// Bytes of the line that begins a chunk of such an answer.
pub const ETCD_CHUNK_LINE_LEN_MAX: usize = 256;
/// Bytes of an element that is held of an answer of etcd, and of what the answer is around its elements.
pub const ETCD_ELEMENT_LEN_MAX: usize = 16 * 1024;
/// Levels of nesting in an answer of etcd.
pub const ETCD_DEPTH_MAX: usize = 64;
/// Keys of one page while all are loaded. etcd counts what is left for each page, so small ones are slow.
pub const ETCD_PAGE_KEYS: usize = 50_000;
/// Guarded writes in one transaction: etcd takes 128 operations.
pub const ETCD_WRITES_MAX: usize = 127;
/// Milliseconds that connecting to a member of etcd may take.
pub const ETCD_CONNECT_MS_MAX: u64 = 3_000;
/// Milliseconds that a call of etcd may take; of a page, milliseconds without a byte. etcd's own limit is 7 s.
pub const ETCD_CALL_MS_MAX: u64 = 8_000;
/// Milliseconds that prolonging leases may take at one member before the next is asked.
pub const ETCD_PROLONG_MS_MAX: u64 = 3_000;
/// Milliseconds for which a watch of etcd may be silent before it is probed, and as many again before it is dead.
pub const ETCD_SILENCE_MS: u64 = 5_000;
/// Milliseconds of the longest pause before etcd is tried again: after the first failure, and after many.
pub const ETCD_PAUSE_MS: RangeInclusive<u64> = 100..=5_000;
/// Milliseconds between two requests for a token of etcd, which each cost it 60 ms of a core.
pub const ETCD_TOKENS_APART_MS: u64 = 1_000;
