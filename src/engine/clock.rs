//! Derives registry time from the monotonic clock, so that a pause of the process ages no registration.

use std::time::Duration;

use crate::limits::{LATE_MS_MAX, STALL_BACKLOG_MS_MAX};
use crate::time::Moment;

/// Registry time. It follows the monotonic clock, with two exceptions:
///
/// - of a pause of more than two ticks beyond the planned sleep, nothing counts; where turn after turn
///   is so late, that is load and no pause, and the allowance of each turn counts;
/// - after a pause of any length, it stands still until the input that arrived meanwhile is handled, so
///   a heartbeat that waited in a socket counts before any registration ages. What is heard then
///   counts as heard in the [present](Clock::present).
///
/// It advances by at most two ticks a turn, or by the time since the last turn if that was planned.
#[derive(Debug)]
pub(super) struct Clock {
    tick: Duration,
    /// The monotonic clock at the start.
    start: Duration,
    /// The monotonic clock at the last turn.
    seen: Duration,
    /// The monotonic time since the start without what was cut off.
    present: Duration,
    /// Registry time, which is the present or before it.
    elapsed: Duration,
    /// When registry time was stopped, if it stands still.
    held_since: Option<Duration>,
    /// Whether the last turn came later than planned.
    was_paused: bool,
    /// Whether the last turn came so late that time was cut off.
    was_cut: bool,
    /// The total time that was cut off.
    stalled: Duration,
}

/// The input at the start of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing waits to be handled.
    Nothing,
    /// Something has arrived since the last turn, which handled everything before it.
    New,
    /// The last turn has left something over, or the network has more events than it has reported.
    Backlog,
}

impl Clock {
    /// A clock whose registry time starts at `monotonic`.
    pub(super) fn new(monotonic: Duration, tick: Duration) -> Self {
        Clock {
            tick,
            start: monotonic,
            seen: monotonic,
            present: Duration::ZERO,
            elapsed: Duration::ZERO,
            held_since: None,
            was_paused: false,
            was_cut: false,
            stalled: Duration::ZERO,
        }
    }

    /// Starts a turn. `slept` is the longest time for which the loop meant to sleep before it. Returns
    /// the time cut off.
    pub(super) fn advance(
        &mut self,
        monotonic: Duration,
        slept: Duration,
        input: Input,
    ) -> Duration {
        const PATIENCE: Duration = Duration::from_millis(STALL_BACKLOG_MS_MAX);
        const LATE: Duration = Duration::from_millis(LATE_MS_MAX);
        let step = monotonic.saturating_sub(self.seen);
        self.seen = self.seen.max(monotonic);
        let allowance = (2 * self.tick).max(slept + self.tick);
        let must_cut = step > allowance;
        let cut = match must_cut {
            true if self.was_cut => step - allowance,
            true => step,
            false => Duration::ZERO,
        };
        self.was_cut = must_cut;
        self.present += step - cut;
        self.stalled += cut;
        let is_paused = step > slept + LATE;
        self.held_since = match self.held_since {
            Some(since) if input == Input::Backlog && self.seen - since < PATIENCE => Some(since),
            Some(_) => None,
            // Late twice in a row means load and not a pause; under load time must go on.
            None if is_paused && !self.was_paused && input != Input::Nothing => Some(self.seen),
            None => None,
        };
        self.was_paused = is_paused;
        if self.held_since.is_none() {
            let step_max = (2 * self.tick).max(step - cut);
            self.elapsed = self.present.min(self.elapsed + step_max);
        }
        cut
    }

    /// Registry time in this turn. Who is live now was live when the input of this turn arrived.
    pub(super) fn now(&self) -> Moment {
        moment(self.elapsed)
    }

    /// The registry time at which what this turn hears counts as heard: the latest at which it can
    /// have arrived.
    pub(super) fn present(&self) -> Moment {
        moment(self.present)
    }

