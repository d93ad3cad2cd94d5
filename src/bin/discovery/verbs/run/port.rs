//! Whether the port of a command accepts connections: tried again and again, never waited for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// How long a connection may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);
/// How long after the last address the first is tried again.
const INTERVAL: Duration = Duration::from_millis(50);
/// The same once the port has not answered for so long as it may.
const INTERVAL_LATE: Duration = Duration::from_secs(1);

/// Tries the addresses of a port in turn.
pub(super) struct Probe {
    addresses: Vec<SocketAddr>,
    token: Token,
    /// The index of the address that is tried now, or next.
    current: usize,
    /// The connection that is being made.
    attempt: Option<TcpStream>,
    /// When `attempt` is given up, or the next is made.
    until: Instant,
    /// When the port is late; `None` once that was said.
    late_at: Option<Instant>,
}

impl Probe {
    /// Of `addresses`, of which there is at least one, from `begin` on; what happens to a connection is an
    /// event with `token`. The port is late when none has answered for `patience`.
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

    /// Where it is tried.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// When to look again though nothing has happened.
    pub(super) fn deadline(&self) -> Instant {
        self.late_at
            .map_or(self.until, |late_at| late_at.min(self.until))
    }

    /// Whether the port has become late; said once.
    pub(super) fn is_late(&mut self, now: Instant) -> bool {
        self.late_at.take_if(|late_at| *late_at <= now).is_some()
    }

    /// Goes on trying; returns whether the port answers.
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
            // Reset: a connection with itself would keep the port for a while after an orderly close, and the
            // command could not have it (RFC 9293, 3.6.1).
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

/// Whether a connection has been made, as the documentation of mio's `TcpStream::connect` says.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // TCP can connect a port of this host with itself while nobody listens on it (RFC 9293, 3.5).
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
