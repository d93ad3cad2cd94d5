//! The engine's network, made of mio's sockets.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Event as MioEvent;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::listen::{self, bind_datagram};
use super::options::{bound, guard, release, unacknowledged};
use crate::engine::{Event, Network, Readiness, Unacknowledged};

/// The token of signals.
pub(super) const SIGNALS: Token = Token(usize::MAX);

/// The token by which other threads wake the loop.
pub(super) const WAKE: Token = Token(usize::MAX - 1);

/// The upper bits of a token are the kind of socket, the lower bits its number or key.
const KIND_SHIFT: u32 = usize::BITS - 3;
const SESSION: usize = 0;
const LISTENER: usize = 1;
const DATAGRAM: usize = 2;
const LINK: usize = 3;

fn token(kind: usize, number: usize) -> Token {
    debug_assert!(number < 1 << KIND_SHIFT);
    Token(kind << KIND_SHIFT | number)
}

/// Both interests for the life of the socket: with edge-triggered events, an interest in writing
/// costs nothing until a write has found no room.
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

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

    /// Opens the listener with this number; returns it and its real address.
    pub(super) fn listen(
        &mut self,
        address: SocketAddr,
        number: usize,
    ) -> io::Result<(TcpListener, SocketAddr)> {
        self.add(listen::listen(address)?, number)
    }

    /// Takes a listener that another process has opened.
    pub(super) fn adopt(
        &mut self,
        listener: std::net::TcpListener,
        number: usize,
    ) -> io::Result<(TcpListener, SocketAddr)> {
        self.add(listen::adopt(listener)?, number)
    }

    fn add(
        &mut self,
        mut listener: TcpListener,
        number: usize,
    ) -> io::Result<(TcpListener, SocketAddr)> {
        self.registry
            .register(&mut listener, token(LISTENER, number), Interest::READABLE)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// Opens the datagram socket with this number; returns it and its real address.
    pub(super) fn bind_datagram(
        &mut self,
        address: SocketAddr,
        number: usize,
    ) -> io::Result<(UdpSocket, SocketAddr)> {
        let mut socket = bind_datagram(address)?;
        self.registry
            .register(&mut socket, token(DATAGRAM, number), Interest::READABLE)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    }
}

/// The engine's event for an event of mio; `None` for a signal, and where another thread woke the loop.
pub(super) fn to_event(event: &MioEvent) -> Option<Event> {
    let Token(token) = event.token();
    let number = token & ((1 << KIND_SHIFT) - 1);
    let failed = event.is_error();
    let readiness = Readiness {
        readable: event.is_readable() || failed,
        writable: event.is_writable() || event.is_write_closed() || failed,
        ended: event.is_read_closed() || failed,
    };
    match token >> KIND_SHIFT {
        SESSION => Some(Event::Session(number, readiness)),
        LISTENER => Some(Event::Accept(number)),
        DATAGRAM => Some(Event::Datagram(number)),
        LINK => Some(Event::Link(number, readiness)),
        _ => None,
    }
}

impl Network for MioNetwork {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Datagram = UdpSocket;

    fn accept(&mut self, listener: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept()
    }

    fn local_ip(&self, stream: &TcpStream) -> Option<IpAddr> {
        // A dual-stack listener has IPv4 clients at mapped addresses.
        let ip = stream.local_addr().ok()?.ip().to_canonical();
        Some(ip)
    }

    fn watch(&mut self, stream: &mut TcpStream, key: usize) -> io::Result<()> {
        self.registry.register(stream, token(SESSION, key), BOTH)
    }

