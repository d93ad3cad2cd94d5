//! How long to wait before the next try.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Waits that double from a tenth of a second to five seconds, each shortened by chance by up to a
/// half, so that many clients of a service that comes back do not come all at once. They begin anew after a
/// connection that has lasted longer than the longest of them.
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
    /// The next wait, after a try whose connection has lasted so long.
    pub(super) fn next(&mut self, lasted: Duration) -> Duration {
        let wait = if lasted > LAST { FIRST } else { self.wait };
        self.wait = (2 * wait).min(LAST);
        wait - wait.mul_f64(f64::from(chance()) / f64::from(u32::MAX) / 2.0)
    }
}

/// A random number, from the keys that the standard library draws for its hash tables.
fn chance() -> u32 {
    let hash = RandomState::new().build_hasher().finish();
    // All bits of the hash are equally good.
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
