//! An ephemeral registration, held by a thread.

use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::connection::Connection;
use super::keeper::Keeper;
use super::lease::{Held, Lease, Offer};
use super::{Error, Options, Reason, Register};

/// The longest time to end a registration, whatever [`Options::timeout`] is: the caller is waiting.
const STOP_MAX: Duration = Duration::from_secs(2);

/// An ephemeral registration: it lives as long as this value. A thread holds it with a connection
/// of its own, and registers again, with growing pauses, after the service was restarted or the
/// network failed. Dropping the value removes the registration at once.
///
/// The thread proves the registration, and not only the connection: it sends a heartbeat every third
/// of the TTL, 10 s at most. When somebody has removed the registration, it registers again; when
/// somebody has replaced it, as soon as nobody else is registered at its address.
///
/// Of several servers, the first that answers is used. One that leaves a heartbeat unanswered for a third of
/// the TTL is given up, and the others are tried before it. While the registration is at a later one, the
/// earlier ones are tried after each heartbeat, and it moves to the first that answers. Among the nodes of
/// one cluster, watchers are told nothing of a move: the new registration takes the place of the old one.
///
/// After a fork, a child has no thread that keeps the registration, but it has the connection: the
/// registration lives until the child ends, too. So a program that forks should register after that,
/// or its child should start another program, which closes the connection.
///
/// ```
/// # use discovery_service::client::{Error, Notice, Options, Register, Registration};
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
/// let (sender, notices) = std::sync::mpsc::channel();
/// // In the background: a program need not wait for the registry, nor fail because it is away.
/// let registration = Registration::keep(&options, "hive", "-", 65433, Register::default(), move |notice: Notice| {
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
    /// Somebody else has removed the registration, for this reason, if the server knows one. It is
    /// made again: at once, or, where it was [replaced](Reason::Replaced), as soon as nobody else is
    /// registered at its address.
    Removed(Option<Reason>),
}

/// What a registration tells and asks. Every closure that takes a [`Notice`] is an observer. It is
/// called from another thread, must not drop the registration, and must not panic, which would end
/// the registration.
pub trait Observer: Send {
    /// Something has happened.
    fn notice(&mut self, notice: Notice);

    /// The address to register; clients would be told `told`, which is the given one, or that from
    /// which a server sees this host. It is asked before each attempt to register.
    ///
    /// # Errors
    /// Why no address can be registered now. Another attempt follows.
    fn choose(&mut self, told: IpAddr) -> Result<IpAddr, String> {
        Ok(told)
    }
}

impl<F: FnMut(Notice) + Send> Observer for F {
    fn notice(&mut self, notice: Notice) {
        self(notice);
    }
}

/// What a registration and its thread share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    ended: bool,
    held: Option<Held>,
    /// The connection that holds the registration, or waits to.
    stream: Option<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it has the lock, so the state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    /// Records that a connection holds the registration.
    pub(super) fn record(&self, lease: &Lease) -> Result<(), Error> {
        self.record_connection(&lease.connection)?;
        self.state().held = Some(lease.held.clone());
        Ok(())
    }

    /// Records a connection, to be shut down when the registration is to stop.
    pub(super) fn record_connection(&self, connection: &Connection) -> Result<(), Error> {
        let stream = connection.handle()?;
        let mut state = self.state();
        if state.stopping {
            let _ = stream.shutdown(Shutdown::Write);
        }
        state.stream = Some(stream);
        Ok(())
    }

    /// Records that the connection has failed. The server may still take what it holds for registered.
    pub(super) fn lose(&self) {
        self.state().held = None;
    }

    /// Records that nothing is registered.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        (state.held, state.stream) = (None, None);
    }

    /// Records that the thread ends.
    pub(super) fn end(&self) {
        self.forget();
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Waits, until the registration is to stop at most. Returns whether it is to stop.
    pub(super) fn pause(&self, time: Duration) -> bool {
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
    pub fn hold(
        options: &Options,
        service_type: &str,
        ip: &str,
        port: u16,
        how: Register,
    ) -> Result<Self, Error> {
        let offer = Offer::new(service_type, ip, port, &how)?;
        let shared = Arc::new(Shared::default());
        let mut keeper = Keeper::new(Arc::clone(&shared), options, offer, |_: Notice| {});
        let lease = keeper.acquire()?;
        shared.record(&lease)?;
        Self::start(options, shared, keeper, Some(lease))
    }

    /// Registers a service in the background, however long that takes. Tells `observer` what
    /// happens.
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Thread`] only.
    pub fn keep(
        options: &Options,
        service_type: &str,
        ip: &str,
        port: u16,
        how: Register,
        observer: impl Observer + 'static,
    ) -> Result<Self, Error> {
        let offer = Offer::new(service_type, ip, port, &how)?;
        let shared = Arc::new(Shared::default());
        let keeper = Keeper::new(Arc::clone(&shared), options, offer, observer);
        Self::start(options, shared, keeper, None)
    }

    fn start(
        options: &Options,
        shared: Arc<Shared>,
        keeper: Keeper<impl Observer + 'static>,
        held: Option<Lease>,
    ) -> Result<Self, Error> {
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
        self.shared.state().held.clone().map(|held| held.uuid)
    }

    /// The address that clients are told; `None` while the service is not registered.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.shared.state().held.clone().map(|held| held.address)
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
