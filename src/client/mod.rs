//! A client of the service, for programs in Rust. It blocks, and starts a thread only to hold a
//! registration or to resolve a name.
//!
//! ```
//! use discovery_service::client::{Client, Error, Options, Registration, Watcher};
//!
//! # fn main() -> Result<(), Error> {
//! # let (sender, receiver) = std::sync::mpsc::channel();
//! # std::thread::spawn(move || {
//! #     let mut config = discovery_service::server::config::Config::default();
//! #     config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
//! #     discovery_service::server::run(&config, &mut |address| sender.send(address).expect("a listener"), || 0)
//! # });
//! # let server = receiver.recv().expect("it listens").to_string();
//! // `server` is "host:port", such as "127.0.0.1:65432".
//! let options = Options::new(&server);
//! // Registered for as long as this value lives; it reconnects by itself.
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
//! The client for Python is `python/discovery.py` beside this file.

mod backoff;
mod connection;
mod error;
mod options;
mod registration;
mod watcher;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::message::{CloseReason, Gone, Reason, Record, Stats, Tally, TypeCount, Verb, Why};
use connection::{ANSWER_LEN_MAX, Connection, DOCUMENT_LEN_MAX};
pub use error::Error;
pub use options::{Options, TIMEOUT};
pub use registration::{Notice, Registration};
pub use watcher::{Update, Watcher};

/// A service: its type and where it can be reached. In JSON it is as the service writes it:
/// `{"type":"hive","ip":"127.0.0.1","port":80}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Service {
    /// Its type.
    pub service_type: String,
    /// Where it can be reached.
    pub address: SocketAddr,
}

/// How a registration is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// The TTL in seconds; `None` for that of the service.
    pub ttl: Option<u32>,
    /// Whether it replaces all other registrations of its type at its address.
    pub replace: bool,
}

