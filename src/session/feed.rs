//! What a watcher has yet to be told.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::limits::{FEED_BATCH_LEN_MAX, OUTPUT_WAITING_LEN_MAX};
use crate::wire::output::Output;

/// Lines that wait for one watcher; they are shared with all who wait for them.
///
/// A watcher that is new, or has missed something, is to get the whole state before anything else:
/// as long as it waits for that, no change is kept for it.
#[derive(Debug)]
pub struct Feed {
    /// The whole state, to be sent before the changes.
    state: Option<Rc<Vec<u8>>>,
    changes: VecDeque<Rc<Vec<u8>>>,
    changes_len: usize,
    needs_state: bool,
    /// What waits in the output is a state and not changes.
    sending_state: bool,
}

impl Default for Feed {
    /// Of a new watcher.
    fn default() -> Self {
        Feed {
            state: None,
            changes: VecDeque::new(),
            changes_len: 0,
            needs_state: true,
            sending_state: false,
        }
    }
}

impl Feed {
    /// Whether the watcher is to get the whole state before anything else.
    #[must_use]
    pub fn needs_state(&self) -> bool {
        self.needs_state
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.is_none() && self.changes.is_empty()
    }

    /// The lines that wait.
    pub fn lines(&self) -> impl Iterator<Item = &Rc<Vec<u8>>> {
        self.state.iter().chain(&self.changes)
    }

    /// Whether one more change of this length may wait behind those here and in `output`.
    #[must_use]
    pub fn has_room(&self, len: usize, output: &Output) -> bool {
        let sending = if self.sending_state { 0 } else { output.len() };
        sending + self.changes_len + len <= OUTPUT_WAITING_LEN_MAX
    }

    /// Keeps a change.
    pub fn push(&mut self, change: &Rc<Vec<u8>>) {
        debug_assert!(!self.needs_state);
        self.changes.push_back(Rc::clone(change));
        self.changes_len += change.len();
    }

    /// The watcher is too slow: what waits is dropped, and it is to get the whole state.
    pub fn fall_behind(&mut self) {
        *self = Feed {
            sending_state: self.sending_state,
            ..Feed::default()
        };
    }

    /// Keeps the whole state.
    pub fn restart(&mut self, state: &Rc<Vec<u8>>) {
        debug_assert!(self.is_empty());
        self.needs_state = false;
        self.state = Some(Rc::clone(state));
    }

    /// Moves what is to be sent next into `output`, where nothing waits: the state, or changes that
    /// are sent together.
    pub fn refill(&mut self, output: &mut Output) {
        self.sending_state = self.state.is_some();
        if let Some(state) = self.state.take() {
            output.push_shared(&state);
            return;
        }
        while let Some(change) = self.changes.pop_front() {
            self.changes_len -= change.len();
            output.push_shared(&change);
            if self
                .changes
                .front()
                .is_none_or(|next| output.len() + next.len() > FEED_BATCH_LEN_MAX)
            {
                break;
            }
        }
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }
}
