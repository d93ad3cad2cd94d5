//! A client of the service, for programs in Rust. It blocks, and starts a thread only to hold a
//! registration or to resolve a name.
//!
//! ```
//! use discovery_service::client::{Client, Error, Options, Register, Registration, Watcher};
//!
//! # fn main() -> Result<(), Error> {
//! # let (sender, receiver) = std::sync::mpsc::channel();
//! # std::thread::spawn(move || {
//! #     let mut config = discovery_service::server::config::Config::default();
//! #     config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
//! #     discovery_service::server::run(&config, &mut |listening| sender.send(listening.address()).expect("a listener"), || 0)
//! # });
//! # let server = receiver.recv().expect("it listens").to_string();
//! // `server` is "host:port", such as "127.0.0.1:65432".
//! let options = Options::new(&server);
//! // Registered for as long as this value lives; it reconnects by itself.
//! let registration = Registration::hold(&options, "hive", "-", 65433, Register::default())?;
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

mod answers;
mod asking;
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
mod terms;
mod watcher;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use crate::message::{
    CloseReason, Gone, Labels, Reason, Record, Stats, Tally, TypeCount, Verb, Why,
};
use answers::{found, is_uuid, parse};
use connection::{Connection, DOCUMENT_LEN_MAX};
pub use error::Error;
pub use options::{Options, TIMEOUT};
pub use registration::{Notice, Observer, Registration};
use service::Address;
pub use service::Service;
pub use terms::{Register, Selection};
use terms::{argument, of_type_or_all, words};
pub use watcher::{GRACE, Update, Watcher};

/// Asks the service over one connection. It connects when it first needs to, and again after the
/// connection has failed. Of several servers it uses the first that answers, and goes on with the next when
/// that one fails; where one has found nothing, the others are asked before the answer is believed.
///
/// ```
/// # use discovery_service::client::{Client, Error, Options, Register};
/// # fn main() -> Result<(), Error> {
/// # let (sender, receiver) = std::sync::mpsc::channel();
/// # std::thread::spawn(move || {
/// #     let mut config = discovery_service::server::config::Config::default();
/// #     config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
/// #     discovery_service::server::run(&config, &mut |listening| sender.send(listening.address()).expect("a listener"), || 0)
/// # });
/// # let server = receiver.recv().expect("it listens").to_string();
/// // `server` is "host:port", such as "127.0.0.1:65432".
/// let mut client = Client::new(&Options::new(&server));
/// let uuid = client.register("hive", "10.0.0.7", 80, Register { ttl: Some(60), ..Register::default() })?;
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
    /// The command is not sent twice, but to the next of several servers where one refuses it for want of
    /// room or because it is not ready. If the connection fails before the answer, the registration may
    /// exist, until its TTL has passed.
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
        let command = format!(
            "register {} {} {port}{}",
            argument(service_type)?,
            argument(ip)?,
            how.options()?
        );
        let answer = self.ask_once(&command)?;
        if is_uuid(&answer) {
            Ok(answer)
        } else {
            Err(self.unexpected(&answer))
        }
    }

    /// Keeps a registration alive; `false` if it is not known: register again.
    ///
    /// Where one of several servers does not answer, the next gets the heartbeat within
    /// [`Options::timeout`], which should be a third of the TTL at most. A node of the same cluster takes the
    /// registration over, and its UUID stays.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn heartbeat(&mut self, uuid: &str) -> Result<bool, Error> {
        self.read(&format!("heartbeat {}", argument(uuid)?), found)
    }

    /// Keeps a registration alive, and registers it again under its UUID where it is not known.
    /// [`Register::replace`] has no meaning for it.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn revive(
        &mut self,
        uuid: &str,
        service_type: &str,
        ip: &str,
        port: u16,
        how: Register,
    ) -> Result<(), Error> {
        let how = Register {
            replace: false,
            ..how
        };
        let command = format!(
            "heartbeat {} {} {} {port}{}",
            argument(uuid)?,
            argument(service_type)?,
            argument(ip)?,
            how.options()?
        );
        self.read(&command, |answer| (answer == "OK").then_some(()))
    }

    /// Gives a registration these tags and metadata instead of those that it had; `false` if it is
    /// not known.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn update(&mut self, uuid: &str, labels: &Labels) -> Result<bool, Error> {
        let command = format!("update {}{}", argument(uuid)?, words(labels)?);
        self.read(&command, found)
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
        self.query_some(service_type, &Selection::default())
    }

    /// The addresses of some live services of a type, oldest registration first.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn query_some(
        &mut self,
        service_type: &str,
        selection: &Selection,
    ) -> Result<Vec<SocketAddr>, Error> {
        let addresses = |answer: &str| {
            let rows: Vec<Address> = parse(answer)?;
            Some(rows.iter().map(Address::socket_address).collect())
        };
        let options = selection.options()?;
        let command = format!("query {}{options}", argument(service_type)?);
        self.read_rows(&command, addresses)
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

    /// The server that this client is connected to, as it was given in the options; `None` before the first
    /// answer.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.connection.as_ref().map(Connection::server)
    }

    /// Checks that the service answers.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn ping(&mut self) -> Result<(), Error> {
        self.read("ping", |answer| (answer == "PONG").then_some(()))
    }
}

/// The moment `time` from now, a year at most: an `Instant` has an end.
fn after(time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    Instant::now() + time.min(YEAR)
}
