//! What is served at a socket, and its counters.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::rc::Rc;

use domain::base::Name;

use super::Zone;
use crate::limits::{DNS_CUT_TYPES_MAX, DNS_LOOPBACK_LEN_MAX, DNS_PLAIN_LEN_MAX, DNS_UDP_LEN_MAX};
use crate::message::{DnsCode, DnsStats, Named};

/// The zone as it is served at one address.
#[derive(Debug)]
pub struct Site {
    pub(super) zone: Zone,
    /// Seconds for which clients may keep what is told of services.
    pub(super) ttl: u32,
    /// The address of this host at which it is served.
    pub(super) address: IpAddr,
    counters: Rc<Counters>,
}

/// The counters of all sites of a service together.
#[derive(Debug, Default)]
pub struct Counters {
    stats: Cell<DnsStats>,
    /// Answers that began at a place of their own.
    rotations: Cell<u32>,
    /// Names whose answers were cut over TCP, and those of them that nobody has been told of.
    cut: RefCell<BTreeSet<Box<str>>>,
    cut_new: RefCell<Vec<Box<str>>>,
    hasher: RandomState,
}

impl Counters {
    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> DnsStats {
        self.stats.get()
    }

    /// The names whose services do not fit into the longest message, each once.
    #[must_use]
    pub fn take_cut(&self) -> Vec<Box<str>> {
        self.cut_new.take()
    }

    /// A number that the answers to one question have in common, and those to all questions about what is
    /// not there, or that are refused.
    pub(super) fn alike(&self, code: DnsCode, question: &[u8]) -> u64 {
        match code {
            DnsCode::NoError => self.hasher.hash_one(question.to_ascii_lowercase()),
            other => self.hasher.hash_one(other.index()),
        }
    }

    /// Counts.
    pub(super) fn count(&self, count: impl FnOnce(&mut DnsStats)) {
        let mut stats = self.stats.get();
        count(&mut stats);
        self.stats.set(stats);
    }
}

impl Site {
    /// The zone as it is served at `address`, with answers that clients may keep for `ttl` seconds.
    #[must_use]
    pub fn new(zone: Zone, ttl: u32, address: IpAddr, counters: &Rc<Counters>) -> Self {
        Site {
            zone,
            ttl,
            address: address.to_canonical(),
            counters: Rc::clone(counters),
        }
    }

    /// Whether too many answers that are alike are held back: they may be meant for somebody else than who
    /// asked.
    #[must_use]
    pub fn limits_rate(&self) -> bool {
        !self.address.is_loopback()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of an answer to a client that takes datagrams of `offered` bytes, if it says how long they may
    /// be.
    pub(super) fn datagram_len_max(&self, offered: Option<u16>) -> usize {
        let offered = offered.map_or(DNS_PLAIN_LEN_MAX, usize::from);
        let most = if self.address.is_loopback() {
            DNS_LOOPBACK_LEN_MAX
        } else {
            DNS_UDP_LEN_MAX
        };
        offered.clamp(DNS_PLAIN_LEN_MAX, most)
    }

    /// At which of `len` records an answer begins. Consecutive numbers are spread by the golden ratio,
    /// so clients that ask two questions each, in the same order, still begin everywhere.
    pub(super) fn begin(&self, len: usize) -> usize {
        const GOLDEN: u32 = 0x9E37_79B9;
        let rotations = &self.counters.rotations;
        let number = rotations.replace(rotations.get().wrapping_add(1));
        let spread = number.wrapping_mul(GOLDEN);
        ((u64::from(spread) * len as u64) >> 32) as usize
    }

    /// Notes, once for each name, that not all of its services fit into the longest message.
    pub(super) fn note_cut(&self, name: &[u8]) {
        let mut cut = self.counters.cut.borrow_mut();
        let name = Name::from_octets(name.to_ascii_lowercase());
        let name: Box<str> = name
            .map_or_else(|_| String::new(), |name| name.to_string())
            .into();
        if cut.len() < DNS_CUT_TYPES_MAX && cut.insert(name.clone()) {
            self.counters.cut_new.borrow_mut().push(name);
        }
    }
}
