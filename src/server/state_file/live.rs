//! How much of the state file lives.

use crate::limits::{STATE_COMPACT_LEN_MIN, STATE_PAST_RECORDS};
use crate::state::Counts;

/// Counts of the file: exact for one that was just made short, and good enough where damage has lost
/// removals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    /// Records in the file.
    pub(super) records: u64,
    /// Registrations that live.
    pub(super) count: u64,
    /// Bytes of their records, by the mean length of those that were written.
    pub(super) len: u64,
}

impl Live {
    /// What lives of a file with these records.
    pub(super) fn of(counts: &Counts, count: u64) -> Self {
        Live {
            records: counts.records,
            count,
            len: counts.ups_len / counts.ups.max(1) * count,
        }
    }

    /// Counts what was appended.
    pub(super) fn count(&mut self, written: &Counts) {
        let gone = (self.len / self.count.max(1)) * written.downs;
        self.records += written.records;
        self.count = (self.count + written.ups).saturating_sub(written.downs);
        self.len = (self.len + written.ups_len).saturating_sub(gone);
    }

    /// Whether a file of `len` bytes is worth being made short.
    pub(super) fn are_few(&self, len: u64) -> bool {
        let many_are_past = self.records > 2 * self.count + STATE_PAST_RECORDS;
        let much_is_past = len > 2 * self.len + STATE_COMPACT_LEN_MIN;
        len >= STATE_COMPACT_LEN_MIN && (many_are_past || much_is_past)
    }
}
