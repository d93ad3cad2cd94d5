//! A limit on answers that are alike, in datagrams that leave this host.
//!
//! Whoever can send datagrams in the name of another can have answers sent there, which are longer than
//! the questions. So one network gets so many answers of one kind in a second, and of those beyond that
//! every second one with nothing in it: who really asked then asks over TCP.

use std::net::IpAddr;

use crate::limits::{ALIKE_A_SECOND_MAX, ALIKE_KINDS_MAX, ALIKE_SLIP_ONE_IN};
use crate::time::Moment;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent.
    Send,
    /// It is sent with nothing in it.
    Cut,
    /// It is not sent.
    Drop,
}

/// Counts answers by network and kind, in a table of fixed size: those that meet in it count together.
pub(super) struct AlikeLimit(Box<[Count]>);

#[derive(Clone, Copy, Default)]
struct Count {
    second: u64,
    answers: u32,
}

impl Default for AlikeLimit {
    fn default() -> Self {
        AlikeLimit(vec![Count::default(); ALIKE_KINDS_MAX].into())
    }
}

impl AlikeLimit {
    /// Counts an answer to `to`; `alike` is a keyed hash that answers of its kind have in common.
    pub(super) fn judge(&mut self, now: Moment, to: IpAddr, alike: u64) -> Verdict {
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (network(to) ^ alike).wrapping_mul(SPREAD) ^ alike.rotate_left(32);
        let count = &mut self.0[(mixed % ALIKE_KINDS_MAX as u64) as usize];
        let second = now.millis_since(Moment::START) / 1000;
        if count.second != second {
            *count = Count { second, answers: 0 };
        }
        count.answers = count.answers.saturating_add(1);
        match count.answers.checked_sub(ALIKE_A_SECOND_MAX) {
            None | Some(0) => Verdict::Send,
            Some(beyond) if beyond % ALIKE_SLIP_ONE_IN == 0 => Verdict::Cut,
            Some(_) => Verdict::Drop,
        }
    }
}

/// The network of an address: /24, or /56 for IPv6.
fn network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip) >> 8),
        IpAddr::V6(ip) => (u128::from(ip) >> 72) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_gets_a_bounded_number_of_answers_that_are_alike_in_a_second() {
        let mut limit = AlikeLimit::default();
        let mut judge = |ms, to, alike| limit.judge(Moment::from_millis(ms), ip(to), alike);
        for _ in 0..ALIKE_A_SECOND_MAX {
            assert_eq!(judge(5_000, "192.0.2.1", 7), Verdict::Send);
        }
        let beyond: Vec<Verdict> = (0..4).map(|_| judge(5_999, "192.0.2.200", 7)).collect();
        let (cut, drop) = (Verdict::Cut, Verdict::Drop);
        assert_eq!(beyond, [drop, cut, drop, cut]);
        assert_eq!(
            judge(5_999, "192.0.3.1", 7),
            Verdict::Send,
            "another network"
        );
        assert_eq!(
            judge(5_999, "192.0.2.1", 8),
            Verdict::Send,
            "another answer"
        );
        assert_eq!(
            judge(6_000, "192.0.2.1", 7),
            Verdict::Send,
            "the next second"
        );
    }

    #[test]
    fn a_network_of_ipv6_is_a_prefix_of_56_bits() {
        assert_eq!(
            network(ip("2001:db8:0:1ff::1")),
            network(ip("2001:db8:0:100::2"))
        );
        assert_ne!(
            network(ip("2001:db8:0:1ff::1")),
            network(ip("2001:db8:0:200::1"))
        );
        assert_eq!(network(ip("::ffff:192.0.2.1")), network(ip("192.0.2.9")));
    }
}