/// Asks the service over one connection. It connects when it first needs to, and again after the
/// connection has failed.
///
/// ```
/// # use discovery_service::client::{Client, Error, Options, Register};
/// # fn main() -> Result<(), Error> {
/// # let (sender, receiver) = std::sync::mpsc::channel();
/// # std::thread::spawn(move || {
/// #     let mut config = discovery_service::server::config::Config::default();
/// #     config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
/// #     discovery_service::server::run(&config, &mut |address| sender.send(address).expect("a listener"), || 0)
/// # });
/// # let server = receiver.recv().expect("it listens").to_string();
/// // `server` is "host:port", such as "127.0.0.1:65432".
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
        Client {
            options: options.clone(),
            connection: None,
        }
    }

    /// Registers a service and returns the UUID. `ip` may be `-` for the address that the
    /// connection comes from.
    ///
    /// The command is never sent twice. If the connection fails before the answer, the registration
    /// may exist, until its TTL has passed.
    ///
    /// # Errors
    /// [`Error`]
    pub fn register(
        &mut self,
        service_type: &str,
        ip: &str,
        port: u16,
        how: Register,
    ) -> Result<String, Error> {
        let ttl = how.ttl.map_or(String::new(), |ttl| format!(" ttl={ttl}"));
        let replace = if how.replace { " replace" } else { "" };
        let command = format!(
            "register {} {} {port}{ttl}{replace}",
            argument(service_type)?,
            argument(ip)?
        );
        let deadline = self.options.deadline();
        let result = self.connect(deadline)?.ask(&command, deadline);
        let answer = self.settle(result)?;
        if is_uuid(&answer) {
            Ok(answer)
        } else {
            Err(self.unexpected(&answer))
        }
    }

    /// Keeps a registration alive; `false` if it is not known: register again.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn heartbeat(&mut self, uuid: &str) -> Result<bool, Error> {
        self.read(&format!("heartbeat {}", argument(uuid)?), found)
    }

    /// Removes a registration; `false` if it is not known. That is also the answer if the
    /// connection failed after the removal and the command was sent again.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn deregister(&mut self, uuid: &str) -> Result<bool, Error> {
        self.read(&format!("deregister {}", argument(uuid)?), found)
    }

    /// The addresses of all live services of a type, oldest registration first.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn query(&mut self, service_type: &str) -> Result<Vec<SocketAddr>, Error> {
        let addresses = |answer: &str| {
            let rows: Vec<Address> = parse(answer)?;
            Some(rows.iter().map(Address::socket_address).collect())
        };
        self.read_rows(&format!("query {}", argument(service_type)?), addresses)
    }

    /// The types with the number of their registrations, sorted by name.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn types(&mut self) -> Result<Vec<TypeCount>, Error> {
        self.read_rows("types", parse)
    }

    /// The registrations of a type, or all, with everything but their UUIDs.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn list(&mut self, service_type: Option<&str>) -> Result<Vec<Record>, Error> {
        self.read_rows(&of_type_or_all("list", service_type)?, parse)
    }

    /// Whether a registration is live, or why it was removed; `None` if the service does not know
    /// the UUID.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn why(&mut self, uuid: &str) -> Result<Option<Why>, Error> {
        let why = |answer: &str| match answer {
            "NOT FOUND" => Some(None),
            document => parse(document).map(Some),
        };
        self.read(&format!("why {}", argument(uuid)?), why)
    }

    /// The counters of the service.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.read("stats", parse)
    }

    /// Sends commands together and returns their answers in the same order, in one round trip for
    /// up to 64 commands. Each command is a line without its line end, and not `watch`. Answers
    /// that begin with `ERROR` are returned as they are. [`Options::timeout`] holds for each 64
    /// commands. No command is sent twice; after an error it is unknown how many were run.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn pipeline<T: AsRef<str>>(&mut self, commands: &[T]) -> Result<Vec<String>, Error> {
        /// Commands sent before their answers are read; far less than the buffers of a connection
        /// hold.
        const BATCH: usize = 64;
        // An empty line has no answer, two lines have two answers, and a control character may
        // begin a frame.
        let is_one = |command: &str| {
            !command.trim().is_empty() && !command.contains(|c: char| c.is_control() && c != '\t')
        };
        if let Some(wrong) = commands
            .iter()
            .map(AsRef::as_ref)
            .find(|command| !is_one(command))
        {
            return Err(Error::Argument(format!("{wrong:?}")));
        }
        let mut answers = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            let deadline = self.options.deadline();
            let connection = self.connect(deadline)?.allow(DOCUMENT_LEN_MAX);
            let result = connection.ask_all(batch, deadline);
            answers.extend(self.settle(result)?);
        }
        Ok(answers)
    }

    /// Checks that the service answers.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn ping(&mut self) -> Result<(), Error> {
        self.read("ping", |answer| (answer == "PONG").then_some(()))
    }

    /// Sends a command and parses its answer; `parse` returns `None` for an answer of another
    /// service.
    fn read<T>(
        &mut self,
        command: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.ask(command, ANSWER_LEN_MAX)?;
        parse(&answer).ok_or_else(|| self.unexpected(&answer))
    }

    /// As [`read`](Self::read), for an answer of rows, which may be long.
    fn read_rows<T>(&mut self, command: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
        let answer = self.ask(command, DOCUMENT_LEN_MAX)?;
        parse(&answer).ok_or_else(|| self.unexpected(&answer))
    }

    /// Sends a command, once more if a connection that was already open turns out to be broken.
    fn ask(&mut self, command: &str, answer_len_max: usize) -> Result<String, Error> {
        let deadline = self.options.deadline();
        let reused = self.connection.is_some();
        let mut once = || {
            let connection = self.connect(deadline)?.allow(answer_len_max);
            let result = connection.ask(command, deadline);
            self.settle(result)
        };
        match once() {
            Err(Error::Broken { .. }) if reused => once(),
            result => result,
        }
    }

    fn connect(&mut self, deadline: Instant) -> Result<&mut Connection, Error> {
        // A restart of the service has closed the connection.
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| !connection.is_open())
        {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::open(&self.options, deadline)?)),
        }
    }

    /// Drops the connection after an error other than a refusal: later answers could not be matched
    /// to commands.
    fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(&result, Err(error) if !matches!(error, Error::Refused { .. })) {
            self.connection = None;
        }
        result
    }

    fn unexpected(&mut self, answer: &str) -> Error {
        let connection = self.connection.take();
        let servers = self.options.servers();
        Error::unexpected(
            connection.as_ref().map_or(&servers, Connection::server),
            answer,
        )
    }
}

/// An argument of a command. With white space in it, it would be several.
fn argument(text: &str) -> Result<&str, Error> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::Argument(format!("{text:?}")));
    }
    Ok(text)
}

/// A command about one type or all.
fn of_type_or_all(verb: &str, service_type: Option<&str>) -> Result<String, Error> {
    match service_type {
        Some(service_type) => Ok(format!("{verb} {}", argument(service_type)?)),
        None => Ok(verb.to_owned()),
    }
}

/// The moment `time` from now, a year at most: an `Instant` has an end.
fn after(time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    Instant::now() + time.min(YEAR)
}

fn found(answer: &str) -> Option<bool> {
    match answer {
        "OK" => Some(true),
        "NOT FOUND" => Some(false),
        _ => None,
    }
}

/// A JSON document of the expected shape.
fn parse<T: DeserializeOwned>(answer: &str) -> Option<T> {
    serde_json::from_str(answer).ok()
}

fn is_uuid(text: &str) -> bool {
    crate::message::parse_uuid(text).is_some()
}

/// What `query` answers for each service: `{"ip":"127.0.0.1","port":80}`.
#[derive(Deserialize)]
struct Address {
    ip: IpAddr,
    port: u16,
}

impl Address {
    fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

/// A [`Service`] in JSON.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(rename = "type")]
    service_type: String,
    ip: IpAddr,
    port: u16,
}

impl From<Row> for Service {
    fn from(row: Row) -> Self {
        Service {
            service_type: row.service_type,
            address: SocketAddr::new(row.ip, row.port),
        }
    }
}

impl From<Service> for Row {
    fn from(service: Service) -> Self {
        Row {
            service_type: service.service_type,
            ip: service.address.ip(),
            port: service.address.port(),
        }
    }
}
