//! How long ago something was heard, by the clock that other machines go by.

use crate::service::Turn;
use crate::time::Moment;

/// Registry time stands still while the process is paused, so that nobody here expires for it. Other nodes
/// have gone on meanwhile: between nodes, the time of a pause counts.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// All the time of pauses so far, in milliseconds.
    stalled_ms: u64,
    /// The registry time of the last pause.
    paused_at: Moment,
    /// How long that was.
    pause_ms: u64,
}

impl Ages {
    /// Takes note of a pause before this turn.
    pub(super) fn begin_turn(&mut self, turn: &Turn) {
        let stalled_ms = turn.meter.stalled.as_millis() as u64;
        if stalled_ms == self.stalled_ms {
            return;
        }
        if turn.now > self.paused_at {
            (self.paused_at, self.pause_ms) = (turn.now, 0);
        }
        self.pause_ms += stalled_ms.saturating_sub(self.stalled_ms);
        self.stalled_ms = stalled_ms;
    }

    /// The moment of the loop's time at which something was heard at a moment of registry time.
    pub(super) fn uptime_of(&self, heard: Moment, turn: &Turn) -> Moment {
        let mut age_ms = turn.now.millis_since(heard);
        if heard <= self.paused_at {
            age_ms += self.pause_ms;
        }
        Moment::from_millis(turn.uptime.as_millis().saturating_sub(age_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service::Meter;

    #[test]
    fn a_pause_counts_for_what_was_heard_before_it_only() {
        let turn = |now, uptime, stalled_ms| Turn {
            now: Moment::from_millis(now),
            uptime: Moment::from_millis(uptime),
            meter: Meter {
                stalled: Duration::from_millis(stalled_ms),
                ..Meter::default()
            },
            ..Turn::default()
        };
        let at = Moment::from_millis;
        let mut ages = Ages::default();
        let first = turn(1_000, 1_000, 0);
        ages.begin_turn(&first);
        assert_eq!(ages.uptime_of(at(900), &first), at(900));
        let paused = turn(1_100, 61_100, 60_000);
        ages.begin_turn(&paused);
        assert_eq!(ages.uptime_of(at(900), &paused), at(900));
        let later = turn(2_100, 62_100, 60_000);
        ages.begin_turn(&later);
        assert_eq!(ages.uptime_of(at(900), &later), at(900));
        assert_eq!(ages.uptime_of(at(1_500), &later), at(61_500));
    }
}
