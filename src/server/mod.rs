//! Sockets, signals and the loop around the engine. The only room with mio and a clock.

mod advertise;
mod cluster;
pub mod config;
mod descriptors;
mod dns;
mod ids;
mod listen;
mod memory;
mod network;
mod options;
mod process;
mod service_manager;
mod signals;
mod start_error;
mod starting;
mod state_file;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::Utc;
use log::{error, info, warn};
use mio::{Events, Poll};

use crate::auth::{self, TokenFileError, Tokens};
use crate::engine::{Engine, Reading, Settings, Sockets};
use crate::limits::{SHUTDOWN_MS_MAX, TURN_EVENTS_MAX};
use crate::server::config::{Config, EtcdUser};
use crate::service::Service;
use crate::time::WallTime;
use crate::wire::dns::Counters;

use dns::DnsSockets;
use network::MioNetwork;
use signals::{Signal, Signals};
pub use start_error::StartError;
use state_file::FileJournal;
pub use state_file::StateError;

/// What is served, and at which real address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// The registry.
    Registry(SocketAddr),
    /// DNS, over UDP and TCP.
    Dns(SocketAddr),
}

impl Listening {
    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match *self {
            Listening::Registry(address) | Listening::Dns(address) => address,
        }
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listening::Registry(address) => write!(f, "listening on {address}"),
            Listening::Dns(address) => write!(f, "dns listening on {address}"),
        }
    }
}

/// Runs the service until a signal stops it. Calls `announce` with the real address of each
/// listener as soon as it is ready. `log_lines_dropped` returns how many log lines were dropped
/// since the start, for `stats`; pass `|| 0` where the log drops none.
///
/// # Errors
/// A [`StartError`] when `config` breaks a rule, the service cannot start, or the system's poll fails
/// for good.
pub fn run(
    config: &Config,
    announce: &mut dyn FnMut(Listening),
    log_lines_dropped: fn() -> u64,
) -> Result<(), StartError> {
    // Before there are threads, for what it is told stands in the environment.
    let inherited = service_manager::listeners()
        .map_err(|error| StartError::System("take the listeners of the service manager", error))?;
    let config = &config.listening_on(&inherited);
    config.validate().map_err(StartError::Config)?;
    let tokens = match &config.token_file {
        Some(path) => {
            Some(read_tokens(path).map_err(|error| StartError::TokenFile(path.clone(), error))?)
        }
        None => None,
    };
    let poll = Poll::new().map_err(|error| StartError::System("create an event loop", error))?;
    let signals = Signals::new(poll.registry())
        .map_err(|error| StartError::System("handle signals", error))?;
    // The count does not go back over a restart, unless the wall clock does and there is no state file.
    let begin = u64::try_from(Utc::now().timestamp_micros()).unwrap_or_default();
    // Before anybody can ask.
    let (mut service, state_file) = starting::service(config, poll.registry(), begin)?;
    if let Some(tokens) = tokens {
        service.set_tokens(tokens);
    }
    if let Some(cluster) = &config.cluster {
        cluster::join(&mut service, cluster, starting::random()?)?;
    }
    let network = MioNetwork::new(poll.registry())
        .map_err(|error| StartError::System("watch sockets", error))?;
    let start = Instant::now();
    let sockets_len = config.listen.len() + 2 * config.dns.listen.len();
    let settings = Settings {
        connections_max: descriptors::fit_connections(config.connections_max as usize, sockets_len),
        idle_ms_max: config
            .idle_timeout
            .map(|timeout| timeout.as_millis() as u64),
        tick: config.tick,
        ttl: config.ttl,
    };
    memory::check(config.services_max);
    // A node of a cluster listens when it knows what there is.
    let sockets = Sockets {
        listeners: Vec::new(),
        datagrams: Vec::new(),
    };
    let mut engine = Engine::new(settings, service, sockets, start.elapsed());
    let state_file = match state_file {
        Some(state_file) => Some(starting::save(&mut engine, state_file)?),
        None => None,
    };
    let mut server = Server {
        poll,
        network,
        signals,
        engine,
        state_file,
        token_file: config.token_file.clone(),
        etcd_user: config.cluster.as_ref().and_then(|of| of.user.clone()),
        dns: Rc::default(),
        log_lines_dropped,
        start,
        status: String::new(),
        stopping_since: None,
    };
    let ended = server.serve(config, &settings, inherited, announce);
    server.end();
    ended
}

