//! What lies between a socket and the session or link that uses it, and what is known of its
//! readiness. Plain bytes today; a layer that encrypts belongs here.
//!
//! Readiness is edge-triggered: a flag is set by an event, and cleared only by what a read or write
//! says. As long as it is set, whoever stopped early must go on without an event.

use std::io;

use super::{Network, Readiness};

/// A socket with its readiness.
pub(super) struct Transport<T> {
    stream: T,
    /// Something may be read.
    readable: bool,
    /// Something may be written.
    writable: bool,
    /// The end of input or an error is waiting behind what can be read.
    ended: bool,
}

/// What a read brought.
pub(super) enum Read {
    Bytes(usize),
    End,
    Nothing,
    Failed(io::Error),
}

impl<T> Transport<T> {
    /// A stream that was accepted. It is tried at once: often the first request has come with it.
    pub(super) fn accepted(stream: T) -> Self {
        Transport {
            stream,
            readable: true,
            writable: true,
            ended: false,
        }
    }

    /// A stream that is being connected: an event tells when that is over.
    pub(super) fn connecting(stream: T) -> Self {
        Transport {
            stream,
            readable: false,
            writable: false,
            ended: false,
        }
    }

    /// Takes what an event says.
    pub(super) fn note(&mut self, readiness: Readiness) {
        let Readiness {
            readable,
            writable,
            ended,
        } = readiness;
        self.readable |= readable || ended;
        self.writable |= writable;
        self.ended |= ended;
    }

    /// Lets the next read find out what there is, whatever was known before.
    pub(super) fn expect_input(&mut self) {
        self.readable = true;
    }

    /// Nothing can be written before the next event says so.
    pub(super) fn expect_writable(&mut self) {
        self.writable = false;
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the end of input or an error is waiting.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn stream(&mut self) -> &mut T {
        &mut self.stream
    }

    pub(super) fn into_stream(self) -> T {
        self.stream
    }

    /// Reads into `buffer`, which has room.
    pub(super) fn read<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        buffer: &mut [u8],
    ) -> Read {
        if !self.readable {
            return Read::Nothing;
        }
        loop {
            return match network.read(&mut self.stream, buffer) {
                Ok(0) => Read::End,
                Ok(n) => {
                    // Fewer bytes than asked: the socket is empty, and what comes next is an edge
                    // (epoll(7)), unless the end has been told already.
                    self.readable = n == buffer.len() || self.ended;
                    Read::Bytes(n)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Read::Nothing
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Read::Failed(error),
            };
        }
    }

    /// Writes what the peer has room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or the connection's failure.
    pub(super) fn write<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let result = network.write(&mut self.stream, bytes);
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if result.as_ref().is_err_and(is_full) {
            self.writable = false;
        }
        result
    }
}
