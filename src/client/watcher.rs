//! Watching the services of a type, or of all types.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::backoff::Backoff;
use super::connection::{Connection, DOCUMENT_LEN_MAX};
use super::{Error, Options, Service, after, of_type_or_all, parse};

/// Silence after which a connection is dead: the service sends a keepalive every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// A change of the live services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The registry's count of changes.
    pub index: u64,
    /// Services that were registered since the last update.
    pub up: Vec<Service>,
    /// Services that were removed since the last update.
    pub down: Vec<Service>,
    /// All live services, sorted. A service that is registered twice is there twice.
    pub services: Vec<Service>,
}

/// An iterator over updates. The first is the snapshot at the start. It does not end unless
/// [`until`](Self::until) sets a time.
///
/// When the connection fails, it yields the error and keeps its state. The next call connects
/// again, with growing pauses, and yields what has changed in between. It ends after an error that
/// is not [transient](Error::is_transient).
///
/// ```
/// # use discovery_service::client::{Client, Error, Options, Register, Watcher};
/// # fn main() -> Result<(), Error> {
/// # let (sender, receiver) = std::sync::mpsc::channel();
/// # std::thread::spawn(move || {
/// #     let mut config = discovery_service::server::config::Config::default();
/// #     config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
/// #     discovery_service::server::run(&config, &mut |address| sender.send(address).expect("a listener"), || 0)
/// # });
/// # let server = receiver.recv().expect("it listens").to_string();
/// // `server` is "host:port", such as "127.0.0.1:65432".
/// let options = Options::new(&server);
/// let mut client = Client::new(&options);
/// for update in Watcher::new(&options, Some("hive")) {
///     match update {
///         Ok(update) if update.services.is_empty() => {
///             client.register("hive", "10.0.0.7", 80, Register::default())?;
///         }
///         Ok(update) => {
///             assert_eq!(update.up[0].address.to_string(), "10.0.0.7:80");
///             break;
///         }
///         // It is away: the next iteration waits for it.
///         Err(error) if error.is_transient() => eprintln!("{error}"),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watcher {
    options: Options,
    service_type: Option<String>,
    /// When it gives up.
    deadline: Option<Instant>,
    connection: Option<Connection>,
    backoff: Backoff,
    /// The earliest time of the next attempt to connect.
    retry_at: Instant,
    /// The error that ended the connection, not reported yet.
    failure: Option<Error>,
    ended: bool,
    connected_at: Instant,
    /// When the service last sent a line.
    read_at: Instant,
    index: u64,
    /// The live services as far as they are known; `None` before the first snapshot.
    live: Option<Live>,
    /// What the caller knows of them.
    reported: Option<Live>,
}

/// A line of the stream: a snapshot has `services`, a delta has `up` and `down`, a keepalive has
/// neither.
#[derive(Deserialize)]
struct Line {
    index: u64,
    services: Option<Vec<Service>>,
    up: Option<Vec<Service>>,
    down: Option<Vec<Service>>,
}

/// How many registrations each service has.
type Live = BTreeMap<Service, usize>;

impl Watcher {
    /// Watches one type, or all.
    #[must_use]
    pub fn new(options: &Options, service_type: Option<&str>) -> Self {
        let now = Instant::now();
        Watcher {
            options: options.clone(),
            service_type: service_type.map(str::to_owned),
            deadline: None,
            connection: None,
            backoff: Backoff::default(),
            retry_at: now,
            failure: None,
            ended: false,
            connected_at: now,
            read_at: now,
            index: 0,
            live: None,
            reported: None,
        }
    }

    /// Gives up at `deadline`, whatever it is doing then: the iterator ends.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Whether there is a connection to the service, so that its updates are up to date.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The next update within `time`; `None` if nothing changes. Connecting may take longer than
    /// `time`, as long as [`Options::timeout`].
    ///
    /// # Errors
    /// As the iterator's.
    pub fn next_within(&mut self, time: Duration) -> Option<Result<Update, Error>> {
        self.read_change(after(time))
            .map(|()| self.report())
            .transpose()
    }

