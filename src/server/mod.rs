//! The only room with mio and a clock: sockets, signals and the loop around the engine.

mod ids;
mod listen;
mod network;
mod signals;

use std::fmt;
use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::info;
use mio::{Events, Poll};

use crate::config::Config;
use crate::engine::{Engine, Settings};
use crate::limits::TURN_EVENTS_MAX;
use crate::registry::Registry;
use crate::service::Service;

use network::MioNetwork;

/// Why the service could not run.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be listened on.
    Listen(SocketAddr, io::Error),
    /// The system refused something that no service can do without.
    System(&'static str, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) => write!(f, "cannot listen on {address}: {}", Plain(error)),
            StartError::System(what, error) => write!(f, "cannot {what}: {}", Plain(error)),
        }
    }
}

impl std::error::Error for StartError {}

/// An error in the system's words, without the number that the standard library adds.
struct Plain<'a>(&'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let plain = text.split_once(" (os error").map_or(text.as_str(), |(plain, _)| plain);
        f.write_str(plain)
    }
}

/// Runs the service until a signal stops it. Calls `announce` with the real address of each
/// listener as soon as it is ready.
///
/// # Errors
/// A [`StartError`] when it cannot start or the system's poll fails for good.
pub fn run(config: &Config, announce: &mut dyn FnMut(SocketAddr)) -> Result<(), StartError> {
    let poll = Poll::new().map_err(|error| StartError::System("create an event loop", error))?;
    let mut signals =
        signals::Signals::new(poll.registry()).map_err(|error| StartError::System("handle signals", error))?;
    let uuids = ids::random_uuids().map_err(|error| StartError::System("get random numbers", error))?;
    let mut network = MioNetwork::new(poll.registry()).map_err(|error| StartError::System("watch sockets", error))?;
    let mut listeners = Vec::with_capacity(config.listen.len());
    let mut addresses = Vec::with_capacity(config.listen.len());
    for &address in &config.listen {
        let (listener, address) =
            network.listen(address, listeners.len()).map_err(|error| StartError::Listen(address, error))?;
        listeners.push(listener);
        addresses.push(address);
    }
    addresses.iter().copied().for_each(announce);
    let start = Instant::now();
    let registry = Registry::new(config.services_max, RandomState::new());
    let settings = Settings {
        connections_max: config.connections_max as usize,
        idle_ms_max: config.idle_timeout.map(|timeout| timeout.as_millis() as u64),
        tick: config.tick,
    };
    let service = Service::new(registry, uuids, config.ttl);
    let engine = Engine::new(settings, service, listeners, start.elapsed());
    turn_until_stopped(poll, network, engine, &mut signals, start)
        .map_err(|error| StartError::System("wait for events", error))
}

/// The loop: wait, then let the engine take a turn.
fn turn_until_stopped(
    mut poll: Poll,
    mut network: MioNetwork,
    mut engine: Engine<MioNetwork, Service>,
    signals: &mut signals::Signals,
    start: Instant,
) -> io::Result<()> {
    let mut events = Events::with_capacity(TURN_EVENTS_MAX);
    let mut deadline = Some(Duration::ZERO);
    loop {
        let now = start.elapsed();
        let timeout = deadline.map(|deadline: Duration| deadline.saturating_sub(now));
        match poll.poll(&mut events, timeout) {
            Ok(()) => {}
            // The deadline stands; what is left of it is waited for.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if events.iter().any(|event| event.token() == network::SIGNALS) {
            for signal in signals.pending() {
                match signal {
                    signals::Signal::Stop if engine.is_stopping() => {
                        info!("stopped at once by a second signal");
                        return Ok(());
                    }
                    signals::Signal::Stop => {
                        info!("stopping");
                        engine.stop(&mut network);
                    }
                }
            }
        }
        let full = events.iter().count() == TURN_EVENTS_MAX;
        let now = start.elapsed();
        let wait = engine.turn(&mut network, events.iter().filter_map(network::to_event), full, now);
        if engine.is_stopped() {
            return Ok(());
        }
        deadline = wait.map(|wait| now.saturating_add(wait));
    }
}
