//! A client of the service: blocking, one connection, for programs in Rust.
//!
//! ```
//! use discovery_service::client::{Client, Error, Options, Registration, Watcher};
//!
//! # fn main() -> Result<(), Error> {
//! # let (sender, receiver) = std::sync::mpsc::channel();
//! # std::thread::spawn(move || {
//! #     let arguments = ["discovery", "--listen", "127.0.0.1:0"];
//! #     let config = discovery_service::config::Config::from_args(arguments).expect("arguments");
//! #     discovery_service::server::run(&config, &mut |address| sender.send(address).expect("a listener"))
//! # });
//! # let server = receiver.recv().expect("it listens").to_string();
//! let options = Options::new(&server);
//! // Registered for as long as this value lives, whatever happens to the connection.
//! let registration = Registration::hold(&options, "hive", "-", 65433)?;
//!
//! let mut client = Client::new(&options);
//! assert_eq!(client.query("hive")?, ["127.0.0.1:65433".parse().expect("an address")]);
//!
//! let mut watcher = Watcher::new(&options, Some("hive"));
//! let first = watcher.next().expect("it is endless")?;
//! assert_eq!(first.services.len(), 1);
//! drop(registration);
//! let second = watcher.next().expect("it is endless")?;
//! assert!(second.services.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! For Python there is `discovery.py` beside this file.

mod backoff;
mod connection;
mod error;
mod registration;
mod watcher;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use connection::Connection;
pub use error::Error;
pub use registration::{Notice, Registration};
pub use watcher::{Update, Watcher};

/// How long an answer may take unless [`Options::timeout`] says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the service is, and how to talk to it.
#[derive(Clone)]
pub struct Options {
    servers: Vec<String>,
    token: Option<String>,
    timeout: Duration,
}

impl fmt::Debug for Options {
    /// Without the token, which is a capability.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({}, {:?})", self.servers(), self.timeout)
    }
}

impl Options {
    /// One address, or several with commas between, which are tried in turn: `host:port`.
    #[must_use]
    pub fn new(servers: &str) -> Self {
        let servers = servers.split(',').map(|server| server.trim().to_owned()).filter(|server| !server.is_empty());
        Options { servers: servers.collect(), token: None, timeout: TIMEOUT }
    }

    /// Shows this token on every connection.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How long connecting and each answer may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The addresses, as they were given.
    #[must_use]
    pub fn servers(&self) -> String {
        self.servers.join(",")
    }
}

/// A service: its type and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Its type.
    pub service_type: String,
    /// Where it can be reached.
    pub address: SocketAddr,
}

/// How a registration is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// Seconds that it lives without a heartbeat, if not as long as the service says.
    pub ttl: Option<u32>,
    /// Whether it takes the place of all others of its type at its address.
    pub replace: bool,
}

