//! Pauses between attempts.

use crate::limits::ETCD_PAUSE_MS;

/// Random numbers for pauses, handed in.
pub type Random = Box<dyn FnMut() -> u64>;

/// Pauses that grow with each failure. Each is drawn from all that are at most as long, so that the
/// nodes of a cluster do not come back together.
#[derive(Debug)]
pub(super) struct Pauses {
    longest_ms: u64,
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses {
            longest_ms: *ETCD_PAUSE_MS.start(),
        }
    }
}

impl Pauses {
    /// Milliseconds of the next pause.
    pub(super) fn next_ms(&mut self, random: &mut Random) -> u64 {
        let longest_ms = self.longest_ms;
        self.longest_ms = (2 * longest_ms).min(*ETCD_PAUSE_MS.end());
        random() % (longest_ms + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_a_tenth_of_a_second_to_five_and_are_drawn_from_all_up_to_there() {
        let mut pauses = Pauses::default();
        let mut longest_ms = 100;
        for round in 0..20 {
            let mut random: Random = Box::new(move || round * 7_919 + 13);
            let pause_ms = pauses.next_ms(&mut random);
            assert_eq!(pause_ms, (round * 7_919 + 13) % (longest_ms + 1));
            longest_ms = (2 * longest_ms).min(5_000);
        }
    }
}
