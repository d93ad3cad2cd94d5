//! Accepts connections, a bounded number each turn. No error stops a listener.

use std::io;
use std::net::SocketAddr;

use log::{debug, warn};

use super::transport::Transport;
use super::{Engine, Network};
use crate::limits::{
    ACCEPT_FAILURES_MAX, ACCEPT_LEAVES_WORK, ACCEPT_LOG_QUIET_MS, ACCEPT_RETRY_MS, ACCEPT_WORK,
    CONNECTIONS_KEPT_ONE_IN, LINGERING_REFUSED_MAX, TURN_ACCEPTS_MAX, TURN_ACCEPTS_MIN,
};
use crate::message::{CloseReason, Peer, Refusal, Reply};
use crate::service::Handler;
use crate::session::Session;
use crate::time::Moment;
use crate::time::rate_limit::RateLimit;
use crate::wire::output::Output;
use crate::wire::{Codec, Protocol};

/// A listening socket with its readiness.
pub(super) struct Listener<L> {
    socket: L,
    protocol: Protocol,
    /// Whether a connection may be acceptable: set by an event, cleared by `WouldBlock`.
    pub(super) pending: bool,
    /// When to retry, after accepting has failed.
    pub(super) retry_at: Option<Moment>,
    warnings: RateLimit,
}

impl<L> Listener<L> {
    pub(super) fn new(socket: L, protocol: Protocol) -> Self {
        Listener {
            socket,
            protocol,
            // A connection may have arrived before the socket was watched.
            pending: true,
            retry_at: None,
            warnings: RateLimit::new(ACCEPT_LOG_QUIET_MS),
        }
    }

    pub(super) fn into_socket(self) -> L {
        self.socket
    }

    pub(super) fn can_accept(&self) -> bool {
        self.pending && self.retry_at.is_none()
    }

    /// Schedules a retry. Either one connection has failed, or the process or host is out of
    /// descriptors or memory (accept(2)), and no event tells when that is over.
    fn back_off(&mut self, error: &io::Error, now: Moment) {
        self.retry_at = Some(now.plus_millis(ACCEPT_RETRY_MS));
        if let Some(suppressed) = self.warnings.pass(now) {
            warn!(
                "cannot accept connections: {error}; trying again every {ACCEPT_RETRY_MS} ms\
                 {suppressed}"
            );
        }
    }
}

/// How many connections may be without a token where the service requires one. The others are kept
/// for those that have shown theirs; a single place serves both.
fn strangers_max(connections_max: usize) -> usize {
    let kept = (connections_max / CONNECTIONS_KEPT_ONE_IN).max(1);
    (connections_max - kept).max(1)
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
        for accepted in 0..TURN_ACCEPTS_MAX {
            let is_enough = self.handler.work().left() < ACCEPT_LEAVES_WORK;
            if is_enough && accepted >= TURN_ACCEPTS_MIN {
                return;
            }
            match network.accept(&mut listener.socket) {
                Ok((stream, address)) => {
                    failures = 0;
                    self.admit(network, stream, address, &listener.protocol, now);
                    self.handler.work().spend(ACCEPT_WORK);
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

    fn admit(
        &mut self,
        network: &mut N,
        mut stream: N::Stream,
        address: SocketAddr,
        protocol: &Protocol,
        now: Moment,
    ) {
        const REFUSAL: Refusal = Refusal::TooManyConnections;
        let lingering = self.sessions.refused_lingering();
        let connections_max = self.settings.connections_max;
        let requires_token = self.handler.requires_token() && protocol.has_tokens();
        let refused = self.sessions.len() - lingering >= connections_max
            || requires_token && self.sessions.strangers() >= strangers_max(connections_max);
        if refused {
            self.counters.refused += 1;
            debug!("{address}: refused: {REFUSAL}");
            if lingering == LINGERING_REFUSED_MAX {
                let mut line = Output::default();
                Codec::new(protocol).encode(&Reply::Refused(REFUSAL), &mut line);
                // If the write fails, the peer still sees the close.
                let _ = network.write(&mut stream, line.front());
                network.close(stream);
                self.counters.closed.add(CloseReason::TooMany);
                return;
            }
        }
        let key = self.sessions.vacant_key();
        if let Err(error) = network.watch(&mut stream, key) {
            warn!("{address}: cannot watch the connection: {error}");
            network.close(stream);
            self.counters.closed.add(CloseReason::Failed);
            return;
        }
        let mut peer = Peer::new(key, address);
        if !peer.is_local {
            let local = network.local_ip(&stream);
            peer.is_local = local.is_some_and(|ip| ip == peer.ip() || ip.is_loopback());
        }
        let session = if refused {
            Session::refused(peer, protocol, REFUSAL, now)
        } else {
            let mut session = Session::new(peer, protocol, now);
            if requires_token {
                session.require_token();
            }
            session
        };
        self.sessions.add(Transport::accepted(stream), session);
    }
}
