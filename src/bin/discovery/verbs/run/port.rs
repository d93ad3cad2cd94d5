//! Checks whether the port of a command accepts connections, without ever blocking.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// How long one attempt to connect may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);
/// Pause between two rounds over the addresses.
const INTERVAL: Duration = Duration::from_millis(50);
/// The same pause after the port has become late.
const INTERVAL_LATE: Duration = Duration::from_secs(1);

/// Tries to connect to the addresses of a port in turn.
pub(super) struct Probe {
    addresses: Vec<SocketAddr>,
    token: Token,
    /// Index of the address that is tried now, or next.
    current: usize,
    /// The attempt in progress.
    attempt: Option<TcpStream>,
    /// When `attempt` times out, or the next one begins.
    until: Instant,
    /// When the port becomes late; `None` after that was reported.
    late_at: Option<Instant>,
}

impl Probe {
    /// Tries `addresses`, at least one, from `begin` on. Events of its connections carry `token`.
    /// The port is late when no address has accepted within `patience`.
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        token: Token,
        patience: Duration,
        begin: Instant,
    ) -> Self {
        Probe {
            addresses,
            token,
            current: 0,
            attempt: None,
            until: begin,
            late_at: Some(begin + patience),
        }
    }

    /// The addresses that are tried.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// When to call [`answers`](Self::answers) again even without an event.
    pub(super) fn deadline(&self) -> Instant {
        self.late_at
            .map_or(self.until, |late_at| late_at.min(self.until))
    }

    /// Whether the port has become late; true once.
    pub(super) fn is_late(&mut self, now: Instant) -> bool {
        self.late_at.take_if(|late_at| *late_at <= now).is_some()
    }

    /// Continues; returns whether the port accepts connections.
    pub(super) fn answers(&mut self, registry: &Registry, now: Instant) -> bool {
        loop {
            match &self.attempt {
                Some(stream) => match is_connected(stream) {
                    Ok(true) => return true,
                    Ok(false) if now < self.until => return false,
                    Ok(false) | Err(_) => self.give_up(now),
                },
                None if now < self.until => return false,
                None => match self.connect(registry) {
                    Ok(stream) => {
                        self.attempt = Some(stream);
                        self.until = now + ATTEMPT_MAX;
                    }
                    Err(_) => self.give_up(now),
                },
            }
        }
    }

    fn connect(&self, registry: &Registry) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.addresses[self.current])?;
        registry.register(&mut stream, self.token, Interest::WRITABLE)?;
        Ok(stream)
    }

    fn give_up(&mut self, now: Instant) {
        if let Some(attempt) = self.attempt.take() {
            // Reset it: after an orderly close, a connection with itself would occupy the port for
            // a while, and the command could not bind it (RFC 9293, 3.6.1).
            let _ = SockRef::from(&attempt).set_linger(Some(Duration::ZERO));
        }
        self.current = (self.current + 1) % self.addresses.len();
        let interval = if self.late_at.is_some() {
            INTERVAL
        } else {
            INTERVAL_LATE
        };
        self.until = if self.current == 0 {
            now + interval
        } else {
            now
        };
    }
}

/// Whether a connection is established, checked as the documentation of mio's `TcpStream::connect`
/// says.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // A local port that nobody listens on can be connected with itself (RFC 9293, 3.5).
        Ok(peer) if stream.local_addr()? == peer => Err(ErrorKind::ConnectionRefused.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::Ipv4Addr;

    #[test]
    fn a_connection_with_itself_is_no_answer_and_leaves_the_port_free() {
        let bound = |port| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket
                .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
                .map(|()| socket)
        };
        let socket = bound(0).expect("a free port");
        let own = socket.local_addr().expect("an address");
        socket.connect(&own).expect("TCP does so");
        socket.set_nonblocking(true).expect("as mio's are");
        let stream = TcpStream::from_std(socket.into());
        assert_eq!(
            is_connected(&stream).map_err(|error| error.kind()),
            Err(ErrorKind::ConnectionRefused)
        );
        let own = own.as_socket().expect("an IP address");
        let mut probe = Probe::new(vec![own], Token(0), Duration::ZERO, Instant::now());
        probe.attempt = Some(stream);
        probe.give_up(Instant::now());
        bound(own.port()).expect("the command can have it");
    }
}
