//! An ephemeral registration, held by a thread.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::connection::Connection;
use super::{Error, Options, after, argument, is_uuid};

/// Pause between two pings on a connection that holds a registration.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The longest time to end a registration, whatever [`Options::timeout`] is: the caller is waiting.
const STOP_MAX: Duration = Duration::from_secs(2);

/// An ephemeral registration: it lives as long as this value. A thread holds it with a connection
/// of its own, and registers again, with growing pauses, after the service was restarted or the
/// network failed. Dropping the value removes the registration at once.
///
/// ```
/// # use discovery_service::client::{Error, Notice, Options, Registration};
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
/// let (sender, notices) = std::sync::mpsc::channel();
/// // In the background: a program need not wait for the registry, nor fail because it is away.
/// let registration = Registration::keep(&options, "hive", "-", 65433, move |notice| {
///     let _ = sender.send(matches!(notice, Notice::Registered { .. }));
/// })?;
/// assert!(notices.recv().expect("a notice"));
/// assert!(registration.uuid().is_some());
/// registration.deregister();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Registration {
    shared: Arc<Shared>,
    timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

/// What happened to a registration.
#[derive(Debug)]
pub enum Notice {
    /// The service is registered.
    Registered {
        /// The UUID.
        uuid: String,
        /// The server that holds the registration.
        server: String,
    },
    /// The service is not registered, because of this error. Another attempt follows.
    Lost(Error),
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    ended: bool,
    uuid: Option<String>,
    /// The connection that holds the registration.
    stream: Option<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it has the lock, so the state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a connection holds the registration.
    fn record(&self, connection: &Connection, uuid: &str) -> Result<(), Error> {
        let stream = connection.handle()?;
        let mut state = self.state();
        if state.stopping {
            let _ = stream.shutdown(Shutdown::Write);
        }
        state.stream = Some(stream);
        state.uuid = Some(uuid.to_owned());
        Ok(())
    }

    /// Waits, until the registration is to stop at most. Returns whether it is to stop.
    fn pause(&self, time: Duration) -> bool {
        let result = self
            .changed
            .wait_timeout_while(self.state(), time, |state| !state.stopping);
        result.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

impl Registration {
    /// Registers a service, and returns when it is registered. `ip` may be `-` for the address that
    /// the connection comes from.
    ///
    /// # Errors
    /// When the first attempt fails.
    pub fn hold(options: &Options, service_type: &str, ip: &str, port: u16) -> Result<Self, Error> {
        let command = hold_command(service_type, ip, port)?;
        let (connection, uuid) = hold(options, &command, None)?;
        let shared = Arc::new(Shared::default());
        shared.record(&connection, &uuid)?;
        Self::start(options, shared, command, Some((connection, uuid)), |_| {})
    }

    /// Registers a service in the background, however long that takes. Calls `observe` from another
    /// thread with what happens. The observer must not drop the registration, and must not panic,
    /// which would end the registration.
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Thread`] only.
    pub fn keep(
        options: &Options,
        service_type: &str,
        ip: &str,
        port: u16,
        observe: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
        let command = hold_command(service_type, ip, port)?;
        Self::start(options, Arc::new(Shared::default()), command, None, observe)
    }

    fn start(
        options: &Options,
        shared: Arc<Shared>,
        command: String,
        held: Option<(Connection, String)>,
        observe: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            options: options.clone(),
            command,
            observe,
        };
        let thread = std::thread::Builder::new()
            .spawn(move || keeper.run(held))
            .map_err(Error::Thread)?;
        Ok(Registration {
            shared,
            timeout: options.timeout.min(STOP_MAX),
            thread: Some(thread),
        })
    }

    /// The UUID of the registration; `None` while the service is not registered.
    #[must_use]
    pub fn uuid(&self) -> Option<String> {
        self.shared.state().uuid.clone()
    }

    /// Removes the registration and waits until the service has done so, no longer than
    /// [`Options::timeout`] and 2 s.
    pub fn deregister(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let mut state = self.shared.state();
        state.stopping = true;
        if let Some(stream) = &state.stream {
            // The service removes the registration, then closes its side.
            let _ = stream.shutdown(Shutdown::Write);
        }
        self.shared.changed.notify_all();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, self.timeout, |state| !state.ended);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.ended {
            drop(state);
            let _ = thread.join();
        } else if let Some(stream) = &state.stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The state of a registration's thread.
struct Keeper<F> {
    shared: Arc<Shared>,
    options: Options,
    command: String,
    observe: F,
}

/// Runs however the thread ends, also when the observer panics.
impl<F> Drop for Keeper<F> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        (state.ended, state.uuid, state.stream) = (true, None, None);
        self.shared.changed.notify_all();
    }
}

impl<F: FnMut(Notice)> Keeper<F> {
    fn run(mut self, mut held: Option<(Connection, String)>) {
        let mut backoff = Backoff::default();
        // If the network failed, the registration of the last connection may still be there.
        let mut earlier: Option<String> = None;
        while !self.shared.state().stopping {
            let (error, lasted) = match held.take().map_or_else(
                || hold(&self.options, &self.command, earlier.as_deref()),
                Ok,
            ) {
                Ok((connection, uuid)) => {
                    earlier = Some(uuid.clone());
                    let begun = Instant::now();
                    (self.watch(connection, uuid), begun.elapsed())
                }
                Err(error) => {
                    // If this server is full, the next may have room.
                    self.options.servers.rotate_left(1);
                    (error, Duration::ZERO)
                }
            };
            if self.shared.state().stopping {
                break;
            }
            (self.observe)(Notice::Lost(error));
            if self.shared.pause(backoff.next(lasted)) {
                break;
            }
        }
    }

    /// Watches the connection until it fails or is shut down.
    fn watch(&mut self, mut connection: Connection, uuid: String) -> Error {
        if let Err(error) = self.shared.record(&connection, &uuid) {
            return error;
        }
        if !self.shared.state().stopping {
            (self.observe)(Notice::Registered {
                uuid,
                server: connection.server().to_owned(),
            });
        }
        let error = loop {
            let line = match connection.line(after(PING_INTERVAL)) {
                Err(Error::Timeout { .. }) => connection.ask("ping", self.options.deadline()),
                line => line,
            };
            match line {
                Ok(answer) if answer == "PONG" => {}
                Ok(answer) => break Error::unexpected(connection.server(), &answer),
                Err(error) => break error,
            }
        };
        let mut state = self.shared.state();
        state.stream = None;
        state.uuid = None;
        error
    }
}

fn hold_command(service_type: &str, ip: &str, port: u16) -> Result<String, Error> {
    Ok(format!(
        "hold {} {} {port}",
        argument(service_type)?,
        argument(ip)?
    ))
}

/// Connects and registers, in place of an earlier registration.
fn hold(
    options: &Options,
    command: &str,
    earlier: Option<&str>,
) -> Result<(Connection, String), Error> {
    let deadline = options.deadline();
    let mut connection = Connection::open(options, deadline)?;
    if let Some(earlier) = earlier {
        connection.ask(&format!("deregister {earlier}"), deadline)?;
    }
    let uuid = connection.ask(command, deadline)?;
    if is_uuid(&uuid) {
        Ok((connection, uuid))
    } else {
        Err(Error::unexpected(connection.server(), &uuid))
    }
}
