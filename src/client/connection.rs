//! One connection that speaks text lines, with a time limit on everything.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use memchr::memchr;

use super::{Error, Options};

/// Bytes of the longest answer that is read: more than the service ever has waiting.
const ANSWER_LEN_MAX: usize = 256 * 1024 * 1024;

/// An open connection, authenticated where there is a token.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    server: String,
    timeout: Duration,
    /// Bytes that have arrived and are not used; those before `searched` hold no line end.
    unread: Vec<u8>,
    searched: usize,
}

impl Connection {
    /// Connects to the first of the addresses that can be connected to.
    pub(super) fn open(options: &Options) -> Result<Self, Error> {
        let deadline = Instant::now() + options.timeout;
        let mut last = None;
        for (i, server) in options.servers.iter().enumerate() {
            // What is left of the time is shared by the addresses that are left.
            let left = deadline.saturating_duration_since(Instant::now());
            let time = left / (options.servers.len() - i) as u32;
            match connect(server, time) {
                Ok(stream) => return Self::greet(stream, server, options),
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| io::Error::other("no address is given"));
        Err(Error::Unreachable { servers: options.servers(), error })
    }

    fn greet(stream: TcpStream, server: &str, options: &Options) -> Result<Self, Error> {
        let (server, timeout) = (server.to_owned(), options.timeout);
        let mut connection = Connection { stream, server, timeout, unread: Vec::new(), searched: 0 };
        // Lines are written whole, so waiting for more to send gains nothing.
        connection.stream.set_nodelay(true).map_err(|error| connection.broken(&error))?;
        let write = connection.stream.set_write_timeout(Some(timeout.max(Duration::from_millis(1))));
        write.map_err(|error| connection.broken(&error))?;
        if let Some(token) = &options.token {
            connection.ask(&format!("auth {token}"))?;
        }
        Ok(connection)
    }

    /// Sends a command and returns its answer, without the line end.
    pub(super) fn ask(&mut self, command: &str) -> Result<String, Error> {
        self.send(command)?;
        self.answer()
    }

    /// Sends commands together and returns their answers, `ERROR` among them.
    pub(super) fn ask_all<T: AsRef<str>>(&mut self, commands: &[T]) -> Result<Vec<String>, Error> {
        let lines: String = commands.iter().flat_map(|command| [command.as_ref(), "\n"]).collect();
        self.write(lines.as_bytes())?;
        commands.iter().map(|_| self.line(self.timeout)).collect()
    }

    /// Sends a command.
    pub(super) fn send(&mut self, command: &str) -> Result<(), Error> {
        self.write(format!("{command}\n").as_bytes())
    }

    /// The next answer. `ERROR` is an error.
    pub(super) fn answer(&mut self) -> Result<String, Error> {
        let line = self.line(self.timeout)?;
        match line.strip_prefix("ERROR ") {
            Some(reason) => Err(Error::Refused { server: self.server.clone(), reason: reason.to_owned() }),
            None => Ok(line),
        }
    }

    /// The next line, within `time`.
    pub(super) fn line(&mut self, time: Duration) -> Result<String, Error> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(found) = memchr(b'\n', &self.unread[self.searched..]) {
                let end = self.searched + found;
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..=end);
                self.searched = 0;
                return Ok(line);
            }
            self.searched = self.unread.len();
            if self.unread.len() > ANSWER_LEN_MAX {
                return Err(Error::nonsense(&self.server, "an answer without an end"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout { server: self.server.clone() });
            }
            self.read(left)?;
        }
    }

    /// Whether a whole line has arrived already.
    pub(super) fn has_line(&self) -> bool {
        memchr(b'\n', &self.unread).is_some()
    }

    /// A second handle of the connection, to shut it while it is waited for.
    pub(super) fn handle(&self) -> Result<TcpStream, Error> {
        self.stream.try_clone().map_err(|error| self.broken(&error))
    }

    /// The address that was connected to.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Whether the service has neither closed the connection nor said something unasked.
    pub(super) fn is_open(&self) -> bool {
        let quiet = |stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock))
        };
        self.unread.is_empty() && quiet(&self.stream).unwrap_or(false)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(|error| self.broken(&error))
    }

    fn read(&mut self, time: Duration) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        let limit = self.stream.set_read_timeout(Some(time.max(Duration::from_millis(1))));
        match limit.and_then(|()| self.stream.read(&mut buffer)) {
            Ok(0) => Err(Error::Broken { server: self.server.clone() }),
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

/// Connects to `host:port` within `time`, whatever it resolves to.
fn connect(server: &str, time: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + time;
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in resolve(server, time)? {
        let left = deadline.saturating_duration_since(Instant::now());
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses of `host:port`. The system's resolver takes its time, so it is asked on another
/// thread, which is left alone when it takes too long.
fn resolve(server: &str, time: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = server.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = mpsc::channel();
    let server = server.to_owned();
    std::thread::spawn(move || {
        // Who asked may have left.
        let _ = sender.send(server.to_socket_addrs().map(Iterator::collect));
    });
    let timed_out = |_| Err(io::Error::new(ErrorKind::TimedOut, "the name could not be resolved in time"));
    receiver.recv_timeout(time).unwrap_or_else(timed_out)
}