/// One connection, made when it is first needed and again when it has broken.
///
/// ```
/// # use discovery_service::client::{Client, Error, Options, Register};
/// # fn main() -> Result<(), Error> {
/// # let (sender, receiver) = std::sync::mpsc::channel();
/// # std::thread::spawn(move || {
/// #     let arguments = ["discovery", "--listen", "127.0.0.1:0"];
/// #     let config = discovery_service::config::Config::from_args(arguments).expect("arguments");
/// #     discovery_service::server::run(&config, &mut |address| sender.send(address).expect("a listener"))
/// # });
/// # let server = receiver.recv().expect("it listens").to_string();
/// let mut client = Client::new(&Options::new(&server));
/// let uuid = client.register("hive", "10.0.0.7", 80, Register { ttl: Some(60), replace: true })?;
/// assert!(client.heartbeat(&uuid)?);
/// assert_eq!(client.pipeline(&["ping", "query hive"])?, ["PONG", r#"[{"ip":"10.0.0.7","port":80}]"#]);
/// assert!(client.deregister(&uuid)?);
/// assert!(client.query("hive")?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    options: Options,
    connection: Option<Connection>,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Client { options: options.clone(), connection: None }
    }

    /// Makes a registration and returns its UUID. `ip` may be `-`, for the address that this
    /// connection comes from.
    ///
    /// It is never sent twice: when the connection breaks before the answer, it may have been made,
    /// and then goes when its TTL has passed.
    ///
    /// # Errors
    /// [`Error`]: the service is away, refuses, or is none.
    pub fn register(&mut self, service_type: &str, ip: &str, port: u16, how: Register) -> Result<String, Error> {
        let ttl = how.ttl.map_or(String::new(), |ttl| format!(" ttl={ttl}"));
        let replace = if how.replace { " replace" } else { "" };
        let command = format!("register {} {} {port}{ttl}{replace}", word(service_type)?, word(ip)?);
        let connection = self.connect()?;
        let result = connection.ask(&command);
        let answer = self.settle(result)?;
        is_uuid(&answer).then_some(()).ok_or_else(|| self.nonsense(&answer))?;
        Ok(answer)
    }

    /// Keeps a registration alive; `false` when it is not known and has to be made again.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn heartbeat(&mut self, uuid: &str) -> Result<bool, Error> {
        let answer = self.ask(&format!("heartbeat {}", word(uuid)?))?;
        self.found(&answer)
    }

    /// Removes a registration; `false` when it is not known.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn deregister(&mut self, uuid: &str) -> Result<bool, Error> {
        let answer = self.ask(&format!("deregister {}", word(uuid)?))?;
        self.found(&answer)
    }

    /// The addresses of all live services of a type, oldest registration first.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn query(&mut self, service_type: &str) -> Result<Vec<SocketAddr>, Error> {
        let array = self.document(&format!("query {}", word(service_type)?))?;
        let addresses = array.as_array().and_then(|array| array.iter().map(address).collect());
        addresses.ok_or_else(|| self.nonsense("an array that holds no addresses"))
    }

    /// Sends commands together and returns their answers in the same order: one round trip for all.
    /// Each command is a line without its end. Answers beginning with `ERROR` are returned as they
    /// are.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn pipeline<T: AsRef<str>>(&mut self, commands: &[T]) -> Result<Vec<String>, Error> {
        /// Commands sent before their answers are read: far less than what a connection's buffers hold.
        const BATCH: usize = 64;
        let mut answers = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            let connection = self.connect()?;
            let result = connection.ask_all(batch);
            answers.extend(self.settle(result)?);
        }
        Ok(answers)
    }

    /// Sends a command whose answer is a JSON document: `types`, `list`, `why <uuid>`, `stats`. `null`
    /// stands for `NOT FOUND`.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn document(&mut self, command: &str) -> Result<Value, Error> {
        let answer = self.ask(command)?;
        if answer == "NOT FOUND" {
            return Ok(Value::Null);
        }
        let document: Option<Value> = serde_json::from_str(&answer).ok();
        let document = document.filter(|value| value.is_array() || value.is_object());
        document.ok_or_else(|| self.nonsense(&answer))
    }

    /// Asks whether the service answers.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn ping(&mut self) -> Result<(), Error> {
        let answer = self.ask("ping")?;
        if answer == "PONG" { Ok(()) } else { Err(self.nonsense(&answer)) }
    }

    /// Sends a command that may be sent again when a connection that has been there before turns
    /// out to be broken.
    fn ask(&mut self, command: &str) -> Result<String, Error> {
        let reused = self.connection.is_some();
        let connection = self.connect()?;
        let result = connection.ask(command);
        match self.settle(result) {
            Err(Error::Broken { .. }) if reused => {
                let connection = self.connect()?;
                let result = connection.ask(command);
                self.settle(result)
            }
            result => result,
        }
    }

    fn connect(&mut self) -> Result<&mut Connection, Error> {
        // A service that was started again has closed the connection in the meantime.
        if self.connection.as_ref().is_some_and(|connection| !connection.is_open()) {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::open(&self.options)?)),
        }
    }

    /// Drops the connection after an error behind which its answers cannot be told apart.
    fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(&result, Err(error) if !matches!(error, Error::Refused { .. })) {
            self.connection = None;
        }
        result
    }

    fn found(&mut self, answer: &str) -> Result<bool, Error> {
        match answer {
            "OK" => Ok(true),
            "NOT FOUND" => Ok(false),
            other => Err(self.nonsense(other)),
        }
    }

    fn nonsense(&mut self, answer: &str) -> Error {
        self.connection = None;
        Error::nonsense(&self.options.servers(), answer)
    }
}

/// A word of a command: what has a blank or a line end in it would be more than one.
fn word(text: &str) -> Result<&str, Error> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::Word(text.to_owned()));
    }
    Ok(text)
}

fn is_uuid(text: &str) -> bool {
    crate::message::parse_uuid(text).is_some()
}

/// The address in `{"ip":"127.0.0.1","port":80}`.
fn address(object: &Value) -> Option<SocketAddr> {
    let ip = object["ip"].as_str()?.parse().ok()?;
    let port = u16::try_from(object["port"].as_u64()?).ok()?;
    Some(SocketAddr::new(ip, port))
}

/// The service in `{"type":"hive","ip":"127.0.0.1","port":80}`.
fn service(object: &Value) -> Option<Service> {
    Some(Service { service_type: object["type"].as_str()?.to_owned(), address: address(object)? })
}
