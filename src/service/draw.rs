//! Drawing some of many at random.

use uuid::Uuid;

use crate::message::ServiceAddress;

/// Draws at most so many of the addresses that it is offered, each with the same chance: Vitter's
/// algorithm R, "Random Sampling with a Reservoir" (1985).
#[derive(Debug)]
pub(super) struct Draw {
    most: usize,
    offered: u64,
    /// With its place among those that were offered.
    drawn: Vec<(u64, ServiceAddress)>,
    /// The state of SplitMix64 (Steele, Lea and Flood 2014): what it draws is no secret.
    random: u64,
}

impl Draw {
    /// `seed` is a UUID that nobody is given.
    pub(super) fn new(most: u32, seed: Uuid) -> Self {
        let (high, low) = seed.as_u64_pair();
        Draw {
            most: most as usize,
            offered: 0,
            drawn: Vec::new(),
            random: high ^ low.rotate_left(32),
        }
    }

    pub(super) fn offer(&mut self, address: ServiceAddress) {
        let candidate = (self.offered, address);
        self.offered += 1;
        if self.drawn.len() < self.most {
            self.drawn.push(candidate);
            return;
        }
        let place = self.below(self.offered) as usize;
        if let Some(drawn) = self.drawn.get_mut(place) {
            *drawn = candidate;
        }
    }

    /// What was drawn, in the order in which it was offered.
    pub(super) fn finish(mut self) -> Vec<ServiceAddress> {
        self.drawn.sort_unstable_by_key(|&(place, _)| place);
        self.drawn.into_iter().map(|(_, address)| address).collect()
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_the_same_chance_and_the_order_stays() {
        const DRAWS: u32 = 20_000;
        let mut times = [0_u32; 10];
        for seed in 0..DRAWS {
            let mut draw = Draw::new(3, Uuid::from_u128(u128::from(seed) << 17));
            for port in 1..=10 {
                draw.offer(ServiceAddress::new("10.0.0.1", port).unwrap());
            }
            let drawn = draw.finish();
            assert_eq!(drawn.len(), 3);
            assert!(drawn.is_sorted_by_key(|address| address.port));
            for address in drawn {
                times[usize::from(address.port.get()) - 1] += 1;
            }
        }
        // Six standard deviations of the binomial distribution with p = 0.3.
        let expected = DRAWS * 3 / 10;
        let slack = 6 * 65;
        assert!(
            times.iter().all(|&n| n.abs_diff(expected) < slack),
            "{times:?}"
        );
        let mut few = Draw::new(3, Uuid::nil());
        few.offer(ServiceAddress::new("::1", 1).unwrap());
        assert_eq!(few.finish().len(), 1);
    }
}
