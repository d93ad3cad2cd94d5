//! The engine's network, made of mio's sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Event as MioEvent;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::listen::{listen, notice_death_within};
use crate::engine::{Event, Network, Readiness};

/// The token of signals; listeners count down from below it, connections up from 0.
pub(super) const SIGNALS: Token = Token(usize::MAX);

/// Tokens from here on are listeners.
const LISTENERS: usize = usize::MAX / 2;

/// Sockets registered with one poll.
pub(super) struct MioNetwork {
    registry: Registry,
}

impl MioNetwork {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(MioNetwork {
            registry: registry.try_clone()?,
        })
    }

    /// Opens the listener with this number; returns it with its real address.
    pub(super) fn listen(
        &mut self,
        address: SocketAddr,
        number: usize,
    ) -> io::Result<(TcpListener, SocketAddr)> {
        let mut listener = listen(address)?;
        self.registry
            .register(&mut listener, Token(LISTENERS + number), Interest::READABLE)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}

/// What an event of mio means to the engine; `None` for a signal.
pub(super) fn to_event(event: &MioEvent) -> Option<Event> {
    match event.token() {
        SIGNALS => None,
        Token(token) if token >= LISTENERS => Some(Event::Accept(token - LISTENERS)),
        Token(key) => {
            let failed = event.is_error();
            let readiness = Readiness {
                readable: event.is_readable() || failed,
                writable: event.is_writable() || event.is_write_closed() || failed,
                ended: event.is_read_closed() || failed,
            };
            Some(Event::Session(key, readiness))
        }
    }
}

impl Network for MioNetwork {
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn accept(&mut self, listener: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept()
    }

    fn watch(&mut self, stream: &mut TcpStream, key: usize) -> io::Result<()> {
        // Both at once and for good: on an edge, an interest in writing costs nothing until a
        // write has found no room.
        self.registry
            .register(stream, Token(key), Interest::READABLE | Interest::WRITABLE)
    }

    fn guard(&mut self, stream: &mut TcpStream, time: Duration) {
        // Without them the options that it has from its listener find out too, only later.
        let _ = notice_death_within(stream, time);
    }

    fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        stream.write(bytes)
    }

    fn shut(&mut self, stream: &mut TcpStream) {
        // A peer that is gone already needs no end of input.
        let _ = stream.shutdown(Shutdown::Write);
    }

    fn close(&mut self, stream: TcpStream) {
        // Closing the only descriptor of a socket takes it out of the poll (epoll(7)).
        drop(stream);
    }

    fn close_listener(&mut self, mut listener: TcpListener) {
        let _ = self.registry.deregister(&mut listener);
    }
}
