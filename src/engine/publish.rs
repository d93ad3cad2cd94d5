//! The end of a turn: watchers are told what has changed in it.

use super::{Engine, Network};
use crate::service::Handler;
use crate::time::Moment;

impl<N: Network, H: Handler> Engine<N, H> {
    /// Hands each watcher the line for this turn, and the whole state to those that need it. What
    /// is handed out is sent in the next turn, which comes at once.
    pub(super) fn publish(&mut self, now: Moment) {
        if self.stopping.is_some() {
            // What ends with this process is not gone for the one that comes after it.
            self.wanting.clear();
            return;
        }
        let Engine {
            handler,
            connections,
            waiting,
            ready,
            wanting,
            ..
        } = self;
        handler.publish(&mut |key, update| {
            let Some(connection) = connections.get_mut(key) else {
                return;
            };
            let session = &mut connection.session;
            if session.needs_state() {
                return;
            }
            let line = &session.render(update);
            if !session.has_room_for(line) {
                waiting.remove(key, session);
                session.fall_behind();
                waiting.add(key, session);
                if connection.queue_for_state() {
                    wanting.push_back(key);
                }
                return;
            }
            let owed = session.owes_since().is_some();
            session.tell(line, now);
            if owed {
                waiting.share(line);
            } else {
                waiting.add(key, session);
            }
            if connection.writable && connection.enqueue() {
                ready.push_back(key);
            }
        });
        while let Some(key) = self.wanting.pop_front() {
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            if !connection.take_for_state() {
                continue;
            }
            let Some(state) = self.handler.snapshot(key) else {
                connection.queue_for_state();
                self.wanting.push_front(key);
                return;
            };
            let state = connection.session.render(&state);
            connection.session.restart(&state, now);
            self.waiting.add(key, &connection.session);
            if connection.enqueue() {
                self.ready.push_back(key);
            }
        }
    }

    /// Tells watchers that there was nothing to tell for long, unless there is now: an index never
    /// stands before the change that it counts.
    pub(super) fn break_silence(&mut self, now: Moment) {
        while let Some(key) = self.silent.pop() {
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            if connection.session.is_silent(now) {
                let line = connection.session.render(&self.handler.keepalive());
                connection.session.tell(&line, now);
                self.waiting.add(key, &connection.session);
                if connection.enqueue() {
                    self.ready.push_back(key);
                }
            }
            self.arm(key);
        }
    }
}
