//! Who asks, what becomes of a request, and what a session is told later.

use std::net::{IpAddr, SocketAddr};

use super::{Refusal, Reply, Request, Update};
use crate::time::Moment;

/// The other end of a session, as far as the service knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The session's key: no other session has it as long as this one is open. The largest number
    /// where there is no session.
    pub session: usize,
    /// The address and port that it comes from.
    pub address: SocketAddr,
    /// Whether it has shown a token of the service.
    pub authenticated: bool,
    /// Whether it has ever held a registration.
    pub holds: bool,
    /// Whether it watches.
    pub watches: bool,
}

impl Peer {
    /// The peer of a new session.
    #[must_use]
    pub fn new(session: usize, address: SocketAddr) -> Self {
        Peer {
            session,
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
            authenticated: false,
            holds: false,
            watches: false,
        }
    }

    /// The peer of a request that came without a session, such as a datagram.
    #[must_use]
    pub fn without_session(address: SocketAddr) -> Self {
        Peer::new(usize::MAX, address)
    }

    /// The address that it comes from.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Whether something ends with the session, so that its being there is worth something by itself.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.holds || self.watches
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is answered.
    Done(Reply),
    /// Not yet: the same request is to be tried again in the next turn.
    Retry,
    /// It is taken, and what it waits for is not there yet. Its session runs no further request until
    /// a [`Delivery`] comes, and costs no turn meanwhile. Without a session there is no answer.
    Parked {
        /// When the wait ends, if it does: the service is asked then what it answers.
        until: Option<Moment>,
    },
}

/// What the service has for a session that it did not answer at once, or that watches.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The answer to the request that was parked.
    Reply(Reply),
    /// What a watcher is told next.
    Update(Update),
}

/// Whoever answers the requests of sessions.
pub trait Responder {
    /// Runs one request.
    fn apply(&mut self, request: &Request<'_>, peer: &mut Peer) -> Outcome;

    /// The answer to a command that is no request.
    fn refuse(&mut self, refusal: Refusal, peer: &Peer) -> Reply;
}
