//! Checks whether the port of a command accepts connections, without ever blocking the loop.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

/// How long one attempt to connect may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);
/// Pause between two rounds over the addresses.
const INTERVAL: Duration = Duration::from_millis(50);
/// The same pause after the port has become late.
const INTERVAL_LATE: Duration = Duration::from_secs(1);

/// One attempt to connect.
struct Attempt {
    stream: TcpStream,
    /// When it counts as failed.
    until: Instant,
}

impl Attempt {
    fn start(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::WRITABLE)?;
        Ok(Attempt {
            stream,
            until: now + ATTEMPT_MAX,
        })
    }

    /// Whether the address accepts connections; `None` while that is open.
    fn outcome(&self, now: Instant) -> Option<bool> {
        match is_connected(&self.stream) {
            Ok(true) => Some(true),
            Ok(false) if now < self.until => None,
            Ok(false) | Err(_) => {
                reset(&self.stream);
                Some(false)
            }
        }
    }
}

/// Has a connection reset when it is dropped: after an orderly close, a connection with itself would
/// occupy the port for a while, and the command could not bind it (RFC 9293, 3.6.1).
fn reset<'a>(stream: impl Into<SockRef<'a>>) {
    let _ = stream.into().set_linger(Some(Duration::ZERO));
}

/// Tries to connect to the addresses of a port in turn.
pub(super) struct Probe {
    addresses: Vec<SocketAddr>,
    /// The addresses that somebody else answers at.
    foreign: Vec<SocketAddr>,
    token: Token,
    /// Index of the address that is tried now, or next.
    current: usize,
    /// The attempt in progress.
    attempt: Option<Attempt>,
    /// When the next attempt begins.
    next_at: Instant,
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
            foreign: Vec::new(),
            token,
            current: 0,
            attempt: None,
            next_at: begin,
            late_at: Some(begin + patience),
        }
    }

    /// At these addresses somebody else answers: they do not count until they have refused a
    /// connection.
    pub(super) fn without(mut self, foreign: Vec<SocketAddr>) -> Self {
        self.foreign = foreign;
        self
    }

    /// The addresses that are tried.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses at which somebody else answers.
    pub(super) fn foreign(&self) -> &[SocketAddr] {
        &self.foreign
    }

    /// When to call [`answers`](Self::answers) again even without an event.
    pub(super) fn deadline(&self) -> Instant {
        let attempt = self.attempt.as_ref();
        let next = attempt.map_or(self.next_at, |attempt| attempt.until);
        self.late_at.map_or(next, |late_at| late_at.min(next))
    }

    /// Whether the port has become late; true once.
    pub(super) fn is_late(&mut self, now: Instant) -> bool {
        self.late_at.take_if(|late_at| *late_at <= now).is_some()
    }

    /// Continues; returns whether the port accepts connections.
    pub(super) fn answers(&mut self, registry: &Registry, now: Instant) -> bool {
        loop {
            let address = self.addresses[self.current];
            let outcome = match &self.attempt {
                Some(attempt) => attempt.outcome(now),
                None if now < self.next_at => return false,
                None => match Attempt::start(address, registry, self.token, now) {
                    Ok(attempt) => {
                        self.attempt = Some(attempt);
                        continue;
                    }
                    Err(_) => Some(false),
                },
            };
            match outcome {
                None => return false,
                Some(true) if !self.foreign.contains(&address) => return true,
                Some(answers) => {
                    if !answers {
                        self.foreign.retain(|foreign| *foreign != address);
                    }
                    self.go_on(now);
                }
            }
        }
    }

    /// Goes on with the next address.
    fn go_on(&mut self, now: Instant) {
        self.attempt = None;
        self.current = (self.current + 1) % self.addresses.len();
        let interval = match self.late_at {
            Some(_) => INTERVAL,
            None => INTERVAL_LATE,
        };
        self.next_at = match self.current {
            0 => now + interval,
            _ => now,
        };
    }
}

/// Tries one address again and again.
pub(super) struct Check {
    every: Duration,
    token: Token,
    /// The attempt in progress, and its address.
    attempt: Option<(SocketAddr, Attempt)>,
    next_at: Instant,
}

impl Check {
    /// The first attempt begins after `every`, and so on. Events carry `token`.
    pub(super) fn new(every: Duration, token: Token, now: Instant) -> Self {
        Check {
            every,
            token,
            attempt: None,
            next_at: now + every,
        }
    }

    /// When to call [`failed`](Self::failed) again even without an event.
    pub(super) fn deadline(&self) -> Instant {
        let attempt = self.attempt.as_ref();
        attempt.map_or(self.next_at, |(_, attempt)| attempt.until)
    }

    /// Continues with `address`, if there is one; returns it once it accepts no connections.
    pub(super) fn failed(
        &mut self,
        address: Option<SocketAddr>,
        registry: &Registry,
        now: Instant,
    ) -> Option<SocketAddr> {
        if self.attempt.is_none() && self.next_at <= now {
            self.next_at = now + self.every;
            let address = address?;
            match Attempt::start(address, registry, self.token, now) {
                Ok(attempt) => self.attempt = Some((address, attempt)),
                Err(_) => return Some(address),
            }
        }
        let (address, answers) = match &self.attempt {
            Some((address, attempt)) => (*address, attempt.outcome(now)?),
            None => return None,
        };
        self.attempt = None;
        (!answers).then_some(address)
    }
}

/// Whether an address accepts a connection within `time`. It blocks.
pub(super) fn answers(address: SocketAddr, time: Duration) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), time)?;
        let is_own = socket.local_addr()?.as_socket() == Some(address);
        if is_own {
            reset(&socket);
        }
        io::Result::Ok(!is_own)
    };
    connect().unwrap_or(false)
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
        let attempt = Attempt {
            stream,
            until: Instant::now(),
        };
        assert_eq!(attempt.outcome(Instant::now()), Some(false));
        drop(attempt);
        bound(own.port()).expect("the command can have it");
    }
}
