//! The pending updates of a watcher.

use std::collections::VecDeque;

use crate::limits::{FEED_BATCH_LEN_MAX, OUTPUT_WAITING_LEN_MAX};
use crate::message::Bytes;
use crate::wire::output::Output;

/// The pending lines of one watcher, shared with all others that have the same lines pending.
///
/// A watcher that is new or has lagged needs a snapshot before anything else. Until it has one, the
/// feed stores no deltas.
#[derive(Debug)]
pub(super) struct Feed {
    /// The snapshot, to be sent before the deltas.
    snapshot: Option<Bytes>,
    changes: VecDeque<Bytes>,
    changes_len: usize,
    needs_snapshot: bool,
    /// Whether the output contains a snapshot and not deltas.
    sending_snapshot: bool,
}

impl Default for Feed {
    /// The feed of a new watcher.
    fn default() -> Self {
        Feed {
            snapshot: None,
            changes: VecDeque::new(),
            changes_len: 0,
            needs_snapshot: true,
            sending_snapshot: false,
        }
    }
}

impl Feed {
    /// Whether the watcher needs a snapshot before anything else.
    pub(super) fn needs_snapshot(&self) -> bool {
        self.needs_snapshot
    }

    /// Whether nothing is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.changes.is_empty()
    }

    /// The pending lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Bytes> {
        self.snapshot.iter().chain(&self.changes)
    }

    /// Whether a delta of this length fits after the pending ones here and in `output`.
    pub(super) fn has_room(&self, len: usize, output: &Output) -> bool {
        let sending = if self.sending_snapshot {
            0
        } else {
            output.len()
        };
        sending + self.changes_len + len <= OUTPUT_WAITING_LEN_MAX
    }

    /// Adds a delta.
    pub(super) fn push(&mut self, change: Bytes) {
        debug_assert!(!self.needs_snapshot);
        self.changes_len += change.len();
        self.changes.push_back(change);
    }

    /// Marks the watcher as lagged: returns the dropped lines, and from now on it needs a snapshot.
    pub(super) fn lag(&mut self) -> VecDeque<Bytes> {
        let new = Feed {
            sending_snapshot: self.sending_snapshot,
            ..Feed::default()
        };
        let Feed {
            snapshot,
            mut changes,
            ..
        } = std::mem::replace(self, new);
        changes.extend(snapshot);
        changes
    }

    /// Adds the snapshot that the watcher needs.
    pub(super) fn restart(&mut self, snapshot: Bytes) {
        debug_assert!(self.is_empty());
        self.needs_snapshot = false;
        self.snapshot = Some(snapshot);
    }

    /// Moves the next lines into `output`, which must be empty: the snapshot, or a batch of deltas.
    pub(super) fn refill(&mut self, output: &mut Output) {
        self.sending_snapshot = self.snapshot.is_some();
        if let Some(snapshot) = self.snapshot.take() {
            output.push_shared(&snapshot);
            return;
        }
        while let Some(change) = self.changes.pop_front() {
            self.changes_len -= change.len();
            output.push_shared(&change);
            let next_len = self.changes.front().map(|next| next.len());
            if next_len.is_none_or(|next| output.len() + next > FEED_BATCH_LEN_MAX) {
                break;
            }
        }
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }
}
