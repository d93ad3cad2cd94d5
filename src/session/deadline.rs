//! The time limits of a session, in the loop's time.

use super::feed::Feed;
use super::{Awaited, Phase, Session};
use crate::limits::{AUTHENTICATE_MS_MAX, LINGER_MS_MAX, OUTPUT_STALL_MS_MAX, WATCH_SILENCE_MS};
use crate::message::CloseReason;
use crate::time::Moment;

/// An action that is due in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// A time limit has passed: the session must be closed.
    Close(CloseReason),
    /// The request is not complete in time: it must be refused.
    Overdue,
    /// The parked request has reached its time limit and must be answered.
    Answer,
    /// The blocked request has waited for its time, and must be tried again.
    Wake,
    /// The watcher needs a keepalive.
    Keepalive,
}

impl Session {
    /// When the next action is due; `idle_ms_max` is the limit for completing a request, if there is
    /// one.
    #[must_use]
    pub fn alarm(&self, idle_ms_max: Option<u64>) -> Option<Moment> {
        self.next_timeout(idle_ms_max).map(|(due, _)| due)
    }

    /// The action that is due by `now`, if there is one.
    #[must_use]
    pub fn timeout(&self, idle_ms_max: Option<u64>, now: Moment) -> Option<Timeout> {
        let (due, timeout) = self.next_timeout(idle_ms_max)?;
        let answer = self.answer_until();
        match timeout {
            // A keepalive that is due as well comes in the next turn.
            Timeout::Keepalive if answer.is_some_and(|until| until <= now) => Some(Timeout::Answer),
            timeout => (due <= now).then_some(timeout),
        }
    }

    /// Whether the watcher has been silent for so long that it needs a keepalive.
    pub(super) fn is_silent(&self, now: Moment) -> bool {
        self.silent_at().is_some_and(|at| at <= now)
    }

    /// A session that holds or watches may be idle for any time, and a watcher may leave updates unread:
    /// TCP keepalive detects a dead peer. A parked request is not the peer's delay, so the idle limit does
    /// not apply. A stranger has its own limit instead.
    fn next_timeout(&self, idle_ms_max: Option<u64>) -> Option<(Moment, Timeout)> {
        let mut next = Next::default();
        match self.phase {
            Phase::Open => {
                self.limit_stranger(&mut next);
                if let Some(since) = self.request_since {
                    let due = since.plus_millis(self.codec.request_ms_max());
                    next.add(due, Timeout::Overdue);
                }
                self.limit_unread(&mut next);
                let may_idle = self.peer.stays() || self.is_stranger();
                let idle_ms_max = self.codec.idle_ms_max(idle_ms_max);
                if let (Some(ms), None, false) = (idle_ms_max, self.awaited, may_idle) {
                    next.close(self.completed_at, ms, CloseReason::Idle);
                }
                match self.awaited {
                    Some(Awaited::Reply { until: Some(until) }) => {
                        next.add(until, Timeout::Answer);
                    }
                    Some(Awaited::Wake { until }) => next.add(until, Timeout::Wake),
                    _ => {}
                }
                if let Some(at) = self.silent_at() {
                    next.add(at, Timeout::Keepalive);
                }
            }
            Phase::Ending { .. } => {
                self.limit_stranger(&mut next);
                self.limit_unread(&mut next);
            }
            // The session ignores this reason, because it has one already.
            Phase::Lingering { since } => next.close(since, LINGER_MS_MAX, CloseReason::Peer),
            Phase::Done => {}
        }
        next.0
    }

    /// When the wait for the reply to a parked request ends, if it is limited.
    fn answer_until(&self) -> Option<Moment> {
        match self.awaited? {
            Awaited::Reply { until } => until,
            Awaited::Part | Awaited::Wake { .. } => None,
        }
    }

    /// Nothing that a stranger sends, reads or leaves unread renews this limit.
    fn limit_stranger(&self, next: &mut Next) {
        if self.is_stranger() {
            let reason = CloseReason::Unauthenticated;
            next.close(self.completed_at, AUTHENTICATE_MS_MAX, reason);
        }
    }

    /// Limits the time without progress while an answer is pending, or anything in a session that ends.
    fn limit_unread(&self, next: &mut Next) {
        let since = match self.phase {
            Phase::Open => self.answer_since.map(|since| since.max(self.progress_at)),
            _ => Some(self.progress_at),
        };
        if let (Some(since), false) = (since, self.output.is_empty()) {
            next.close(since, OUTPUT_STALL_MS_MAX, CloseReason::Unread);
        }
    }

    fn silent_at(&self) -> Option<Moment> {
        let told = self.phase == Phase::Open;
        let complete = self.feed.as_deref().is_some_and(Feed::is_complete);
        let silent = told && complete && !self.has_pending();
        silent.then(|| self.updated_at.plus_millis(WATCH_SILENCE_MS))
    }
}

/// The earliest action.
#[derive(Default)]
struct Next(Option<(Moment, Timeout)>);

impl Next {
    fn add(&mut self, due: Moment, timeout: Timeout) {
        if self.0.is_none_or(|(first, _)| due < first) {
            self.0 = Some((due, timeout));
        }
    }

    fn close(&mut self, since: Moment, ms: u64, reason: CloseReason) {
        self.add(since.plus_millis(ms), Timeout::Close(reason));
    }
}
