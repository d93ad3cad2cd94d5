//! The peer of a request, the outcome of the request, and deliveries to a session.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use super::{Frequent, Heartbeats, Part, Refusal, Reply, Request, Ttl, Update};
use crate::time::Moment;

/// The other end of a session, as far as the service knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The session's key, unique among open sessions; `usize::MAX` where there is no session.
    pub session: usize,
    /// The address and port of the peer's socket.
    pub address: SocketAddr,
    /// Whether it is on this host: it connects from or to a loopback address, or from the very address
    /// that it connects to.
    pub is_local: bool,
    /// The number of the valid token that it has presented last, if it has.
    pub token: Option<NonZeroU32>,
    /// Whether it has ever held a registration.
    pub holds: bool,
    /// The shortest TTL that it has given to what it holds, if it has given one.
    pub ttl: Option<Ttl>,
    /// Whether it is a watcher.
    pub watches: bool,
    /// Whether a long answer to it is collected whole before it is sent.
    pub collects: bool,
    /// Whether it may wait for a short time until a question can be answered, and is not told at once that
    /// it cannot.
    pub waits: bool,
}

impl Peer {
    /// The peer of a new session. The engine finds out whether it is on this host where its address
    /// is not a loopback address.
    #[must_use]
    pub fn new(session: usize, address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        Peer {
            session,
            address: SocketAddr::new(ip, address.port()),
            is_local: ip.is_loopback(),
            token: None,
            holds: false,
            ttl: None,
            watches: false,
            collects: false,
            waits: false,
        }
    }

    /// The peer of a request that came without a session, such as a datagram.
    #[must_use]
    pub fn without_session(address: SocketAddr) -> Self {
        Peer::new(usize::MAX, address)
    }

    /// Whether deliveries can reach it.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.session != usize::MAX
    }

    /// The IP address of the peer's socket.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Whether the session holds or watches, so that it matters even while it is idle.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.holds || self.watches
    }
}

/// The outcome of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is answered.
    Done(Reply),
    /// The engine must try the same request again in the next turn.
    Retry,
    /// The request is accepted and waits for something to happen. Its session runs no further request
    /// until a [`Delivery`] arrives, and costs no turn meanwhile. A request without a session gets no
    /// answer.
    Parked {
        /// When the wait ends in the loop's time, if it is limited: the engine then asks the service for the reply.
        until: Option<Moment>,
    },
    /// The request is not run yet: it waits for something to happen. Its session keeps it unread, costs no
    /// turn meanwhile, and tries it again when it is [woken](Delivery::Wake) or the time is up. A request
    /// without a session never waits.
    Blocked {
        /// When the wait ends in the loop's time.
        until: Moment,
    },
    /// The request is accepted, and its answer comes in [parts](Part), each as soon as the peer has
    /// been sent the one before. Its session runs no further request until the last one.
    Parts,
}

/// A delivery to a session: what answers its request, or an update for a watcher.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The reply to the parked request.
    Reply(Reply),
    /// What the blocked request waits for has happened.
    Wake,
    /// The next part of an answer.
    Part(Part),
    /// The next update for a watcher.
    Update(Update),
}

/// Answers the requests of sessions.
pub trait Responder {
    /// Runs one request.
    fn apply(&mut self, request: &Request<'_>, peer: &mut Peer) -> Outcome;

    /// Takes heartbeats in their order, as long as they are of registrations that live here. Returns how many
    /// were taken; the next one, if any, is to be run as any other request.
    fn hear(&mut self, _heartbeats: &Heartbeats, _peer: &Peer) -> usize {
        0
    }

    /// The reply to a frequent request, if nothing stands against it; else nothing has happened, and the
    /// request is to be run as any other. The reply ends no session.
    fn answer_at_once(&mut self, _request: &Frequent<'_>, _peer: &Peer) -> Option<Reply> {
        None
    }

    /// The reply to a command that is not a well-formed request.
    fn refuse(&mut self, refusal: Refusal, peer: &Peer) -> Reply;
}
