//! The bounds of the state file, and of what is restored from it.

use super::{LABELS_COUNT_MAX, LABELS_LEN_MAX, TYPE_LEN_MAX};

/// Milliseconds from the start of a service for which the holders of an earlier process are awaited: those
/// that come back wait 5 s at most between two attempts.
pub const AWAITED_MS_MAX: u64 = 10_000;
/// Bytes of the payload of a record in the state file. The longest of today takes 4473; records of later
/// versions are skipped by their length.
pub const STATE_PAYLOAD_LEN_MAX: usize = 8 * 1024;
/// Milliseconds that an answer waits at most until its change is in the state file.
pub const GATE_MS_MAX: u64 = 1_000;
/// Bytes of records on their way to the state file beyond which no answer waits for them, and further
/// changes are joined by registration.
pub const STATE_UNDER_WAY_LEN_MAX: usize = 16 * 1024 * 1024;
/// Bytes of joined changes that are handed over together.
pub const STATE_FLUSH_LEN: usize = 1024 * 1024;
/// Joined changes that one turn of the loop hands over.
pub const TURN_STATE_RECORDS_MAX: usize = 4_096;
/// Milliseconds between two log lines about changes that were answered before they were saved.
pub const STATE_LOG_QUIET_MS: u64 = 60_000;
/// Bytes from which on a state file is made short, once most of it is past.
pub const STATE_COMPACT_LEN_MIN: u64 = 1024 * 1024;
/// Records of what is past that a state file may have beside as many as live.
pub const STATE_PAST_RECORDS: u64 = 1_000;
/// Default of `--state-sync`, in seconds; 0 leaves it to the kernel.
pub const STATE_SYNC_SECONDS_DEFAULT: u32 = 5;
/// Largest `--state-sync`, in seconds: a day.
pub const STATE_SYNC_SECONDS_MAX: u32 = 86_400;
/// Milliseconds after the first change since the last sync at which the state file is synced at the
/// earliest.
pub const STATE_SYNC_DELAY_MS: u64 = 1_000;
/// Milliseconds after which a write that the disk has refused is tried again.
pub const STATE_RETRY_MS: u64 = 1_000;
/// Milliseconds after which opening a state file on a read-only file system is tried again.
pub const STATE_OPEN_RETRY_MS: u64 = 10_000;
/// Milliseconds for which a starting service waits for another process to give the state file up.
pub const STATE_LOCK_MS_MAX: u64 = 3_000;
/// Bytes of the pieces in which a state file is read.
pub const STATE_PIECE_LEN: usize = 64 * 1024;

const _: () = {
    assert!(
        STATE_PAYLOAD_LEN_MAX <= u16::MAX as usize
            && STATE_PAYLOAD_LEN_MAX >= LABELS_LEN_MAX + 4 * LABELS_COUNT_MAX + TYPE_LEN_MAX + 64,
        "the longest record has room, and its length fits"
    );
    assert!(
        AWAITED_MS_MAX > 2 * GATE_MS_MAX && STATE_FLUSH_LEN <= STATE_UNDER_WAY_LEN_MAX,
        "what is joined is handed over in parts that are not too much"
    );
    assert!(STATE_PIECE_LEN >= 2 * STATE_PAYLOAD_LEN_MAX);
};