    fn connect(&mut self, address: SocketAddr, link: usize) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        // Data is written whole, so delaying small segments gains nothing.
        stream.set_nodelay(true)?;
        bound(&SockRef::from(&stream))?;
        self.registry
            .register(&mut stream, token(LINK, link), BOTH)?;
        Ok(stream)
    }

    fn connected(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn guard(&mut self, stream: &mut TcpStream, time: Duration) {
        // If this fails, the options inherited from the listener still detect it, only later.
        let _ = guard(stream, time);
    }

    fn release(&mut self, stream: &mut TcpStream) {
        // If this fails, TCP's own limits end the connection, only later.
        let _ = release(stream);
    }

    fn unacknowledged(&mut self, stream: &mut TcpStream) -> Option<Unacknowledged> {
        unacknowledged(stream)
    }

    fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        stream.write(bytes)
    }

    fn shut(&mut self, stream: &mut TcpStream) {
        // This fails only when the connection is already broken.
        let _ = stream.shutdown(Shutdown::Write);
    }

    fn close(&mut self, stream: TcpStream) {
        // Closing the only descriptor of a socket removes it from the poll (epoll(7)).
        drop(stream);
    }

    fn reset(&mut self, stream: TcpStream) {
        // If this fails, the connection is closed, and the kernel goes on with what was written.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        drop(stream);
    }

    fn close_listener(&mut self, mut listener: TcpListener) {
        let _ = self.registry.deregister(&mut listener);
    }

    fn receive(
        &mut self,
        socket: &mut UdpSocket,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buffer)
    }

    fn send(&mut self, socket: &mut UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        socket.send_to(bytes, to).map(|_| ())
    }

    fn close_datagram(&mut self, mut socket: UdpSocket) {
        let _ = self.registry.deregister(&mut socket);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use mio::{Events, Poll};

    use super::*;
    use crate::engine::{Engine, Reading, Settings, Sockets};
    use crate::message::{
        Change, LinkCommand, LinkEnd, LinkEvent, Outcome, Peer, Refusal, Reply, Request, Responder,
        Work,
    };
    use crate::service::{Deliver, Handler, Turn};
    use crate::wire::Protocol;

    /// Answers every request, and opens links.
    #[derive(Default)]
    struct Dialer {
        commands: Vec<LinkCommand>,
        told: Vec<String>,
        work: Work,
    }

    impl Responder for Dialer {
        fn apply(&mut self, _: &Request<'_>, _: &mut Peer) -> Outcome {
            Outcome::Done(Reply::Pong)
        }
        fn refuse(&mut self, refusal: Refusal, _: &Peer) -> Reply {
            Reply::Refused(refusal)
        }
    }

    impl Handler for Dialer {
        fn work(&mut self) -> &mut Work {
            &mut self.work
        }
        fn begin_turn(&mut self, _: Turn) {
            self.work = Work::default();
        }
        fn expire(&mut self, _: &mut Peer) -> Reply {
            Reply::NotFound
        }
        fn wants_part(&mut self, _: usize) {}
        fn wants_keepalive(&mut self, _: usize) {}
        fn leave(&mut self, _: &mut Peer) {}
        fn end_turn(&mut self, _: usize, _: &mut Deliver<'_>) {}
        fn changes(&self) -> &[Change] {
            &[]
        }
        fn next_link_command(&mut self) -> Option<LinkCommand> {
            self.commands.pop()
        }
        fn link_event(&mut self, link: usize, event: LinkEvent<'_>) {
            self.told.push(match event {
                LinkEvent::Opened => format!("{link} opened"),
                LinkEvent::Received(bytes) => {
                    format!("{link} received {}", String::from_utf8_lossy(bytes))
                }
                LinkEvent::Sent => format!("{link} sent"),
                LinkEvent::Closed(LinkEnd::Ended) => format!("{link} ended"),
                LinkEvent::Closed(LinkEnd::TimedOut) => format!("{link} timed out"),
                LinkEvent::Closed(LinkEnd::Failed(error)) => format!("{link} {:?}", error.kind()),
            });
        }
        fn has_backlog(&self) -> bool {
            !self.commands.is_empty()
        }
        fn needs_ticks(&self) -> bool {
            false
        }
    }

    struct Loop {
        poll: Poll,
        network: MioNetwork,
        engine: Engine<MioNetwork, Dialer>,
        start: Instant,
        wait: Option<Duration>,
    }

    impl Loop {
        fn new(datagram: Option<UdpSocket>) -> Self {
            let poll = Poll::new().unwrap();
            let network = MioNetwork::new(poll.registry()).unwrap();
            let settings = Settings {
                connections_max: 10,
                idle_ms_max: None,
                tick: Duration::from_secs(1),
                ttl: Duration::from_secs(30),
            };
            let register = |mut socket| {
                let token = token(DATAGRAM, 0);
                let registry = &network.registry;
                registry.register(&mut socket, token, Interest::READABLE)?;
                io::Result::Ok((socket, Protocol::Registry))
            };
            let sockets = Sockets {
                listeners: Vec::new(),
                datagrams: datagram.into_iter().map(|s| register(s).unwrap()).collect(),
            };
            Loop {
                engine: Engine::new(settings, Dialer::default(), sockets, Duration::ZERO),
                poll,
                network,
                start: Instant::now(),
                wait: Some(Duration::ZERO),
            }
        }

        /// Takes turns until `done`; panics when that takes too long.
        fn until(&mut self, mut done: impl FnMut(&mut Dialer) -> bool) {
            let mut events = Events::with_capacity(16);
            while !done(self.engine.handler_mut()) {
                assert!(
                    self.start.elapsed() < Duration::from_secs(20),
                    "the condition was not met in time"
                );
                let patience = Duration::from_millis(20);
                let wait = self.wait.map_or(patience, |wait| wait.min(patience));
                self.poll.poll(&mut events, Some(wait)).unwrap();
                let reading = Reading {
                    monotonic: self.start.elapsed(),
                    ..Reading::default()
                };
                let events = events.iter().filter_map(to_event);
                let turned = self.engine.turn(&mut self.network, events, false, reading);
                self.wait = turned.wait;
            }
        }
    }

    #[test]
    fn a_datagram_is_answered_from_the_socket_that_it_came_to() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let client = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.set_nonblocking(true).unwrap();
        client.connect(address).unwrap();
        client.send(b"ping").unwrap();
        let mut buffer = [0; 16];
        let mut answer = Err(io::ErrorKind::WouldBlock.into());
        Loop::new(Some(socket)).until(|_| {
            answer = client.recv(&mut buffer);
            answer.is_ok()
        });
        assert_eq!(&buffer[..answer.unwrap()], b"PONG\n");
    }

    #[test]
    fn a_link_is_connected_to_what_listens_and_refused_where_nobody_does() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let nobody = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let refused = nobody.local_addr().unwrap();
        drop(nobody);
        let mut turns = Loop::new(None);
        let open = |link, address| LinkCommand::Open {
            link,
            address,
            within_ms: 10_000,
        };
        let dialer = turns.engine.handler_mut();
        dialer.commands = vec![open(2, refused), open(1, address)];
        turns.until(|dialer| dialer.told.len() == 2);
        let told = &mut turns.engine.handler_mut().told;
        told.sort();
        assert_eq!(*told, ["1 opened", "2 ConnectionRefused"]);
        told.clear();

        let (mut other_end, _) = listener.accept().unwrap();
        let bytes = b"question".to_vec();
        let dialer = turns.engine.handler_mut();
        dialer.commands.push(LinkCommand::Send { link: 1, bytes });
        turns.until(|dialer| !dialer.told.is_empty());
        let mut question = [0; 8];
        other_end.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"question");
        other_end.write_all(b"answer").unwrap();
        drop(other_end);
        turns.until(|dialer| dialer.told.last().is_some_and(|told| told == "1 ended"));
        let told = &turns.engine.handler_mut().told;
        assert_eq!(*told, ["1 sent", "1 received answer", "1 ended"]);
    }
}
