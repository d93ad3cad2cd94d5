//! What the engine needs of a network. The server room implements it with mio; a simulator can
//! implement it with queues.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Non-blocking listeners and streams whose readiness is told once per change (edge-triggered):
/// after [`io::ErrorKind::WouldBlock`] or a read or write that moved fewer bytes than asked, the
/// engine waits for an [`Event`].
pub trait Network {
    /// A socket that accepts.
    type Listener;
    /// One end of a connection.
    type Stream;
    /// A socket that receives datagrams.
    type Datagram;

    /// Takes the next connection and where it comes from.
    ///
    /// # Errors
    /// `WouldBlock` when none waits; anything else is the fault of one connection or a lack of
    /// resources, and the listener goes on.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Starts to tell the readiness of `stream` as events of the session `key`.
    ///
    /// # Errors
    /// When it cannot be watched; the connection is given up.
    fn watch(&mut self, stream: &mut Self::Stream, key: usize) -> io::Result<()>;

    /// Begins to connect to `address`, and to tell the readiness of the stream as events of the link
    /// with this number.
    ///
    /// # Errors
    /// When that fails at once.
    fn connect(&mut self, address: SocketAddr, link: usize) -> io::Result<Self::Stream>;

    /// Whether a stream that is being connected is connected, asked when it has become writable.
    ///
    /// # Errors
    /// Why it could not be connected.
    fn connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// Sees to it that a peer which is gone without a word is noticed within `time`: its stream fails
    /// then.
    fn guard(&mut self, stream: &mut Self::Stream, time: Duration);

    /// Reads what has arrived; 0 is the end of input.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived, or the connection's failure.
    fn read(&mut self, stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what the peer has room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or the connection's failure.
    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Shuts the write side: the peer reads the end of input after what was written.
    fn shut(&mut self, stream: &mut Self::Stream);

    /// Closes the connection; no event of it is told afterwards, but for those already taken.
    fn close(&mut self, stream: Self::Stream);

    /// Closes a listener.
    fn close_listener(&mut self, listener: Self::Listener);

    /// Receives a datagram: its length, and where it comes from. What does not fit into `buffer` is
    /// cut off.
    ///
    /// # Errors
    /// `WouldBlock` when none waits; anything else is the fault of one datagram.
    fn receive(
        &mut self,
        socket: &mut Self::Datagram,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)>;

    /// Sends a datagram.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or what is wrong with this one; it is not sent.
    fn send(&mut self, socket: &mut Self::Datagram, bytes: &[u8], to: SocketAddr)
    -> io::Result<()>;

    /// Closes a socket that receives datagrams.
    fn close_datagram(&mut self, socket: Self::Datagram);
}

/// Where something may be possible now that was not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection may wait at the listener with this number.
    Accept(usize),
    /// A datagram may wait at the socket with this number.
    Datagram(usize),
    /// The link with this number, given to [`Network::connect`].
    Link(usize, Readiness),
    /// The session with this key, given to [`Network::watch`].
    Session(usize, Readiness),
}

/// What may be possible with a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Bytes, the end of input or an error may be read.
    pub readable: bool,
    /// Bytes may be written, or an error found.
    pub writable: bool,
    /// The peer has ended its input or the connection has failed: reading goes on until it says so,
    /// also after a read that got fewer bytes than asked.
    pub ended: bool,
}
