//! The engine's interface to a network. The server room implements it with mio; a simulator can
//! implement it with queues.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Non-blocking sockets whose readiness is reported once per change (edge-triggered): after
/// [`io::ErrorKind::WouldBlock`], or a read or write that moved fewer bytes than asked, the engine
/// waits for an [`Event`].
pub trait Network {
    /// A listening socket.
    type Listener;
    /// One end of a connection.
    type Stream;
    /// A datagram socket.
    type Datagram;

    /// Accepts the next connection; returns it with its peer's address.
    ///
    /// # Errors
    /// `WouldBlock` when there is none. Any other error concerns one connection or a lack of
    /// resources, and the listener stays usable.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// The address of this host that the stream's peer has connected to, if it can be told.
    fn local_ip(&self, stream: &Self::Stream) -> Option<IpAddr>;

    /// Starts to report the readiness of `stream` as events of the session `key`.
    ///
    /// # Errors
    /// When the stream cannot be watched; the engine then closes the connection.
    fn watch(&mut self, stream: &mut Self::Stream, key: usize) -> io::Result<()>;

    /// Begins to connect to `address`, and to report the readiness of the stream as events of the link
    /// with this number.
    ///
    /// # Errors
    /// When connecting fails at once.
    fn connect(&mut self, address: SocketAddr, link: usize) -> io::Result<Self::Stream>;

    /// Whether a connecting stream is connected; the engine calls this when it becomes writable.
    ///
    /// # Errors
    /// Why connecting failed.
    fn connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// Makes `stream` fail within `time` after its peer's host has silently died, as long as everything
    /// written is acknowledged. Lifts the time limit of what is not: from now on
    /// [`unacknowledged`](Self::unacknowledged) tells a peer that reads slowly from one that is gone.
    fn guard(&mut self, stream: &mut Self::Stream, time: Duration);

    /// Sets the time limit again that [`guard`](Self::guard) has lifted.
    fn release(&mut self, stream: &mut Self::Stream);

    /// What is known of the peer while written bytes wait for its acknowledgement; `None` when none wait,
    /// or nothing is known.
    fn unacknowledged(&mut self, stream: &mut Self::Stream) -> Option<Unacknowledged>;

    /// Reads the bytes that have arrived; 0 is the end of input.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived, or the connection's failure.
    fn read(&mut self, stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as many bytes as the socket accepts.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or the connection's failure.
    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Shuts down the write side: the peer reads all written bytes and then the end of input.
    fn shut(&mut self, stream: &mut Self::Stream);

    /// Closes the connection: the peer can still read what was written, and then the end of input. Only
    /// events that were already taken may follow.
    fn close(&mut self, stream: Self::Stream);

    /// Gives the connection up: nothing of what was written is kept, and the peer sees a reset. Only
    /// events that were already taken may follow.
    fn reset(&mut self, stream: Self::Stream);

    /// Closes a listener.
    fn close_listener(&mut self, listener: Self::Listener);

    /// Receives a datagram; returns its length and its sender. Bytes that do not fit into `buffer` are
    /// cut off.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; any other error concerns one datagram.
    fn receive(
        &mut self,
        socket: &mut Self::Datagram,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)>;

    /// Sends a datagram.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or the failure of this datagram. It is not sent.
    fn send(&mut self, socket: &mut Self::Datagram, bytes: &[u8], to: SocketAddr)
    -> io::Result<()>;

    /// Closes a datagram socket.
    fn close_datagram(&mut self, socket: Self::Datagram);
}

/// A peer that has not acknowledged everything that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unacknowledged {
    /// How long ago its host last acknowledged anything.
    pub silent_for: Duration,
    /// Whether its host was sent something since that it has not acknowledged yet: bytes, or a probe of its
    /// closed window.
    pub unanswered: bool,
}

/// A socket where an operation may be possible that was not possible before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The listener with this number may have a connection to accept.
    Accept(usize),
    /// The datagram socket with this number may have a datagram to receive.
    Datagram(usize),
    /// The link with this number, given to [`Network::connect`].
    Link(usize, Readiness),
    /// The session with this key, given to [`Network::watch`].
    Session(usize, Readiness),
}

/// The operations that may be possible on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read may return bytes, the end of input or an error.
    pub readable: bool,
    /// A write may accept bytes or return an error.
    pub writable: bool,
    /// The peer has ended its input or the connection has failed: the engine reads until a read
    /// reports it, even after a read that returned fewer bytes than asked.
    pub ended: bool,
}
