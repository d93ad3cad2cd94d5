//! Accepting: bounded in each turn, and never ended by an error.

use std::io;
use std::net::IpAddr;

use log::{debug, warn};

use super::{Connection, Engine, Network};
use crate::limits::{
    ACCEPT_FAILURES_MAX, ACCEPT_RETRY_MS, LINGERING_REFUSED_MAX, TURN_ACCEPTS_MAX,
};
use crate::message::{Refusal, Reply};
use crate::service::{Handler, Peer};
use crate::session::Session;
use crate::time::Moment;
use crate::wire::Codec;
use crate::wire::output::Output;

/// A socket that accepts, and what is known of it.
pub(super) struct Listener<L> {
    socket: L,
    /// Whether a connection may wait: set by an event, cleared by `WouldBlock`.
    pub(super) pending: bool,
    /// Not to be tried before this moment, for accepting has failed.
    pub(super) retry_at: Option<Moment>,
    /// When a failure was last logged.
    warned_at: Option<Moment>,
}

impl<L> Listener<L> {
    pub(super) fn new(socket: L) -> Self {
        // A connection may have come before the socket was watched.
        Listener {
            socket,
            pending: true,
            retry_at: None,
            warned_at: None,
        }
    }

    pub(super) fn into_socket(self) -> L {
        self.socket
    }

    pub(super) fn can_accept(&self) -> bool {
        self.pending && self.retry_at.is_none()
    }

    /// Waits a little before the next try. What has failed is one connection, or the process or
    /// host is out of descriptors or memory (accept(2)); neither is told by an event when it ends.
    fn back_off(&mut self, error: &io::Error, now: Moment) {
        const QUIET_MS: u64 = 10_000;
        self.retry_at = Some(now.plus_millis(ACCEPT_RETRY_MS));
        if self
            .warned_at
            .is_none_or(|at| now.millis_since(at) >= QUIET_MS)
        {
            warn!("cannot accept connections: {error}; trying again every {ACCEPT_RETRY_MS} ms");
            self.warned_at = Some(now);
        }
    }
}

impl<N: Network, H: Handler> Engine<N, H> {
    pub(super) fn accept_ready(&mut self, network: &mut N, now: Moment) {
        for number in 0..self.listeners.len() {
            let Some(mut listener) = self.listeners[number].take() else {
                continue;
            };
            if listener.retry_at.is_some_and(|at| at <= now) {
                listener.retry_at = None;
            }
            if listener.can_accept() {
                self.accept_from(network, &mut listener, now);
            }
            self.listeners[number] = Some(listener);
        }
    }

    fn accept_from(&mut self, network: &mut N, listener: &mut Listener<N::Listener>, now: Moment) {
        let mut failures = 0;
        for _ in 0..TURN_ACCEPTS_MAX {
            match network.accept(&mut listener.socket) {
                Ok((stream, ip)) => {
                    failures = 0;
                    self.admit(network, stream, ip, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.pending = false;
                    return;
                }
                Err(error) => {
                    failures += 1;
                    if failures == ACCEPT_FAILURES_MAX {
                        listener.back_off(&error, now);
                        return;
                    }
                }
            }
        }
    }

    fn admit(&mut self, network: &mut N, mut stream: N::Stream, ip: IpAddr, now: Moment) {
        let refused =
            self.connections.len() - self.refused_lingering >= self.settings.connections_max;
        if refused {
            self.refused += 1;
            debug!("{ip}: refused: {}", Refusal::TooManyConnections);
            if self.refused_lingering == LINGERING_REFUSED_MAX {
                let mut line = Output::default();
                Codec::default().encode(&Reply::Refused(Refusal::TooManyConnections), &mut line);
                // A peer that does not get the line sees the close all the same.
                let _ = network.write(&mut stream, line.front());
                network.close(stream);
                return;
            }
        }
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        if let Err(error) = network.watch(&mut stream, key) {
            warn!("{ip}: cannot watch the connection: {error}");
            network.close(stream);
            return;
        }
        let peer = Peer::new(key, ip);
        let session = if refused {
            Session::refused(peer, Refusal::TooManyConnections, now)
        } else {
            Session::new(peer, now)
        };
        let mut connection = Connection::new(stream, session);
        connection.refused = refused;
        self.refused_lingering += usize::from(refused);
        connection.enqueue();
        self.waiting.add(key, &connection.session);
        entry.insert(connection);
        self.ready.push_back(key);
    }
}