/// Reads the token file, and warns when everybody on the host can read it too.
fn read_tokens(path: &Path) -> Result<Tokens, TokenFileError> {
    let tokens = auth::read_tokens(path)?;
    if auth::is_readable_by_everybody(path) {
        let path = path.display();
        warn!("the token file {path} is readable by everybody: chmod 600 it");
    }
    Ok(tokens)
}

/// The present wall time.
fn wall_time() -> WallTime {
    WallTime::from_unix_millis(Utc::now().timestamp_millis())
}

/// Why the loop has ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// The service stops.
    Stopped,
    /// What was waited for has come, or its time is over.
    Waited,
}

/// The state of the loop.
struct Server {
    poll: Poll,
    network: MioNetwork,
    signals: Signals,
    engine: Engine<MioNetwork, Service>,
    state_file: Option<Rc<RefCell<FileJournal>>>,
    token_file: Option<PathBuf>,
    etcd_user: Option<EtcdUser>,
    dns: Rc<Counters>,
    log_lines_dropped: fn() -> u64,
    start: Instant,
    /// What a service manager shows of it.
    status: String,
    stopping_since: Option<Instant>,
}

impl Server {
    /// Waits for the state of the cluster, if there is one, then listens until a signal stops it.
    fn serve(
        &mut self,
        config: &Config,
        settings: &Settings,
        inherited: Vec<TcpListener>,
        announce: &mut dyn FnMut(Listening),
    ) -> Result<(), StartError> {
        if let Some(cluster) = &config.cluster
            && self.turns(Some(cluster.wait))? == Ended::Stopped
        {
            return Ok(());
        }
        self.listen(config, settings, inherited, announce)?;
        self.turns(None).map(drop)
    }

    /// Opens all sockets, and says so.
    fn listen(
        &mut self,
        config: &Config,
        settings: &Settings,
        inherited: Vec<TcpListener>,
        announce: &mut dyn FnMut(Listening),
    ) -> Result<(), StartError> {
        let network = &mut self.network;
        let (mut listeners, addresses) = starting::listen(config, inherited, network)?;
        let dns = DnsSockets::open(network, &config.dns, listeners.len())?;
        listeners.extend(dns.listeners);
        let datagrams = dns.datagrams;
        self.engine.listen(Sockets {
            listeners,
            datagrams,
        });
        let service = self.engine.handler_mut();
        if !dns.addresses.is_empty() {
            let counters = Rc::clone(&dns.counters);
            service.set_dns_source(Box::new(move || counters.stats()));
        }
        self.dns = dns.counters;
        let advertised = config
            .advertise
            .or_else(|| advertise::advertised(&addresses));
        if let Some(ip) = advertised {
            service.advertise(ip);
        }
        if !addresses.iter().all(|address| address.ip().is_loopback()) {
            service.warn_of_loopback();
        }
        starting::log_start(config, settings, &addresses, advertised);
        self.status = format!("listening on {}", starting::listed(&addresses));
        let of_registry = addresses.into_iter().map(Listening::Registry);
        let of_dns = dns.addresses.into_iter().map(Listening::Dns);
        of_registry.chain(of_dns).for_each(announce);
        service_manager::ready(&self.status);
        Ok(())
    }

