//! Pauses between attempts.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Exponential backoff: the pause doubles from 0.1 s to 5 s. Each is shortened by a random part of
/// up to a half, so that the clients of a service that was away do not reconnect all at once. A
/// connection that lasted longer than 5 s resets it.
#[derive(Debug)]
pub(super) struct Backoff {
    wait: Duration,
}

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);

impl Default for Backoff {
    fn default() -> Self {
        Backoff { wait: FIRST }
    }
}

impl Backoff {
    /// The next pause, after an attempt whose connection lasted this long.
    pub(super) fn next(&mut self, lasted: Duration) -> Duration {
        let wait = if lasted > LAST { FIRST } else { self.wait };
        self.wait = (2 * wait).min(LAST);
        wait - wait.mul_f64(f64::from(chance()) / f64::from(u32::MAX) / 2.0)
    }
}

/// A random number. The standard library draws random keys for each hasher; no better randomness is
/// needed here.
fn chance() -> u32 {
    let hash = RandomState::new().build_hasher().finish();
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_seconds_and_are_never_shorter_than_half() {
        let mut backoff = Backoff::default();
        let mut whole = FIRST;
        for _ in 0..20 {
            let wait = backoff.next(LAST);
            assert!(wait <= whole && wait >= whole / 2, "{wait:?} of {whole:?}");
            whole = (2 * whole).min(LAST);
        }
        assert!(backoff.next(2 * LAST) <= FIRST && backoff.next(Duration::ZERO) <= 2 * FIRST);
    }
}
