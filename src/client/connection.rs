//! One connection that speaks text lines. Every call has a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use memchr::memchr;

use super::{Error, Options, argument, servers};

/// Bytes of the longest answer that has no rows.
pub(super) const ANSWER_LEN_MAX: usize = 64 * 1024;
/// Bytes of the longest answer: `query` of a million services is shorter.
pub(super) const DOCUMENT_LEN_MAX: usize = 64 * 1024 * 1024;
/// The shortest timeout that is given to a socket; a timeout of 0 is an error.
const SHORTEST: Duration = Duration::from_millis(1);

/// An open connection, authenticated if there is a token.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    server: String,
    /// Received bytes that no line has been made of yet. There is no line end before `searched`.
    unread: Vec<u8>,
    searched: usize,
    answer_len_max: usize,
}

impl Connection {
    /// Connects to the first of the servers that answers.
    pub(super) fn open(options: &Options, deadline: Instant) -> Result<Self, Error> {
        servers::first(&options.servers, deadline, |server, deadline| {
            Self::open_at(server, options, deadline)
        })
    }

    /// Connects to this server.
    pub(super) fn open_at(
        server: &str,
        options: &Options,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let server = server.to_owned();
        let stream = match connect(&server, deadline) {
            Ok(stream) => stream,
            Err(error) => {
                return Err(Error::Unreachable {
                    servers: server,
                    error,
                });
            }
        };
        let mut connection = Connection {
            stream,
            server,
            unread: Vec::new(),
            searched: 0,
            answer_len_max: ANSWER_LEN_MAX,
        };
        // Each command is one write, so delaying small packets gains nothing.
        connection
            .stream
            .set_nodelay(true)
            .map_err(|error| connection.broken(&error))?;
        let greeting = match options.present_token() {
            Some(token) => {
                // A token must not appear in an error.
                let token =
                    argument(&token).map_err(|_| Error::Argument("the token".to_owned()))?;
                Some((format!("auth {token}"), "OK"))
            }
            // A service that is stopped or full accepts connections, too. If it does not answer,
            // the next address may.
            None if options.servers.len() > 1 => Some(("ping".to_owned(), "PONG")),
            None => None,
        };
        if let Some((command, expected)) = greeting {
            let answer = connection.ask(&command, deadline)?;
            if answer != expected {
                return Err(Error::unexpected(&connection.server, &answer));
            }
        }
        Ok(connection)
    }

    /// Allows answers of up to this many bytes from now on.
    pub(super) fn allow(&mut self, answer_len_max: usize) -> &mut Self {
        self.answer_len_max = answer_len_max;
        self
    }

    /// Sends a command and returns its answer without the line end. `ERROR <reason>` becomes an
    /// error.
    pub(super) fn ask(&mut self, command: &str, deadline: Instant) -> Result<String, Error> {
        self.write(format!("{command}\n").as_bytes(), deadline)?;
        let line = self.line(deadline)?;
        match line.strip_prefix("ERROR ") {
            Some(reason) => Err(Error::refused(&self.server, reason)),
            None => Ok(line),
        }
    }

    /// Sends commands in one write and returns their answers, `ERROR <reason>` included.
    pub(super) fn ask_all<T: AsRef<str>>(
        &mut self,
        commands: &[T],
        deadline: Instant,
    ) -> Result<Vec<String>, Error> {
        let lines: String = commands
            .iter()
            .flat_map(|command| [command.as_ref(), "\n"])
            .collect();
        self.write(lines.as_bytes(), deadline)?;
        commands.iter().map(|_| self.line(deadline)).collect()
    }

    /// The next line. Reads what has already arrived even after the deadline, which may have passed
    /// while the caller was busy.
    pub(super) fn line(&mut self, deadline: Instant) -> Result<String, Error> {
        let mut has_read = false;
        loop {
            if let Some(found) = memchr(b'\n', &self.unread[self.searched..]) {
                let end = self.searched + found;
                let rest = self.unread.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.truncate(end);
                self.searched = 0;
                // A long line is not copied.
                return Ok(String::from_utf8(line).unwrap_or_else(|error| {
                    String::from_utf8_lossy(error.as_bytes()).into_owned()
                }));
            }
            self.searched = self.unread.len();
            if self.unread.len() > self.answer_len_max {
                return Err(Error::unexpected(&self.server, "an answer without an end"));
            }
            let left = time_left(deadline);
            if left.is_zero() && has_read {
                return Err(Error::Timeout {
                    server: self.server.clone(),
                });
            }
            self.read(left)?;
            has_read = true;
        }
    }

    /// Waits until the deadline. Whatever arrives meanwhile is an error, for nobody asked.
    pub(super) fn quiet(&mut self, deadline: Instant) -> Result<(), Error> {
        match self.line(deadline) {
            Err(Error::Timeout { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(line) => Err(Error::unexpected(&self.server, &line)),
        }
    }

    /// A second handle, to shut the connection down while another thread reads from it.
    pub(super) fn handle(&self) -> Result<TcpStream, Error> {
        self.stream.try_clone().map_err(|error| self.broken(&error))
    }

    /// The address of this host that the connection comes from.
    pub(super) fn source(&self) -> Result<IpAddr, Error> {
        let address = self.stream.local_addr();
        address
            .map(|address| address.ip().to_canonical())
            .map_err(|error| self.broken(&error))
    }

    /// The server, as it was given in the options.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Whether the connection is usable: not closed, and without data that nobody asked for.
    pub(super) fn is_open(&self) -> bool {
        let quiet = |stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock))
        };
        self.unread.is_empty() && quiet(&self.stream).unwrap_or(false)
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), Error> {
        let limit = self
            .stream
            .set_write_timeout(Some(time_left(deadline).max(SHORTEST)));
        limit
            .and_then(|()| self.stream.write_all(bytes))
            .map_err(|error| self.broken(&error))
    }

    fn read(&mut self, time: Duration) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        let limit = self.stream.set_read_timeout(Some(time.max(SHORTEST)));
        match limit.and_then(|()| self.stream.read(&mut buffer)) {
            Ok(0) => Err(Error::Broken {
                server: self.server.clone(),
            }),
            Ok(n) => {
                self.unread.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &io::Error) -> Error {
        let server = self.server.clone();
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout { server },
            _ => Error::Broken { server },
        }
    }
}

/// Connects to the first address of `host:port` that accepts.
fn connect(server: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    let addresses = resolve(server, deadline)?;
    for (i, address) in addresses.iter().enumerate() {
        let share = time_left(deadline) / (addresses.len() - i) as u32;
        match TcpStream::connect_timeout(address, share.max(SHORTEST)) {
            // A local port that nobody listens on can be connected with itself (RFC 9293, 3.5).
            Ok(stream) if stream.local_addr().ok() == Some(*address) => {
                last = ErrorKind::ConnectionRefused.into()
            }
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Resolves `host:port`. The system's resolver has no timeout, so it runs on a thread of its own,
/// which is abandoned when the deadline passes.
fn resolve(server: &str, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = server.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = mpsc::channel();
    let server = server.to_owned();
    std::thread::Builder::new().spawn(move || {
        // The receiver may be gone.
        let _ = sender.send(server.to_socket_addrs().map(Iterator::collect));
    })?;
    let timed_out = |_| {
        Err(io::Error::new(
            ErrorKind::TimedOut,
            "the name could not be resolved in time",
        ))
    };
    receiver
        .recv_timeout(time_left(deadline))
        .unwrap_or_else(timed_out)
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
