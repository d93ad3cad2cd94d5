//! Derives registry time from the monotonic clock, so that a pause of the process ages no registration.

use std::time::Duration;

use crate::limits::STALL_BACKLOG_MS_MAX;
use crate::time::Moment;

/// Registry time. It follows the monotonic clock, with two exceptions:
///
/// - it advances by at most two ticks a turn, or by the planned sleep and one tick if that is longer;
///   the rest of a longer pause is cut off and counted;
/// - after a pause it stands still until the input that arrived during the pause is handled, so a
///   heartbeat that waited in a socket counts before any registration ages.
#[derive(Debug)]
pub(super) struct Clock {
    tick: Duration,
    /// The monotonic clock at the last turn.
    seen: Duration,
    /// Registry time.
    elapsed: Duration,
    /// How long registry time has stood still since a pause ended, if it still does.
    held_for: Option<Duration>,
    /// The total time that was cut off.
    stalled: Duration,
    /// The monotonic clock at the start.
    start: Duration,
}

impl Clock {
    /// A clock whose registry time starts at `monotonic`.
    pub(super) fn new(monotonic: Duration, tick: Duration) -> Self {
        let zero = Duration::ZERO;
        Clock {
            tick,
            seen: monotonic,
            elapsed: zero,
            held_for: None,
            stalled: zero,
            start: monotonic,
        }
    }

    /// Starts a turn. `slept` is the longest time for which the loop meant to sleep before it;
    /// `backlog` says whether there is input that no turn has handled yet. Returns the time cut off.
    pub(super) fn advance(
        &mut self,
        monotonic: Duration,
        slept: Duration,
        backlog: bool,
    ) -> Duration {
        const PATIENCE: Duration = Duration::from_millis(STALL_BACKLOG_MS_MAX);
        let step = monotonic.saturating_sub(self.seen);
        self.seen = self.seen.max(monotonic);
        let allowance = (2 * self.tick).max(slept + self.tick);
        let late = step > allowance;
        let (credit, held_for) = match self.held_for {
            None if late => (Duration::ZERO, Some(Duration::ZERO)),
            None => (step, None),
            // Late twice in a row means load and not a pause; under load time must go on.
            Some(_) if late => (allowance, Some(PATIENCE)),
            Some(held_for) if backlog && held_for + step < PATIENCE => {
                (Duration::ZERO, Some(held_for + step))
            }
            Some(_) => (step, None),
        };
        self.held_for = held_for;
        self.elapsed += credit;
        self.stalled += step - credit;
        step - credit
    }

    /// Registry time in this turn.
    pub(super) fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// The loop's time in this turn: it follows the monotonic clock without exception.
    pub(super) fn uptime(&self) -> Moment {
        let uptime = self.seen.saturating_sub(self.start).as_millis();
        Moment::from_millis(u64::try_from(uptime).unwrap_or(u64::MAX))
    }

    /// The total time that was cut off since the start.
    pub(super) fn stalled(&self) -> Duration {
        self.stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn clock() -> Clock {
        Clock::new(ms(5_000), TICK)
    }

    #[test]
    fn registry_time_follows_the_monotonic_clock() {
        let mut clock = clock();
        for (at, now) in [(5_000, 0), (5_001, 1), (6_000, 1_000), (8_000, 3_000)] {
            assert_eq!(clock.advance(ms(at), TICK, true), Duration::ZERO);
            assert_eq!(clock.now(), Moment::from_millis(now));
        }
    }

    #[test]
    fn fractions_of_a_millisecond_are_not_lost() {
        let mut clock = clock();
        for i in 1..=1_000_u32 {
            clock.advance(ms(5_000) + i * Duration::from_micros(300), TICK, false);
        }
        assert_eq!(clock.now(), Moment::from_millis(300));
    }

    #[test]
    fn row_30_a_pause_ages_nobody_by_more_than_two_ticks_and_waiting_input_comes_first() {
        let mut clock = clock();
        clock.advance(ms(5_100), TICK, false);
        assert_eq!(clock.advance(ms(45_100), TICK, false), ms(40_000));
        assert_eq!(
            clock.now(),
            Moment::from_millis(100),
            "the turn after the pause handles what has arrived"
        );
        clock.advance(ms(45_110), Duration::ZERO, true);
        assert_eq!(
            clock.now(),
            Moment::from_millis(100),
            "still something waits"
        );
        clock.advance(ms(45_112), Duration::ZERO, false);
        assert_eq!(
            clock.now(),
            Moment::from_millis(102),
            "what was heard of has not aged by the pause"
        );
        assert_eq!(clock.stalled(), ms(40_010));
    }

    #[test]
    fn a_flood_after_a_pause_cannot_stop_time() {
        let mut clock = clock();
        clock.advance(ms(65_000), TICK, true);
        for at in (65_000..67_000).step_by(10) {
            clock.advance(ms(at), Duration::ZERO, true);
        }
        assert!(clock.now() >= Moment::from_millis(2_000 - STALL_BACKLOG_MS_MAX - 20));
    }

    #[test]
    fn turns_that_are_always_late_still_let_time_pass() {
        let mut clock = clock();
        for turn in 1..=100 {
            let before = clock.now();
            clock.advance(ms(5_000 + turn * 3_000), Duration::ZERO, true);
            assert!(
                clock.now().millis_since(before) <= 2_000,
                "at most two ticks a turn"
            );
        }
        assert!(clock.now() >= Moment::from_millis(90_000));
    }

    #[test]
    fn a_sleep_that_was_meant_is_no_stall() {
        let mut clock = clock();
        assert_eq!(
            clock.advance(ms(305_000), ms(300_000), false),
            Duration::ZERO
        );
        assert_eq!(clock.now(), Moment::from_millis(300_000));
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let mut clock = clock();
        clock.advance(ms(6_000), TICK, false);
        clock.advance(ms(4_000), TICK, false);
        assert_eq!(clock.now(), Moment::from_millis(1_000));
        clock.advance(ms(6_500), TICK, false);
        assert_eq!(clock.now(), Moment::from_millis(1_500));
    }
}
