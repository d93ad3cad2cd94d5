//! Sockets that receive datagrams: each holds one request, and is answered with one datagram or with
//! silence. Nothing is kept of a peer.

use std::io;
use std::net::SocketAddr;

use log::debug;

use super::Network;
use crate::limits::TURN_DATAGRAMS_MAX;
use crate::message::{Outcome, Peer, Refusal, Reply, Responder};
use crate::session::Scratch;
use crate::wire::output::Output;
use crate::wire::{Codec, Decoded, Protocol};

/// Datagrams since the start, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Those that were received.
    pub received: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those whose answer was dropped, because the socket had no room for it.
    pub dropped: u64,
}

/// A socket that receives datagrams, and what is known of it.
pub(super) struct DatagramSocket<D> {
    socket: D,
    protocol: Protocol,
    /// Whether a datagram may wait: set by an event, cleared by `WouldBlock`.
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
            // A datagram may have come before the socket was watched.
            pending: true,
            retry: None,
            counts: DatagramCounts::default(),
        }
    }

    /// Takes the word of an event.
    pub(super) fn note(&mut self) {
        self.pending = true;
    }

    pub(super) fn has_backlog(&self) -> bool {
        self.pending
    }

    pub(super) fn into_socket(self) -> D {
        self.socket
    }

    /// Answers what has arrived, within the budget of a turn.
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
                    // One that fills the buffer may have been cut off.
                    let whole = len < buffer.len();
                    if whole && !self.answer(network, responder, from, &buffer[..len]) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.pending = false,
                // The fault of one datagram, such as an answer to a port that nobody listens on.
                Err(error) => debug!("cannot receive a datagram: {error}"),
            }
        }
    }

    /// Answers one datagram; `false` when that has to wait for the next turn.
    fn answer<N: Network<Datagram = D>>(
        &mut self,
        network: &mut N,
        responder: &mut impl Responder,
        from: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let mut codec = Codec::new(self.protocol);
        let step = codec.decode(datagram);
        let decoded = match step.decoded {
            // A line may stand there without its end.
            Decoded::Incomplete => codec.finish(&datagram[step.consumed..]),
            decoded => decoded,
        };
        let peer = &mut Peer::without_session(from);
        let outcome = match decoded {
            Decoded::Incomplete => return true,
            Decoded::Refused(refusal) => Outcome::Done(responder.refuse(refusal, peer)),
            Decoded::Command(command) if command.request.needs_session() => {
                let refusal = Refusal::NeedsSession(command.request.verb());
                Outcome::Done(responder.refuse(refusal, peer))
            }
            Decoded::Command(command) => command.run(responder, peer),
        };
        match outcome {
            Outcome::Done(reply) => {
                self.send(network, from, &codec, &reply);
                true
            }
            // Whoever asks by datagram asks again.
            Outcome::Parked { .. } => true,
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
        codec: &Codec,
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
