//! Closes the connections whose peer has lost its access, after the tokens have changed.

use std::ops::Range;

use super::{Engine, Network};
use crate::limits::TURN_TOKENS_MAX;
use crate::service::Handler;

impl<N: Network, H: Handler> Engine<N, H> {
    /// Closes the connections whose peer has lost its access, a bounded number in each of the next turns.
    pub fn dismiss(&mut self) {
        self.unchecked = 0..self.sessions.keys_end();
    }

    /// Looks at the next peers, if the tokens have changed.
    pub(super) fn check_tokens(&mut self) {
        let Range { start, end } = self.unchecked;
        let checked = start..end.min(start + TURN_TOKENS_MAX);
        self.unchecked.start = checked.end;
        self.handler.work().spend(checked.len());
        let handler = &self.handler;
        self.sessions
            .dismiss(checked, |peer| handler.has_lost_access(peer));
    }
}
