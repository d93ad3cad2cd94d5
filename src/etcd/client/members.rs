//! The members of etcd that may be asked.

use std::net::SocketAddr;

use crate::etcd::pauses::Random;

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is reached.
    pub address: SocketAddr,
    /// The host and port by which it is called.
    pub host: String,
}

/// The members, in an order of chance, and which one is asked.
#[derive(Clone)]
pub(super) struct Members {
    all: Vec<Member>,
    current: usize,
}

impl Members {
    /// There must be one.
    pub(super) fn new(mut all: Vec<Member>, random: &mut Random) -> Self {
        assert!(!all.is_empty(), "a client needs a member to ask");
        for last in (1..all.len()).rev() {
            all.swap(last, (random() % (last as u64 + 1)) as usize);
        }
        Members { all, current: 0 }
    }

    pub(super) fn current(&self) -> &Member {
        &self.all[self.current]
    }

    pub(super) fn advance(&mut self) {
        self.current = (self.current + 1) % self.all.len();
    }
}
