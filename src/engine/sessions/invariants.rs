//! What holds between two turns.

use super::{Connection, Sessions};
use crate::engine::waiting::Waiting;
use crate::limits::{FRAME_ANSWER_LEN_MAX, OUTPUT_WAITING_LEN_MAX, READ_LEN_MAX, WAITING_LEN_MAX};
use crate::session::Phase;

impl<T> Sessions<T> {
    /// Panics with a description when an invariant between two turns is broken. O(n).
    pub(in crate::engine) fn check_invariants(&self) {
        assert!(
            self.over.is_empty(),
            "a session that is done was not reaped"
        );
        let mut waiting = Waiting::default();
        let (mut refused, mut strangers) = (0, 0);
        for (key, connection) in &self.connections {
            connection.check_invariants(key, self.idle_ms_max);
            waiting.add(key, &connection.session);
            refused += usize::from(connection.refused);
            strangers += usize::from(connection.session.is_stranger());
        }
        assert_eq!(refused, self.refused_lingering);
        assert_eq!(strangers, self.strangers);
        assert_eq!(
            waiting, self.waiting,
            "the count of pending output is wrong"
        );
        assert!(self.waiting.len() <= WAITING_LEN_MAX);
    }
}

impl<T> Connection<T> {
    fn check_invariants(&self, key: usize, idle_ms_max: Option<u64>) {
        let Connection {
            session, transport, ..
        } = self;
        assert!(
            session.phase() != Phase::Done,
            "session {key} is done, but not reaped"
        );
        assert!(
            session.kept_len() <= READ_LEN_MAX + OUTPUT_WAITING_LEN_MAX + FRAME_ANSWER_LEN_MAX,
            "session {key} keeps more memory than allowed"
        );
        if let Some(due) = self.next_due(idle_ms_max) {
            assert!(
                self.alarm.is_some_and(|alarm| alarm <= due),
                "session {key} has no timer"
            );
        }
        assert!(
            session.phase() == Phase::Open || !session.peer().stays(),
            "session {key} is ending, but holds or watches"
        );
        assert!(
            !session.wants_part() || self.waits_for_part || self.queued,
            "session {key} needs a part, but the service was not asked"
        );
        if !self.queued {
            let pending = session.pending_since().is_some();
            assert!(
                !(transport.is_writable() && pending && self.gate.is_none()),
                "session {key} could write, but waits for an event"
            );
            let waits = pending || self.waits_for_part || session.is_parked();
            assert!(
                !transport.is_readable() || waits,
                "session {key} could read, but waits for an event"
            );
        }
    }
}
