//! Datagram sockets: each datagram contains one request, and gets one datagram or nothing as its
//! answer. The service keeps no state about peers of datagrams.

use std::io;
use std::net::SocketAddr;

use log::debug;

use super::Network;
use crate::limits::TURN_DATAGRAMS_MAX;
use crate::message::{Outcome, Peer, Refusal, Reply, Responder};
use crate::session::Scratch;
use crate::wire::output::Output;
use crate::wire::{Codec, Decoded, Protocol};

/// Counts of datagrams since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams answered.
    pub answered: u64,
    /// Datagrams whose answer was dropped because the socket's send buffer was full.
    pub dropped: u64,
}

/// A datagram socket with its readiness.
pub(super) struct DatagramSocket<D> {
    socket: D,
    protocol: Protocol,
    /// Whether a datagram may be receivable: set by an event, cleared by `WouldBlock`.
    pending: bool,
    /// A datagram whose request is to be tried again in the next turn, before any other.
    retry: Option<(SocketAddr, Box<[u8]>)>,
    pub(super) counts: DatagramCounts,
}

impl<D> DatagramSocket<D> {
    pub(super) fn new(socket: D, protocol: Protocol) -> Self {
        DatagramSocket {
            socket,
            protocol,
            // A datagram may have arrived before the socket was watched.
            pending: true,
            retry: None,
            counts: DatagramCounts::default(),
        }
    }

    /// Handles an event of the socket.
    pub(super) fn on_event(&mut self) {
        self.pending = true;
    }

    pub(super) fn has_backlog(&self) -> bool {
        self.pending
    }

    pub(super) fn into_socket(self) -> D {
        self.socket
    }

    /// Answers the datagrams that have arrived, within the budget of a turn.
    pub(super) fn serve<N: Network<Datagram = D>>(
        &mut self,
        network: &mut N,
        responder: &mut impl Responder,
        scratch: &mut Scratch,
    ) {
        if let Some((from, request)) = self.retry.take()
            && !self.answer(network, responder, from, &request)
        {
            return;
        }
        for _ in 0..TURN_DATAGRAMS_MAX {
            if !self.pending {
                return;
            }
            let buffer = scratch.sink();
            match network.receive(&mut self.socket, buffer) {
                Ok((len, from)) => {
                    self.counts.received += 1;
                    // A datagram that fills the buffer may have been cut off.
                    let whole = len < buffer.len();
                    if whole && !self.answer(network, responder, from, &buffer[..len]) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.pending = false,
                // This concerns one datagram, such as an answer to a port without a listener.
                Err(error) => debug!("cannot receive a datagram: {error}"),
            }
        }
    }

    /// Answers one datagram; `false` when it must be tried again in the next turn.
    fn answer<N: Network<Datagram = D>>(
        &mut self,
        network: &mut N,
        responder: &mut impl Responder,
        from: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let mut codec = Codec::new(&self.protocol);
        let step = codec.decode(datagram);
        let decoded = match step.decoded {
            // The datagram may be a line without a line end.
            Decoded::Incomplete => codec.finish(&datagram[step.consumed..]),
            decoded => decoded,
        };
        let peer = &mut Peer::without_session(from);
        let outcome = match decoded {
            // Nobody sends the rest of a datagram.
            Decoded::Incomplete | Decoded::Continue => return true,
            Decoded::Refused(refusal) | Decoded::Denied(_, refusal) => {
                Outcome::Done(responder.refuse(refusal, peer))
            }
            Decoded::Command(command) if command.request.needs_session() => {
                let refusal = Refusal::NeedsSession(command.request.verb());
                Outcome::Done(responder.refuse(refusal, peer))
            }
            Decoded::Command(command) => command.run(responder, peer),
        };
        match outcome {
            Outcome::Done(reply) => {
                self.send(network, from, &mut codec, &reply);
                true
            }
            // There is no session to deliver to; the peer must ask again.
            Outcome::Parked { .. } | Outcome::Blocked { .. } | Outcome::Parts => true,
            Outcome::Retry => {
                self.retry = Some((from, datagram.into()));
                false
            }
        }
    }

    fn send<N: Network<Datagram = D>>(
        &mut self,
        network: &mut N,
        to: SocketAddr,
        codec: &mut Codec,
        reply: &Reply,
    ) {
        let mut output = Output::default();
        codec.encode(reply, &mut output);
        let mut answer = Vec::with_capacity(output.len());
        while !output.is_empty() {
            let front = output.front();
            answer.extend_from_slice(front);
            output.advance(front.len());
        }
        if answer.is_empty() {
            return;
        }
        match network.send(&mut self.socket, &answer, to) {
            Ok(()) => self.counts.answered += 1,
            Err(error) => {
                self.counts.dropped += 1;
                debug!("{to}: cannot answer a datagram: {error}");
            }
        }
    }
}
