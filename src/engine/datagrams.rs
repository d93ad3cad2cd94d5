//! Datagram sockets: each datagram contains one request, and gets one datagram or nothing as its
//! answer. The service keeps no state about peers of datagrams.

use std::io;
use std::net::SocketAddr;

use log::debug;

use super::Network;
use super::alike::{AlikeLimit, Verdict};
use crate::limits::{DATAGRAM_WORK, REFUSAL_WORK, TURN_DATAGRAMS_MAX, TURN_DATAGRAMS_MIN};
use crate::message::{Outcome, Peer, Refusal, Reply};
use crate::service::Handler;
use crate::session::Scratch;
use crate::time::Moment;
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
    /// Datagrams whose answer was held back, or cut to nothing, because too many were alike.
    pub rate_limited: u64,
}

/// A datagram socket with its readiness.
pub(super) struct DatagramSocket<D> {
    socket: D,
    protocol: Protocol,
    /// Whether a datagram may be receivable: set by an event, cleared by `WouldBlock`.
    pending: bool,
    /// A datagram whose request is to be tried again in the next turn, before any other.
    retry: Option<(SocketAddr, Box<[u8]>)>,
    /// The limit on answers that are alike, where there is one.
    limit: Option<AlikeLimit>,
    pub(super) counts: DatagramCounts,
}

impl<D> DatagramSocket<D> {
    pub(super) fn new(socket: D, protocol: Protocol) -> Self {
        DatagramSocket {
            socket,
            limit: protocol.limits_rate().then(AlikeLimit::default),
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
        handler: &mut impl Handler,
        scratch: &mut Scratch,
        now: Moment,
    ) {
        if let Some((from, request)) = self.retry.take()
            && !self.answer(network, handler, from, &request, now)
        {
            return;
        }
        for count in 0..TURN_DATAGRAMS_MAX {
            let is_enough = count >= TURN_DATAGRAMS_MIN && handler.work().is_over();
            if !self.pending || is_enough {
                return;
            }
            handler.work().spend(DATAGRAM_WORK);
            let buffer = scratch.sink();
            match network.receive(&mut self.socket, buffer) {
                Ok((len, from)) => {
                    self.counts.received += 1;
                    // A datagram that fills the buffer may have been cut off.
                    let is_whole = len < buffer.len();
                    if is_whole
                        && self.protocol.answers_port(from.port())
                        && !self.answer(network, handler, from, &buffer[..len], now)
                    {
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
        handler: &mut impl Handler,
        from: SocketAddr,
        datagram: &[u8],
        now: Moment,
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
                handler.work().spend(REFUSAL_WORK);
                Outcome::Done(handler.refuse(refusal, peer))
            }
            Decoded::Command(command) if command.request.needs_session() => {
                let refusal = Refusal::NeedsSession(command.request.verb());
                Outcome::Done(handler.refuse(refusal, peer))
            }
            Decoded::Command(command) => {
                handler.work().spend(command.request.verb().work());
                command.run(handler, peer)
            }
        };
        match outcome {
            Outcome::Done(reply) => {
                self.send(network, from, &mut codec, &reply, now);
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
        now: Moment,
    ) {
        let mut output = Output::default();
        codec.encode(reply, &mut output);
        if let Some(limit) = &mut self.limit {
            let verdict = limit.judge(now, to.ip(), codec.alike());
            if verdict != Verdict::Send {
                self.counts.rate_limited += 1;
                output = Output::default();
            }
            if verdict == Verdict::Cut {
                codec.encode_cut(&mut output);
            }
        }
        if output.is_empty() {
            return;
        }
        match network.send(&mut self.socket, &output.take(), to) {
            Ok(()) => self.counts.answered += 1,
            Err(error) => {
                self.counts.dropped += 1;
                debug!("{to}: cannot answer a datagram: {error}");
            }
        }
    }
}
