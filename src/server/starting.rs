//! What a service is made of before it runs.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use log::info;
use mio::net::TcpListener;
use mio::{Registry as Polled, Waker};

use super::config::Config;
use super::network::{MioNetwork, WAKE};
use super::state_file::{self, FileJournal, StateFile};
use super::{StartError, ids, process};
use crate::engine::{Engine, Settings};
use crate::registry::{KeyedHash, Registry};
use crate::service::{Service, UuidSource};
use crate::wire::Protocol;
use crate::wire::http::Site;

/// A source of random UUIDs.
pub(super) fn random() -> Result<UuidSource, StartError> {
    ids::random_uuids().map_err(without_randomness)
}

fn without_randomness(error: std::io::Error) -> StartError {
    StartError::System("get random numbers", error)
}

/// The service, whose count of changes begins at `begin`, with what an earlier process has left in the
/// state file, if there is one.
pub(super) fn service(
    config: &Config,
    polled: &Polled,
    begin: u64,
) -> Result<(Service, Option<StateFile>), StartError> {
    let mut uuids = Some(random()?);
    let secret = ids::random_number().map_err(without_randomness)?;
    let mut make = |services_max| {
        let hasher = KeyedHash::new(secret);
        let registry = Registry::new(services_max, hasher).counting_from(begin);
        let uuids = uuids.take().unwrap_or_else(|| {
            ids::random_uuids().expect("a system that has provided randomness keeps providing it")
        });
        let mut service = Service::new(registry, uuids, config.ttl);
        service.set_process_source(Box::new(process::read));
        if config.own_address {
            service.require_own_address();
        }
        service
    };
    let Some(state) = &config.state else {
        return Ok((make(config.services_max), None));
    };
    let waker = Waker::new(polled, WAKE)
        .map_err(|error| StartError::System("wake the event loop", error))?;
    let wake = Box::new(move || {
        // Without it, the next tick finds what was saved.
        let _ = waker.wake();
    });
    let opened = state_file::open(
        &state.path,
        state.sync,
        config.services_max,
        &mut make,
        wake,
    );
    let (service, state_file) =
        opened.map_err(|error| StartError::StateFile(state.path.clone(), error))?;
    Ok((service, Some(state_file)))
}

/// Lets the engine save all changes from now on.
pub(super) fn save(
    engine: &mut Engine<MioNetwork, Service>,
    state_file: StateFile,
) -> Result<Rc<RefCell<FileJournal>>, StartError> {
    let started = state_file.start();
    let journal = started.map_err(|error| StartError::System("start a thread", error))?;
    let journal = Rc::new(RefCell::new(journal));
    engine.save_to(Box::new(Rc::clone(&journal)));
    Ok(journal)
}

/// The listeners, and their real addresses.
type Opened = (Vec<(TcpListener, Protocol)>, Vec<SocketAddr>);

/// Listens on the addresses of the configuration, or takes the listeners that were `inherited`.
pub(super) fn listen(
    config: &Config,
    inherited: Vec<std::net::TcpListener>,
    network: &mut MioNetwork,
) -> Result<Opened, StartError> {
    let mut inherited = inherited.into_iter();
    let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
    for (number, &address) in config.listen.iter().enumerate() {
        let opened = match inherited.next() {
            Some(listener) => network.adopt(listener, number),
            None => network.listen(address, number),
        };
        let (listener, address) = opened.map_err(|error| StartError::Listen(address, error))?;
        let site = Rc::new(site(config, address.ip()));
        listeners.push((listener, Protocol::RegistryAndHttp(site)));
        addresses.push(address);
    }
    Ok((listeners, addresses))
}

/// What the service is over HTTP at the listener on `ip`. Where anybody on this host may ask, a web
/// page in a browser on this host could do so too, so there the host must be one that is known.
fn site(config: &Config, ip: IpAddr) -> Site {
    let site = Site::new(&config.http.datacenter, config.http.metrics_types);
    if ip.is_loopback() && config.token_file.is_none() {
        site.only_for(ip, &config.http.hosts)
    } else {
        site
    }
}

pub(super) fn listed(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    addresses.join(",")
}

/// Logs the version, the addresses and the limits in one line.
pub(super) fn log_start(
    config: &Config,
    settings: &Settings,
    addresses: &[SocketAddr],
    advertised: Option<IpAddr>,
) {
    let idle_timeout = config
        .idle_timeout
        .map_or_else(|| "off".to_owned(), |timeout| format!("{timeout:?}"));
    info!(
        "discovery {} is ready: listen={} ttl={:?} tick={:?} max-services={} max-connections={} \
         idle-timeout={idle_timeout} tokens={} own-address={} advertise={}",
        env!("CARGO_PKG_VERSION"),
        listed(addresses),
        config.ttl,
        config.tick,
        config.services_max,
        settings.connections_max,
        if config.token_file.is_some() {
            "required"
        } else {
            "none"
        },
        if config.own_address {
            "required"
        } else {
            "off"
        },
        advertised.map_or_else(|| "loopback".to_owned(), |ip| ip.to_string()),
    );
}
