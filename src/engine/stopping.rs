//! The end of an engine.

use super::{Engine, Network};
use crate::message::CloseReason;
use crate::service::Handler;

impl<N: Network, H: Handler> Engine<N, H> {
    /// Begins to stop: accepts no more, finishes the replies in flight and closes the connections.
    pub fn stop(&mut self, network: &mut N) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        for listener in self.listeners.iter_mut().filter_map(Option::take) {
            network.close_listener(listener.into_socket());
        }
        for socket in self.datagrams.iter_mut().filter_map(Option::take) {
            network.close_datagram(socket.into_socket());
        }
        self.handler.stop();
        self.sessions.stop();
    }

    /// Whether a stopped engine has no work left.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let is_late = |deadline| self.clock.uptime() >= deadline;
        let is_done = self.sessions.len() == 0 && self.handler.is_finished();
        self.stopping && (is_done || self.stop_by.is_some_and(is_late))
    }

    /// Closes every connection at once, before the process ends: those that are owed something are reset,
    /// so that the kernel keeps nothing for them.
    pub fn end(mut self, network: &mut N) {
        self.saving.finish(self.clock.uptime());
        self.sessions.give_up_all(CloseReason::Stopped);
        self.reap(network);
    }
}
