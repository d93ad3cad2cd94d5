//! What an engine is made of, and what a turn takes and returns.

use std::time::Duration;

use super::datagrams::DatagramSocket;
use super::listener::Listener;
use super::{DatagramCounts, Engine, Journal, Network};
use crate::message::Change;
use crate::service::Handler;
use crate::time::WallTime;
use crate::wire::Protocol;

/// The bounds of an engine that a user sets.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Milliseconds in which a session must complete a request, if there is a limit.
    pub idle_ms_max: Option<u64>,
    /// The interval between sweeps of expired registrations.
    pub tick: Duration,
    /// The time within which the silent death of a holder's host is noticed, if it has not asked for a
    /// shorter one.
    pub ttl: Duration,
}

/// The readings of the clocks at the start of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The monotonic clock.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: WallTime,
    /// The longest turn so far.
    pub worst_turn: Duration,
    /// Log lines that were dropped so far.
    pub log_lines_dropped: u64,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a> {
    /// How long to wait for events before the next turn; `None` means without limit.
    pub wait: Option<Duration>,
    /// The changes of the registry, in their order.
    pub changes: &'a [Change],
}

/// The sockets that an engine serves, each with its protocol.
pub struct Sockets<N: Network> {
    /// Listening sockets.
    pub listeners: Vec<(N::Listener, Protocol)>,
    /// Datagram sockets.
    pub datagrams: Vec<(N::Datagram, Protocol)>,
}

impl<N: Network, H: Handler> Engine<N, H> {
    /// Serves these sockets from now on, beside those that it serves already.
    pub fn listen(&mut self, sockets: Sockets<N>) {
        let listen = |(socket, protocol)| Some(Listener::new(socket, protocol));
        let receive = |(socket, protocol)| Some(DatagramSocket::new(socket, protocol));
        self.listeners
            .extend(sockets.listeners.into_iter().map(listen));
        self.datagrams
            .extend(sockets.datagrams.into_iter().map(receive));
    }

    /// Saves all changes from now on, and lets no answer say that a change was made before it is saved.
    pub fn save_to(&mut self, journal: Box<dyn Journal>) {
        self.saving.begin(journal);
    }

    /// Whether [`stop`](Self::stop) has been called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Open connections, including refused ones that linger.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Bytes of pending output of all sessions together.
    #[must_use]
    pub fn waiting_len(&self) -> usize {
        self.sessions.waiting_len()
    }

    /// The service behind the sessions.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The service behind the sessions, to change its settings.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// The total time that was cut off from registry time because of pauses of this process.
    #[must_use]
    pub fn stalled(&self) -> Duration {
        self.clock.stalled()
    }

    /// Whether registry time and the time limits of sessions stand still, because input that arrived in
    /// a pause is not handled yet.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.clock.is_held()
    }

    /// Panics with a description when an invariant between two turns is broken. O(n).
    pub fn check_invariants(&self) {
        self.sessions.check_invariants();
    }

    /// The counts of datagrams at the socket with this number.
    #[must_use]
    pub fn datagram_counts(&self, number: usize) -> DatagramCounts {
        let socket = self.datagrams.get(number).and_then(Option::as_ref);
        socket.map_or(DatagramCounts::default(), |socket| socket.counts)
    }

    /// Units of work that the last turn took.
    #[must_use]
    pub fn work_spent(&mut self) -> u32 {
        self.handler.work().spent()
    }
}
