//! Following the services of a type, or of all types.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::backoff::Backoff;
use super::connection::Connection;
use super::{Error, Options, Service, service};

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

/// An endless iterator over updates, the first of which is the state at the start.
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
/// #     let arguments = ["discovery", "--listen", "127.0.0.1:0"];
/// #     let config = discovery_service::config::Config::from_args(arguments).expect("arguments");
/// #     discovery_service::server::run(&config, &mut |address| sender.send(address).expect("a listener"))
/// # });
/// # let server = receiver.recv().expect("it listens").to_string();
/// let options = Options::new(&server);
/// let mut client = Client::new(&options);
/// for update in Watcher::new(&options, Some("hive")).take(2) {
///     let update = update?;
///     match &update.up[..] {
///         [] => drop(client.register("hive", "10.0.0.7", 80, Register::default())?),
///         up => assert_eq!(up[0].address.to_string(), "10.0.0.7:80"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watcher {
    options: Options,
    service_type: Option<String>,
    connection: Option<Connection>,
    backoff: Backoff,
    /// The next try must wait.
    failed: bool,
    ended: bool,
    /// When the service last said something.
    heard_at: Instant,
    /// How often each service is registered; unknown at first.
    picture: Option<BTreeMap<Service, usize>>,
}

impl Watcher {
    /// Follows one type or all.
    #[must_use]
    pub fn new(options: &Options, service_type: Option<&str>) -> Self {
        Watcher {
            options: options.clone(),
            service_type: service_type.map(str::to_owned),
            connection: None,
            backoff: Backoff::default(),
            failed: false,
            ended: false,
            heard_at: Instant::now(),
            picture: None,
        }
    }

    /// The next update within `time`; `None` when nothing has changed.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn next_within(&mut self, time: Duration) -> Option<Result<Update, Error>> {
        let deadline = Instant::now() + time;
        while !self.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            match self.step(left) {
                Ok(None) => {}
                Ok(Some(update)) => return Some(Ok(update)),
                Err(error) => {
                    self.connection = None;
                    self.failed = true;
                    self.ended = !error.is_transient();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// Whether another update has arrived already.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::has_line)
    }

    /// Goes one line further; `None` when that changed nothing, or `time` is over.
    fn step(&mut self, time: Duration) -> Result<Option<Update>, Error> {
        if self.connection.is_none() {
            if std::mem::take(&mut self.failed) {
                let wait = self.backoff.next();
                std::thread::sleep(wait.min(time));
                if wait > time {
                    self.failed = true;
                    return Ok(None);
                }
            }
            let mut connection = Connection::open(&self.options)?;
            let command = match &self.service_type {
                Some(service_type) => format!("watch {}", super::word(service_type)?),
                None => "watch".to_owned(),
            };
            let line = connection.ask(&command)?;
            let update = self.apply(&line, connection.server())?;
            self.connection = Some(connection);
            self.heard_at = Instant::now();
            self.backoff.reset();
            return Ok(update);
        }
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let line = match connection.line(time.min(SILENCE_MAX.saturating_sub(self.heard_at.elapsed()))) {
            Err(Error::Timeout { .. }) if self.heard_at.elapsed() < SILENCE_MAX => return Ok(None),
            line => line?,
        };
        self.heard_at = Instant::now();
        let server = connection.server().to_owned();
        self.apply(&line, &server)
    }

    fn apply(&mut self, line: &str, server: &str) -> Result<Option<Update>, Error> {
        let nonsense = || Error::nonsense(server, line);
        let object: Value = serde_json::from_str(line).map_err(|_| nonsense())?;
        let index = object["index"].as_u64().ok_or_else(nonsense)?;
        let list = |key: &str| -> Result<Option<Vec<Service>>, Error> {
            let Some(list) = object.get(key) else { return Ok(None) };
            let services = list.as_array().and_then(|list| list.iter().map(service).collect());
            services.map(Some).ok_or_else(nonsense)
        };
        let known = self.picture.take();
        let first = known.is_none();
        let mut picture = known.clone().unwrap_or_default();
        match (list("services")?, list("up")?, list("down")?) {
            (Some(services), None, None) => {
                picture.clear();
                services.into_iter().for_each(|service| *picture.entry(service).or_default() += 1);
            }
            (None, Some(up), Some(down)) if !first => {
                up.into_iter().for_each(|service| *picture.entry(service).or_default() += 1);
                for service in down {
                    match picture.get_mut(&service) {
                        Some(1) => drop(picture.remove(&service)),
                        Some(count) => *count -= 1,
                        None => return Err(nonsense()),
                    }
                }
            }
            (None, None, None) if !first => {}
            _ => return Err(nonsense()),
        }
        let known = known.unwrap_or_default();
        let (up, down) = (surplus(&picture, &known), surplus(&known, &picture));
        let update = (first || !up.is_empty() || !down.is_empty()).then(|| Update {
            index,
            up,
            down,
            services: surplus(&picture, &BTreeMap::new()),
        });
        self.picture = Some(picture);
        Ok(update)
    }
}

impl Iterator for Watcher {
    type Item = Result<Update, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_within(SILENCE_MAX) {
                None if self.ended => return None,
                None => {}
                item => return item,
            }
        }
    }
}

/// What stands in `these` more often than in `those`.
fn surplus(these: &BTreeMap<Service, usize>, those: &BTreeMap<Service, usize>) -> Vec<Service> {
    let more = |(service, count): (&Service, &usize)| {
        let others = those.get(service).copied().unwrap_or(0);
        std::iter::repeat_n(service.clone(), count.saturating_sub(others))
    };
    these.iter().flat_map(more).collect()
}