    /// Whether registry time stands still, because input that arrived in a pause is not handled yet.
    pub(super) fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// Whether registry time must go on without waiting for an event.
    pub(super) fn is_behind(&self) -> bool {
        self.is_held() || self.elapsed < self.present
    }

    /// The loop's time in this turn: it follows the monotonic clock without exception.
    pub(super) fn uptime(&self) -> Moment {
        moment(self.seen.saturating_sub(self.start))
    }

    /// The total time that was cut off since the start.
    pub(super) fn stalled(&self) -> Duration {
        self.stalled
    }
}

fn moment(since_start: Duration) -> Moment {
    Moment::from_millis(u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX))
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
            assert_eq!(clock.advance(ms(at), TICK, Input::Nothing), Duration::ZERO);
            assert_eq!(clock.now(), Moment::from_millis(now));
        }
    }

    #[test]
    fn fractions_of_a_millisecond_are_not_lost() {
        let mut clock = clock();
        for i in 1..=1_000_u32 {
            clock.advance(
                ms(5_000) + i * Duration::from_micros(300),
                TICK,
                Input::Nothing,
            );
        }
        assert_eq!(clock.now(), Moment::from_millis(300));
    }

    #[test]
    fn row_30_a_pause_ages_nobody_by_more_than_two_ticks_and_waiting_input_comes_first() {
        let mut clock = clock();
        clock.advance(ms(5_100), TICK, Input::Nothing);
        let cut = clock.advance(ms(45_100), TICK, Input::New);
        assert_eq!(cut, ms(40_000));
        let at = Moment::from_millis;
        assert_eq!(
            clock.now(),
            at(100),
            "the turn after the pause handles what has arrived"
        );
        clock.advance(ms(45_110), Duration::ZERO, Input::Backlog);
        assert_eq!(clock.now(), at(100), "still something waits");
        assert_eq!(clock.present(), at(110));
        clock.advance(ms(45_112), Duration::ZERO, Input::New);
        assert_eq!((clock.now(), clock.is_behind()), (at(112), false));
        assert_eq!(clock.stalled(), ms(40_000));
    }

    #[test]
    fn after_a_pause_of_less_than_two_ticks_waiting_input_comes_first_too() {
        let mut clock = clock();
        clock.advance(ms(5_100), TICK, Input::Nothing);
        let at = Moment::from_millis;
        clock.advance(ms(6_700), TICK, Input::New);
        assert_eq!((clock.now(), clock.present()), (at(100), at(1_700)));
        assert!(clock.is_behind());
        clock.advance(ms(6_701), Duration::ZERO, Input::Nothing);
        assert_eq!((clock.now(), clock.is_behind()), (at(1_701), false));
        assert_eq!(clock.stalled(), Duration::ZERO);
        clock.advance(ms(8_300), TICK, Input::Nothing);
        assert_eq!(clock.now(), at(3_300), "nothing waits");
    }

    #[test]
    fn a_flood_after_a_pause_cannot_stop_time() {
        let mut clock = clock();
        clock.advance(ms(65_000), TICK, Input::Backlog);
        for at in (65_000..67_000).step_by(10) {
            clock.advance(ms(at), Duration::ZERO, Input::Backlog);
        }
        assert_eq!(clock.now(), Moment::from_millis(1_990));
    }

    #[test]
    fn turns_that_are_always_late_still_let_time_pass() {
        let mut clock = clock();
        for turn in 1..=100 {
            let before = clock.now();
            clock.advance(ms(5_000 + turn * 3_000), Duration::ZERO, Input::Backlog);
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
            clock.advance(ms(305_000), ms(300_000), Input::Nothing),
            Duration::ZERO
        );
        assert_eq!(clock.now(), Moment::from_millis(300_000));
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let mut clock = clock();
        clock.advance(ms(6_000), TICK, Input::Nothing);
        clock.advance(ms(4_000), TICK, Input::Nothing);
        assert_eq!(clock.now(), Moment::from_millis(1_000));
        clock.advance(ms(6_500), TICK, Input::Nothing);
        assert_eq!(clock.now(), Moment::from_millis(1_500));
    }
}
