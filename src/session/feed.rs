//! What a watcher has yet to be told.

use std::collections::VecDeque;

use crate::limits::{FEED_BATCH_LEN_MAX, OUTPUT_WAITING_LEN_MAX};
use crate::message::Bytes;
use crate::wire::output::Output;

/// Lines that wait for one watcher; they are shared with all who wait for them.
///
/// A watcher that is new, or has lagged, needs a snapshot before anything else: until it has one, no
/// change is kept for it.
#[derive(Debug)]
pub(super) struct Feed {
    /// The snapshot, to be sent before the changes.
    snapshot: Option<Bytes>,
    changes: VecDeque<Bytes>,
    changes_len: usize,
    needs_snapshot: bool,
    /// What waits in the output is a snapshot and not changes.
    sending_snapshot: bool,
}

impl Default for Feed {
    /// Of a new watcher.
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

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.changes.is_empty()
    }

    /// The lines that wait.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Bytes> {
        self.snapshot.iter().chain(&self.changes)
    }

    /// Whether one more change of this length may wait behind those here and in `output`.
    pub(super) fn has_room(&self, len: usize, output: &Output) -> bool {
        let sending = if self.sending_snapshot {
            0
        } else {
            output.len()
        };
        sending + self.changes_len + len <= OUTPUT_WAITING_LEN_MAX
    }

    /// Keeps a change.
    pub(super) fn push(&mut self, change: Bytes) {
        debug_assert!(!self.needs_snapshot);
        self.changes_len += change.len();
        self.changes.push_back(change);
    }

    /// The watcher has lagged: what waits is dropped and returned, and it needs a snapshot.
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

    /// Keeps the snapshot that it needs.
    pub(super) fn restart(&mut self, snapshot: Bytes) {
        debug_assert!(self.is_empty());
        self.needs_snapshot = false;
        self.snapshot = Some(snapshot);
    }

    /// Moves what is to be sent next into `output`, where nothing waits: the snapshot, or changes that
    /// are sent together.
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
