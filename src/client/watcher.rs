//! Following the services of a type, or of all types.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::backoff::Backoff;
use super::connection::Connection;
use super::{Error, Options, Service, after, of_type_or_all, parse};

/// Silence after which a connection is taken for dead: the service speaks every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// A change of what is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The registry's count of changes.
    pub index: u64,
    /// What came since the last update.
    pub up: Vec<Service>,
    /// What went since the last update.
    pub down: Vec<Service>,
    /// All that is live now, in order; one that is registered twice stands there twice.
    pub services: Vec<Service>,
}

/// An iterator over updates, the first of which is the state at the start; endless unless told
/// [otherwise](Self::until).
///
/// When the connection breaks it yields the error, keeps its picture, and goes on at the next call:
/// it connects again, waiting longer from try to try, and yields what has changed in between. After an
/// error that is not [transient](Error::is_transient) it ends.
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
///         // It is away: the next turn waits for it.
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
    /// When it gives up, if ever.
    deadline: Option<Instant>,
    connection: Option<Connection>,
    backoff: Backoff,
    /// Before that nothing is tried again.
    retry_at: Instant,
    /// What has ended the connection, still to be told.
    failure: Option<Error>,
    ended: bool,
    connected_at: Instant,
    /// When the service last said something.
    heard_at: Instant,
    index: u64,
    /// What is live, as far as it has been heard; unknown at first.
    picture: Option<Picture>,
    /// What was last told of it.
    told: Option<Picture>,
}

/// A line of the stream: a snapshot has `services`, a delta `up` and `down`, a keepalive none of them.
#[derive(Deserialize)]
struct Line {
    index: u64,
    services: Option<Vec<Service>>,
    up: Option<Vec<Service>>,
    down: Option<Vec<Service>>,
}

/// How often each service is registered.
type Picture = BTreeMap<Service, usize>;

impl Watcher {
    /// Follows one type or all.
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
            heard_at: now,
            index: 0,
            picture: None,
            told: None,
        }
    }

    /// Gives up at `deadline`, whatever it is doing then: the iterator ends.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Whether there is a connection to the service: whether the picture is the present one.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The next update within `time`; `None` when nothing has changed. Where it must connect, that takes
    /// as long as the options say, even when `time` is shorter.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn next_within(&mut self, time: Duration) -> Option<Result<Update, Error>> {
        self.hear_change(after(time))
            .map(|()| self.tell())
            .transpose()
    }

    /// As [`next_within`](Self::next_within), for who wants to know what is live now, and not how it came
    /// about: all that has arrived by now is one update.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn latest_within(&mut self, time: Duration) -> Option<Result<Update, Error>> {
        let heard = self.hear_change(after(time));
        if heard.is_ok() {
            self.catch_up();
        }
        heard.map(|()| self.tell()).transpose()
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        (self.ended && self.failure.is_none())
            || self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// This time, unless it is to give up before.
    fn no_later(&self, deadline: Instant) -> Instant {
        self.deadline.map_or(deadline, |end| end.min(deadline))
    }

    /// Hears until there is something to tell, or the deadline is over.
    fn hear_change(&mut self, deadline: Instant) -> Result<(), Error> {
        let deadline = self.no_later(deadline);
        // A service that says much which changes nothing is not heard for longer.
        while self.picture == self.told && self.hear(deadline)? && Instant::now() < deadline {}
        Ok(())
    }

    /// Hears what has arrived already.
    fn catch_up(&mut self) {
        /// A service that speaks without a pause is not heard for ever.
        const CATCH_UP_MAX: Duration = Duration::from_millis(100);
        let end = after(CATCH_UP_MAX);
        while self.is_connected() && Instant::now() < end {
            match self.hear(Instant::now()) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// What has changed since it was told last.
    fn tell(&mut self) -> Option<Update> {
        let picture = self
            .picture
            .as_ref()
            .filter(|picture| self.told.as_ref() != Some(picture))?;
        let none = Picture::new();
        let told = self.told.as_ref().unwrap_or(&none);
        let update = Update {
            index: self.index,
            up: surplus(picture, told),
            down: surplus(told, picture),
            services: surplus(picture, &none),
        };
        self.told = Some(picture.clone());
        Some(update)
    }

    /// Hears one line; `false` when none has come.
    fn hear(&mut self, deadline: Instant) -> Result<bool, Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        let heard = match self.connection.take() {
            Some(connection) => self.hear_from(connection, deadline),
            None => self.connect(deadline),
        };
        if let Err(error) = &heard {
            self.retry_at = after(self.backoff.next(self.heard_at - self.connected_at));
            self.connected_at = self.heard_at;
            if !error.is_transient() {
                self.ended = true;
                // A line that is nonsense may have been taken in by half.
                self.picture.clone_from(&self.told);
            }
        }
        heard
    }

    fn hear_from(&mut self, mut connection: Connection, deadline: Instant) -> Result<bool, Error> {
        let heard = match connection.line(deadline.min(self.heard_at + SILENCE_MAX)) {
            Err(Error::Timeout { .. }) if self.heard_at.elapsed() < SILENCE_MAX => false,
            line => {
                self.take_in(&line?, connection.server())?;
                true
            }
        };
        self.connection = Some(connection);
        Ok(heard)
    }

    /// Connects, once it is time, and hears the first line.
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
        let mut connection = Connection::open(&self.options, deadline)?.with_documents();
        let line = connection.ask(&command, deadline)?;
        self.take_in(&line, connection.server())?;
        self.connection = Some(connection);
        self.connected_at = self.heard_at;
        Ok(true)
    }

    /// Changes the picture as a line of the stream says.
    fn take_in(&mut self, line: &str, server: &str) -> Result<(), Error> {
        self.heard_at = Instant::now();
        let nonsense = || Error::nonsense(server, line);
        let line: Line = parse(line).ok_or_else(nonsense)?;
        self.index = line.index;
        match (line.services, line.up, line.down, &mut self.picture) {
            (Some(services), None, None, picture) => {
                let picture = picture.insert(Picture::new());
                services
                    .into_iter()
                    .for_each(|service| *picture.entry(service).or_default() += 1);
            }
            (None, Some(up), Some(down), Some(picture)) => {
                up.into_iter()
                    .for_each(|service| *picture.entry(service).or_default() += 1);
                for service in down {
                    match picture.get_mut(&service) {
                        Some(1) => drop(picture.remove(&service)),
                        Some(count) => *count -= 1,
                        None => return Err(nonsense()),
                    }
                }
            }
            (None, None, None, Some(_)) => {}
            _ => return Err(nonsense()),
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

/// What stands in `these` more often than in `those`.
fn surplus(these: &Picture, those: &Picture) -> Vec<Service> {
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
    fn whoever_was_away_for_long_hears_what_has_arrived_meanwhile() {
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
        watcher.heard_at = Instant::now()
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
        watcher.heard_at = Instant::now()
            .checked_sub(2 * SILENCE_MAX)
            .expect("the host is up for a minute");
        assert!(
            matches!(watcher.next(), Some(Err(Error::Timeout { .. }))),
            "silence is a dead connection"
        );
    }
}
