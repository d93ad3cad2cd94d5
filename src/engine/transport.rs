//! The layer between a socket and the session or link that uses it, with the socket's readiness.
//! It passes plain bytes today; encryption belongs here.
//!
//! Readiness is edge-triggered: an event sets a flag, and only the result of a read or write clears
//! it. As long as it is set, a caller that stopped early must continue without an event.

use std::io;

use super::{Network, Readiness};

/// A socket with its readiness.
pub(super) struct Transport<T> {
    stream: T,
    /// A read may be possible.
    readable: bool,
    /// A write may be possible.
    writable: bool,
    /// The end of input or an error follows the readable bytes.
    ended: bool,
}

/// The result of a read.
pub(super) enum Read {
    Bytes(usize),
    End,
    Nothing,
    Failed(io::Error),
}

impl<T> Transport<T> {
    /// An accepted stream. It is read at once, because often the first request has already arrived.
    pub(super) fn accepted(stream: T) -> Self {
        Transport {
            stream,
            readable: true,
            writable: true,
            ended: false,
        }
    }

    /// A connecting stream: an event tells when that is over.
    pub(super) fn connecting(stream: T) -> Self {
        Transport {
            stream,
            readable: false,
            writable: false,
            ended: false,
        }
    }

    /// Handles an event of the socket.
    pub(super) fn on_event(&mut self, readiness: Readiness) {
        let Readiness {
            readable,
            writable,
            ended,
        } = readiness;
        self.readable |= readable || ended;
        self.writable |= writable;
        self.ended |= ended;
    }

    /// Makes the next read try the socket, even without an event.
    pub(super) fn expect_input(&mut self) {
        self.readable = true;
    }

    /// Allows no write before the next event.
    pub(super) fn expect_writable(&mut self) {
        self.writable = false;
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the end of input or an error follows the readable bytes.
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
                    // A short read means that the socket is empty and more input causes an event
                    // (epoll(7)), unless the end of input was reported already.
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

    /// Writes as many bytes as the socket accepts.
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
