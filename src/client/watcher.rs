//! Watching the services of a type, or of all types.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::connection::{Connection, DOCUMENT_LEN_MAX};
use super::picture::{Line, Live, Picture, surplus};
use super::servers::{self, ASIDE_INTERVAL, ASIDE_MAX};
use super::{Error, Options, Service, after, of_type_or_all};

/// Silence after which a connection is dead: the service sends a keepalive every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// The default of [`Watcher::grace`].
pub const GRACE: Duration = Duration::from_secs(5);

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
/// again, with growing pauses, and yields what has changed in between. What the service does not know
/// any more then is kept for the time of [`grace`](Self::grace): after a restart, its holders are
/// about to come back, too. It ends after an error that is not [transient](Error::is_transient),
/// but for a token from a file that is refused: the file is read again for each attempt.
///
/// Of several servers, it watches the first that answers. While that one knows of no service, or is a
/// later one, it looks at the others now and then, and goes on with one that knows of some.
///
/// ```
/// # use discovery_service::client::{Client, Error, Options, Register, Watcher};
/// # fn main() -> Result<(), Error> {
/// # let (sender, receiver) = std::sync::mpsc::channel();
/// # std::thread::spawn(move || {
/// #     let mut config = discovery_service::server::config::Config::default();
/// #     config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
/// #     discovery_service::server::run(&config, &mut |listening| sender.send(listening.address()).expect("a listener"), || 0)
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
    picture: Picture,
    grace: Duration,
    /// When to look at other servers.
    aside_at: Instant,
    /// What the caller knows of the live services.
    reported: Option<Live>,
}

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
            picture: Picture::default(),
            grace: GRACE,
            aside_at: now,
            reported: None,
        }
    }

    /// Gives up at `deadline`, whatever it is doing then: the iterator ends.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long services are kept that are not there any more after a reconnect; 5 s by default, a
    /// year at most.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The live services that the service has told over the present connection, sorted; empty while
    /// there is none.
    #[must_use]
    pub fn confirmed(&self) -> Vec<Service> {
        let confirmed = self.picture.confirmed();
        confirmed.map_or(vec![], |live| surplus(live, &Live::new()))
    }

    /// The services that earlier connections have told and the present one not yet, sorted. They are
    /// in [`Update::services`] for the time of [`grace`](Self::grace).
    #[must_use]
    pub fn unconfirmed(&self) -> Vec<Service> {
        surplus(self.picture.unconfirmed(), &Live::new())
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
        while !self.has_change() {
            let due = [self.picture.grace_ends(), self.aside()];
            let until = due.into_iter().flatten().fold(deadline, Instant::min);
            if !self.read(until)? && self.ended || deadline <= Instant::now() {
                break;
            }
        }
        Ok(())
    }

    /// Does what is due, and returns whether there is a change to report.
    fn has_change(&mut self) -> bool {
        let now = Instant::now();
        if self.aside().is_some_and(|at| at <= now) {
            self.look_aside();
        }
        self.picture.expire(now);
        self.picture.live().as_deref() != self.reported.as_ref()
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
        // A server that knows of no service is not believed before the others were asked.
        if self.aside().is_some_and(|at| at <= Instant::now()) {
            return None;
        }
        let live = self.picture.live()?.into_owned();
        if self.reported.as_ref() == Some(&live) {
            return None;
        }
        let none = Live::new();
        let reported = self.reported.as_ref().unwrap_or(&none);
        let update = Update {
            index: self.picture.index,
            up: surplus(&live, reported),
            down: surplus(reported, &live),
            services: surplus(&live, &none),
        };
        self.reported = Some(live);
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
            self.picture.disconnect();
            self.ended = !self.options.may_succeed_after(error);
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
        let command = self.command()?;
        let deadline = self.no_later(self.options.deadline());
        let servers = &self.options.servers;
        let (connection, line) = servers::first(servers, deadline, |server, deadline| {
            let mut connection = Connection::open_at(server, &self.options, deadline)?;
            let line = connection.allow(DOCUMENT_LEN_MAX).ask(&command, deadline)?;
            Ok((connection, line))
        })?;
        self.begin(connection, &line)?;
        Ok(true)
    }

    fn command(&self) -> Result<String, Error> {
        of_type_or_all("watch", self.service_type.as_deref())
    }

    /// Goes on with a connection that has told its first line.
    fn begin(&mut self, connection: Connection, first: &str) -> Result<(), Error> {
        self.apply(first, connection.server())?;
        self.connected_at = self.read_at;
        self.aside_at = match self.has_some() {
            true => self.read_at + ASIDE_INTERVAL,
            false => self.read_at,
        };
        self.connection = Some(connection);
        Ok(())
    }

    /// Applies a line of the stream to the live services.
    fn apply(&mut self, line: &str, server: &str) -> Result<(), Error> {
        self.read_at = Instant::now();
        let had_some = self.has_some();
        let applied = Line::parse(line).and_then(|line| self.picture.apply(line, self.grace));
        if had_some && !self.has_some() {
            self.aside_at = self.read_at;
        }
        applied.ok_or_else(|| Error::unexpected(server, line))
    }

    /// Whether the server knows of a live service.
    fn has_some(&self) -> bool {
        self.picture
            .confirmed()
            .is_some_and(|live| !live.is_empty())
    }

    /// When to look at other servers; `None` while there is no reason to.
    fn aside(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        self.picture.confirmed()?;
        let others = self.options.others(connection.server(), self.has_some());
        (!others.is_empty()).then_some(self.aside_at)
    }

    /// Looks at the servers before this one, and where this one knows of no service, at those behind
    /// it, too. Goes on with the first that knows of some.
    fn look_aside(&mut self) {
        let server = self.connection.as_ref().map_or("", Connection::server);
        let others = self.options.others(server, self.has_some());
        let deadline = self.no_later(after(ASIDE_MAX));
        let ask = |server: &String| {
            let mut connection = Connection::open_at(server, &self.options, deadline).ok()?;
            connection.allow(DOCUMENT_LEN_MAX);
            let line = connection.ask(&self.command().ok()?, deadline).ok()?;
            let tells_some = Line::parse(&line).is_some_and(|line| line.tells_some());
            tells_some.then_some((connection, line))
        };
        let found = others.iter().find_map(ask);
        self.aside_at = after(ASIDE_INTERVAL);
        if let Some((connection, line)) = found {
            self.picture.disconnect();
            if self.begin(connection, &line).is_err() {
                self.connection = None;
            }
        }
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
