//! Tells peers that hold or watch and read slowly from those whose host is gone.
//!
//! While everything written is acknowledged, the network itself probes a silent peer. While something is
//! not, it would take a window that its peer keeps closed for a dead host, or wait for a quarter of an hour.
//! So the engine looks by itself: a peer is dead when nothing was heard of its host for a long time and it
//! leaves unanswered what it was sent since.

use std::time::Duration;

use super::sessions::Connection;
use super::{Network, Unacknowledged};
use crate::limits::{
    SILENCE_CHECK_MS_MIN, SILENCE_CHECK_ONE_IN, SILENCE_SHARES_MIN, WATCHER_DEATH_MS_MAX,
};
use crate::message::{Peer, Ttl};
use crate::time::Moment;

/// What is known of a peer's silence. Costs no memory of its own while everything is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The time that the network was asked for.
    guarded: Option<Patience>,
    /// The next look, while something written may not be acknowledged.
    check: Option<Box<Check>>,
}

/// Milliseconds within which the death of a peer's host must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patience(u32);

#[derive(Debug)]
struct Check {
    at: Moment,
    /// Since when the peer has left unanswered what it was sent.
    unanswered_since: Option<Moment>,
}

impl Silence {
    pub(super) fn next_check(&self) -> Option<Moment> {
        self.check.as_ref().map(|check| check.at)
    }
}

impl Patience {
    /// `ttl` is that of what has none of its own.
    fn with(peer: &Peer, ttl: Duration) -> Patience {
        let own = peer.ttl.map(Ttl::duration);
        let ttl = own.map_or(ttl, |own| own.min(ttl)).as_millis() as u64;
        let ms = match (peer.holds, peer.watches) {
            (true, false) => ttl,
            (true, true) => ttl.min(WATCHER_DEATH_MS_MAX),
            _ => WATCHER_DEATH_MS_MAX,
        };
        Patience(ms as u32)
    }

    fn time(self) -> Duration {
        Duration::from_millis(self.0.into())
    }

    /// Milliseconds between two looks.
    fn share(self) -> u64 {
        (u64::from(self.0) / SILENCE_CHECK_ONE_IN).max(SILENCE_CHECK_MS_MIN)
    }

    fn silence_min(self) -> u64 {
        u64::from(self.0) * SILENCE_SHARES_MIN / SILENCE_CHECK_ONE_IN
    }
}

impl Check {
    fn new(patience: Patience, now: Moment) -> Check {
        Check {
            at: now.plus_millis(patience.share()),
            unanswered_since: None,
        }
    }

    /// Whether the peer's host counts as dead. If not, plans the next look.
    fn finds_dead(&mut self, found: Unacknowledged, patience: Patience, now: Moment) -> bool {
        let silent_ms = found.silent_for.as_millis() as u64;
        self.unanswered_since = found.unanswered.then(|| match self.unanswered_since {
            Some(since) if silent_ms >= now.millis_since(since) => since,
            // A probe of a closed window comes rarely, so it has its time even after a long silence.
            _ => now,
        });
        self.at = now.plus_millis(patience.share());
        let had_time = |since| now.millis_since(since) >= patience.share();
        self.unanswered_since.is_some_and(had_time) && silent_ms >= patience.silence_min()
    }
}

impl<T> Connection<T> {
    /// Looks after a peer that holds or watches. `wrote` says that it was just sent something.
    pub(super) fn guard<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        ttl: Duration,
        wrote: bool,
        now: Moment,
    ) {
        let Connection {
            session,
            transport,
            silence,
            ..
        } = self;
        let patience = Patience::with(session.peer(), ttl);
        let is_new = silence.guarded != Some(patience);
        if is_new {
            network.guard(transport.stream(), patience.time());
            silence.guarded = Some(patience);
        }
        match &mut silence.check {
            // A shorter time may have come with this visit.
            Some(check) if is_new => check.at = check.at.min(Check::new(patience, now).at),
            None if wrote || is_new => silence.check = Some(Box::new(Check::new(patience, now))),
            _ => {}
        }
    }

    /// Leaves the peer to the network's own limits, before its connection is closed.
    pub(super) fn release<N: Network<Stream = T>>(&mut self, network: &mut N) {
        if self.silence.guarded.is_some() {
            network.release(self.transport.stream());
        }
    }

    /// Whether the host of a peer that holds or watches is dead, where it is time to look.
    pub(super) fn is_dead<N: Network<Stream = T>>(&mut self, network: &mut N, now: Moment) -> bool {
        let Silence {
            guarded: Some(patience),
            check: Some(check),
        } = &mut self.silence
        else {
            return false;
        };
        if check.at > now {
            return false;
        }
        let Some(found) = network.unacknowledged(self.transport.stream()) else {
            self.silence.check = None;
            return false;
        };
        check.finds_dead(found, *patience, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_heard_of_since_the_last_look_has_its_time_to_answer_the_next_probe() {
        let at = |seconds: u64| Moment::from_millis(1_000 * seconds);
        let unanswered_for = |seconds| Unacknowledged {
            unanswered: true,
            silent_for: Duration::from_secs(seconds),
        };
        let patience = Patience(WATCHER_DEATH_MS_MAX as u32);
        let mut check = Check::new(patience, at(0));
        assert!(!check.finds_dead(unanswered_for(6), patience, at(6)));
        // The process has paused. The host answered at once and fell silent a second later.
        assert!(!check.finds_dead(unanswered_for(53), patience, at(60)));
        assert!(check.finds_dead(unanswered_for(59), patience, at(66)));
    }

    #[test]
    fn a_host_that_leaves_bytes_unanswered_for_less_than_its_patience_is_not_dead() {
        let at = |ms: u64| Moment::from_millis(ms);
        let patience = Patience(WATCHER_DEATH_MS_MAX as u32);
        let step = WATCHER_DEATH_MS_MAX / SILENCE_CHECK_ONE_IN;
        let mut check = Check::new(patience, at(0));
        let mut finds_dead = |looks: u64| {
            let ms = looks * step;
            let found = Unacknowledged {
                unanswered: true,
                silent_for: Duration::from_millis(ms),
            };
            check.finds_dead(found, patience, at(ms))
        };
        for looks in 1..SILENCE_SHARES_MIN {
            assert!(!finds_dead(looks), "after {looks} looks");
        }
        assert!(finds_dead(SILENCE_SHARES_MIN + 1));
    }
}
