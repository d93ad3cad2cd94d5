//! The pending updates of a watcher.

use std::collections::VecDeque;

use crate::limits::FEED_BATCH_LEN_MAX;
use crate::message::{Bytes, Share};
use crate::wire::output::Output;

/// The pending lines of one watcher, shared with all others that have the same lines pending.
///
/// A watcher that is new or has lagged needs the first part of a snapshot before anything else. Until
/// it has one, the feed stores no deltas.
#[derive(Debug, Default)]
pub(super) struct Feed {
    changes: VecDeque<Bytes>,
    changes_len: usize,
    /// A part of the snapshot, and how many of the deltas are sent before it.
    part: Option<(usize, Bytes)>,
    snapshot: Progress,
    /// Whether the output contains a part of the snapshot and not deltas.
    sending_part: bool,
}

/// How much of a snapshot the watcher has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    #[default]
    None,
    /// Some parts.
    Begun,
    /// All of it.
    Complete,
}

impl Feed {
    /// The feed of a session that is told nothing but that its connection stands.
    pub(super) fn of_keepalives() -> Self {
        Feed {
            snapshot: Progress::Complete,
            ..Feed::default()
        }
    }

    /// Whether the watcher needs the beginning of a snapshot before anything else.
    pub(super) fn needs_snapshot(&self) -> bool {
        self.snapshot == Progress::None
    }

    /// Whether the watcher has a whole snapshot, or will have when it has read what is pending.
    pub(super) fn is_complete(&self) -> bool {
        self.snapshot == Progress::Complete
    }

    /// Whether this part of a snapshot is the one that the watcher needs next.
    pub(super) fn expects(&self, share: Share) -> bool {
        let due = match self.snapshot {
            Progress::None => share.is_first(),
            Progress::Begun => !share.is_first(),
            Progress::Complete => false,
        };
        due && self.part.is_none()
    }

    /// Whether nothing is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.part.is_none() && self.changes.is_empty()
    }

    /// The pending lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Bytes> {
        self.changes
            .iter()
            .chain(self.part.iter().map(|(_, line)| line))
    }

    /// The `count` lines that were added last.
    pub(super) fn latest(&self, count: usize) -> impl Iterator<Item = &Bytes> {
        self.changes.iter().rev().take(count)
    }

    /// Whether the deltas of a turn, with this length together, fit after the pending ones here and in
    /// `output` where `len_max` bytes of them may be pending. Where none are pending they fit whatever their length: the watcher has read all, and
    /// they are shared.
    pub(super) fn has_room(&self, len: usize, output: &Output, len_max: usize) -> bool {
        let sending = if self.sending_part { 0 } else { output.len() };
        let pending = sending + self.changes_len;
        pending == 0 || pending + len <= len_max
    }

    /// Adds a delta.
    pub(super) fn push(&mut self, change: Bytes) {
        debug_assert!(!self.needs_snapshot());
        self.changes_len += change.len();
        self.changes.push_back(change);
    }

    /// Marks the watcher as lagged: returns the dropped lines, and from now on it needs a snapshot.
    pub(super) fn lag(&mut self) -> VecDeque<Bytes> {
        let new = Feed {
            sending_part: self.sending_part,
            ..Feed::default()
        };
        let Feed {
            part, mut changes, ..
        } = std::mem::replace(self, new);
        changes.extend(part.map(|(_, line)| line));
        changes
    }

    /// Adds the part of a snapshot that the watcher [expects](Self::expects).
    pub(super) fn add_part(&mut self, share: Share, line: Bytes) {
        debug_assert!(self.expects(share));
        self.part = Some((self.changes.len(), line));
        self.snapshot = if share.has_more() {
            Progress::Begun
        } else {
            Progress::Complete
        };
    }

    /// Moves the next lines into `output`, which must be empty: the part, or a batch of deltas.
    pub(super) fn refill(&mut self, output: &mut Output) {
        self.sending_part = false;
        while output.len() <= FEED_BATCH_LEN_MAX {
            match &mut self.part {
                // The part stands alone in the output, so that its length does not count as that of deltas.
                Some((0, _)) if !output.is_empty() => return,
                Some((0, line)) => {
                    output.push_shared(line);
                    self.part = None;
                    self.sending_part = true;
                    return;
                }
                Some((before, _)) => *before -= 1,
                None => {}
            }
            let Some(change) = self.changes.pop_front() else {
                break;
            };
            self.changes_len -= change.len();
            output.push_shared(&change);
        }
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }
}
