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
mod keeper;
mod lease;
mod options;
mod picture;
mod registration;
mod servers;
mod service;
mod watcher;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

pub use crate::message::{CloseReason, Gone, Reason, Record, Stats, Tally, TypeCount, Verb, Why};
use connection::{ANSWER_LEN_MAX, Connection, DOCUMENT_LEN_MAX};
pub use error::Error;
pub use options::{Options, TIMEOUT};
pub use registration::{Notice, Observer, Registration};
use servers::{ASIDE_INTERVAL, ASIDE_MAX};
use service::Address;
pub use service::Service;
pub use watcher::{GRACE, Update, Watcher};

/// How a registration is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// The TTL in seconds; `None` for that of the service.
    pub ttl: Option<u32>,
    /// Whether it replaces all other registrations of its type at its address.
    pub replace: bool,
}

/// Asks the service over one connection. It connects when it first needs to, and again after the
/// connection has failed. Of several servers it uses the first that answers; where that one has found
/// nothing, the others are asked before the answer is believed.
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
    /// When to try the servers before the connected one again.
    home_at: Instant,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Client {
            options: options.clone(),
            connection: None,
            home_at: Instant::now(),
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

    /// Sends a command. An answer that nothing was found is not believed before the other servers
    /// were asked.
    fn ask(&mut self, command: &str, answer_len_max: usize) -> Result<String, Error> {
        let answer = self.ask_one(command, answer_len_max)?;
        if !is_none(&answer) {
            return Ok(answer);
        }
        let other = self.ask_others(command, answer_len_max);
        Ok(other.unwrap_or(answer))
    }

    /// What another server has found.
    fn ask_others(&self, command: &str, answer_len_max: usize) -> Option<String> {
        let server = self.connection.as_ref()?.server();
        let deadline = after(self.options.timeout.min(ASIDE_MAX));
        let ask = |server: &String| {
            let mut connection = Connection::open_at(server, &self.options, deadline).ok()?;
            let answer = connection.allow(answer_len_max).ask(command, deadline);
            answer.ok().filter(|answer| !is_none(answer))
        };
        self.options.others(server, false).iter().find_map(ask)
    }

    /// Sends a command, once more if a connection that was already open turns out to be broken.
    fn ask_one(&mut self, command: &str, answer_len_max: usize) -> Result<String, Error> {
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
        let mut open = self.connection.take().filter(Connection::is_open);
        if let Some(connection) = &open
            && self.home_at <= Instant::now()
        {
            self.home_at = after(ASIDE_INTERVAL);
            open = self.home(connection.server()).or(open);
        }
        let connection = match open {
            Some(connection) => connection,
            None => {
                self.home_at = after(ASIDE_INTERVAL);
                Connection::open(&self.options, deadline)?
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// A connection to a server before this one, if one answers again.
    fn home(&self, server: &str) -> Option<Connection> {
        let deadline = after(self.options.timeout.min(ASIDE_MAX));
        let open = |server: &String| Connection::open_at(server, &self.options, deadline).ok();
        self.options.others(server, true).iter().find_map(open)
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

/// Whether a server has found nothing.
fn is_none(answer: &str) -> bool {
    matches!(answer, "[]" | "NOT FOUND")
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