    fn end(mut self) {
        self.engine.end(&mut self.network);
        if let Some(state_file) = self.state_file {
            const LIMIT: Duration = Duration::from_millis(SHUTDOWN_MS_MAX);
            let spent = self
                .stopping_since
                .map_or(Duration::ZERO, |since| since.elapsed());
            state_file.borrow_mut().close(LIMIT.saturating_sub(spent));
        }
    }

    /// The loop: wait, then let the engine take a turn. Ends at this time after the start, or as soon as
    /// questions can be answered, if there is such a time.
    fn turns(&mut self, until: Option<Duration>) -> Result<Ended, StartError> {
        let no_events = |error| StartError::System("wait for events", error);
        let mut events = Events::with_capacity(TURN_EVENTS_MAX);
        let mut deadline = Some(Duration::ZERO);
        let mut worst_turn = Duration::ZERO;
        loop {
            let now = self.start.elapsed();
            let waits = |limit| now < limit && !self.engine.handler().is_ready();
            if until.is_some_and(|limit| !waits(limit)) {
                return Ok(Ended::Waited);
            }
            let next: Option<Duration> = deadline.into_iter().chain(until).min();
            let timeout = next.map(|next| next.saturating_sub(now));
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                // The next poll waits for the rest of the time.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(no_events(error)),
            }
            if events.iter().any(|event| event.token() == network::SIGNALS)
                && !self.handle_signals()
            {
                return Ok(Ended::Stopped);
            }
            let more_events = events.iter().count() == TURN_EVENTS_MAX;
            let turn_start = self.start.elapsed();
            let reading = Reading {
                monotonic: turn_start,
                wall: wall_time(),
                worst_turn,
                log_lines_dropped: (self.log_lines_dropped)(),
            };
            let events = events.iter().filter_map(network::to_event);
            let turned = self
                .engine
                .turn(&mut self.network, events, more_events, reading);
            dns::log_cut(&self.dns);
            deadline = turned.wait.map(|wait| turn_start.saturating_add(wait));
            // Measured here, because an interrupted poll begins the loop again without a turn.
            worst_turn = worst_turn.max(self.start.elapsed().saturating_sub(turn_start));
            if self.engine.is_stopped() {
                return Ok(Ended::Stopped);
            }
            if let Some(name) = self.engine.handler().other_cluster() {
                return Err(StartError::OtherCluster(name.to_owned()));
            }
        }
    }

    /// Reads the token file again, and closes the connections whose token is no longer in it.
    fn reload(&mut self) {
        service_manager::reloading();
        self.read_tokens_again();
        self.read_password_again();
        service_manager::ready(&self.status);
    }

    fn read_tokens_again(&mut self) {
        let Some(path) = &self.token_file else {
            if self.etcd_user.is_none() {
                info!("SIGHUP: there is no token file to read again");
            }
            return;
        };
        match read_tokens(path) {
            Ok(tokens) => {
                self.engine.handler_mut().set_tokens(tokens);
                self.engine.dismiss();
                info!("read the token file again");
            }
            Err(error) => {
                let path = path.display();
                error!("cannot use the token file {path}: {error}; the old tokens stay");
            }
        }
    }

    fn read_password_again(&mut self) {
        let Some(user) = &self.etcd_user else {
            return;
        };
        match cluster::read_user(user) {
            Ok(user) => {
                self.engine.handler_mut().set_etcd_user(user);
                info!("read the password for etcd again");
            }
            Err(error) => error!("{error}; the old password stays"),
        }
    }

    /// Handles the pending signals; `false` when the process must end at once.
    fn handle_signals(&mut self) -> bool {
        let signals: Vec<Signal> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                Signal::Stop if self.engine.is_stopping() => {
                    info!("stopped at once by a second signal");
                    return false;
                }
                Signal::Stop => {
                    info!("stopping");
                    service_manager::stopping();
                    self.stopping_since = Some(Instant::now());
                    self.engine.stop(&mut self.network);
                }
                Signal::Reload => self.reload(),
            }
        }
        true
    }
}