    /// Like [`next_within`](Self::next_within), but merges all that has arrived into one update,
    /// for callers that need only the present state.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn latest_within(&mut self, time: Duration) -> Option<Result<Update, Error>> {
        let result = self.read_change(after(time));
        if result.is_ok() {
            self.catch_up();
        }
        result.map(|()| self.report()).transpose()
    }

    /// Whether it yields no more updates.
    #[must_use]
    pub fn is_over(&self) -> bool {
        (self.ended && self.failure.is_none())
            || self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The earlier of this time and the end that [`until`](Self::until) set.
    fn no_later(&self, deadline: Instant) -> Instant {
        self.deadline.map_or(deadline, |end| end.min(deadline))
    }

    /// Reads lines until there is a change to report, or the deadline passes.
    fn read_change(&mut self, deadline: Instant) -> Result<(), Error> {
        let deadline = self.no_later(deadline);
        // The deadline also holds against a stream of lines that change nothing.
        while self.live == self.reported && self.read(deadline)? && Instant::now() < deadline {}
        Ok(())
    }

    /// Reads what has already arrived.
    fn catch_up(&mut self) {
        /// Bounds the time for a service that sends without a pause.
        const CATCH_UP_MAX: Duration = Duration::from_millis(100);
        let end = after(CATCH_UP_MAX);
        while self.is_connected() && Instant::now() < end {
            match self.read(Instant::now()) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// The change since the last update.
    fn report(&mut self) -> Option<Update> {
        let live = self
            .live
            .as_ref()
            .filter(|live| self.reported.as_ref() != Some(live))?;
        let none = Live::new();
        let reported = self.reported.as_ref().unwrap_or(&none);
        let update = Update {
            index: self.index,
            up: surplus(live, reported),
            down: surplus(reported, live),
            services: surplus(live, &none),
        };
        self.reported = Some(live.clone());
        Some(update)
    }

    /// Reads one line, and connects first if need be. Returns `false` if no line has arrived.
    fn read(&mut self, deadline: Instant) -> Result<bool, Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        let result = match self.connection.take() {
            Some(connection) => self.read_from(connection, deadline),
            None => self.connect(deadline),
        };
        if let Err(error) = &result {
            self.retry_at = after(self.backoff.next(self.read_at - self.connected_at));
            self.connected_at = self.read_at;
            if !error.is_transient() {
                self.ended = true;
                // A line that is wrong may have been applied in part.
                self.live.clone_from(&self.reported);
            }
        }
        result
    }

    fn read_from(&mut self, mut connection: Connection, deadline: Instant) -> Result<bool, Error> {
        let has_line = match connection.line(deadline.min(self.read_at + SILENCE_MAX)) {
            Err(Error::Timeout { .. }) if self.read_at.elapsed() < SILENCE_MAX => false,
            line => {
                self.apply(&line?, connection.server())?;
                true
            }
        };
        self.connection = Some(connection);
        Ok(has_line)
    }

    /// Connects, when the pause is over, and reads the first line.
    fn connect(&mut self, deadline: Instant) -> Result<bool, Error> {
        std::thread::sleep(
            self.retry_at
                .min(deadline)
                .saturating_duration_since(Instant::now()),
        );
        if Instant::now() < self.retry_at {
            return Ok(false);
        }
        let command = of_type_or_all("watch", self.service_type.as_deref())?;
        let deadline = self.no_later(self.options.deadline());
        let mut connection = Connection::open(&self.options, deadline)?;
        connection.allow(DOCUMENT_LEN_MAX);
        let line = connection.ask(&command, deadline)?;
        self.apply(&line, connection.server())?;
        self.connection = Some(connection);
        self.connected_at = self.read_at;
        Ok(true)
    }

    /// Applies a line of the stream to the live services.
    fn apply(&mut self, line: &str, server: &str) -> Result<(), Error> {
        self.read_at = Instant::now();
        let unexpected = || Error::unexpected(server, line);
        let line: Line = parse(line).ok_or_else(unexpected)?;
        self.index = line.index;
        match (line.services, line.up, line.down, &mut self.live) {
            (Some(services), None, None, live) => {
                let live = live.insert(Live::new());
                services
                    .into_iter()
                    .for_each(|service| *live.entry(service).or_default() += 1);
            }
            (None, Some(up), Some(down), Some(live)) => {
                up.into_iter()
                    .for_each(|service| *live.entry(service).or_default() += 1);
                for service in down {
                    match live.get_mut(&service) {
                        Some(1) => drop(live.remove(&service)),
                        Some(count) => *count -= 1,
                        None => return Err(unexpected()),
                    }
                }
            }
            (None, None, None, Some(_)) => {}
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}

impl Iterator for Watcher {
    type Item = Result<Update, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_within(SILENCE_MAX) {
                None if self.is_over() => return None,
                None => {}
                item => return item,
            }
        }
    }
}

/// The services of which `these` has more than `those`.
fn surplus(these: &Live, those: &Live) -> Vec<Service> {
    let more = |(service, count): (&Service, &usize)| {
        let others = those.get(service).copied().unwrap_or(0);
        std::iter::repeat_n(service.clone(), count.saturating_sub(others))
    };
    these.iter().flat_map(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    #[test]
    fn a_caller_that_was_busy_for_long_gets_what_has_arrived_meanwhile() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let options = Options::new(&listener.local_addr().expect("an address").to_string());
        let service = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            BufReader::new(&stream)
                .read_line(&mut String::new())
                .expect("a command");
            stream
                .write_all(b"{\"index\":1,\"services\":[]}\n")
                .expect("it reads");
            stream
        });
        let mut watcher = Watcher::new(&options, None);
        watcher.next().expect("it is endless").expect("a state");
        let mut stream = service.join().expect("it has answered");
        let line = r#"{"index":2,"up":[{"type":"a","ip":"::1","port":1}],"down":[]}"#;
        stream
            .write_all(format!("{line}\n").as_bytes())
            .expect("it reads");
        watcher.read_at = Instant::now()
            .checked_sub(2 * SILENCE_MAX)
            .expect("the host is up for a minute");
        assert_eq!(
            watcher
                .next()
                .expect("it is endless")
                .expect("a change")
                .up
                .len(),
            1
        );
        watcher.read_at = Instant::now()
            .checked_sub(2 * SILENCE_MAX)
            .expect("the host is up for a minute");
        assert!(
            matches!(watcher.next(), Some(Err(Error::Timeout { .. }))),
            "silence is a dead connection"
        );
    }
}
