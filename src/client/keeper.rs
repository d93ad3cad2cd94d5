//! The thread that keeps a registration.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::connection::Connection;
use super::lease::{Lease, Offer, Proof};
use super::registration::{Notice, Observer, Shared};
use super::servers::{self, ASIDE_MAX};
use super::{Error, Options, Reason, after};

/// How often to look whether an address has become free.
const TAKEN_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the thread.
pub(super) struct Keeper<O> {
    shared: Arc<Shared>,
    options: Options,
    offer: Offer,
    observer: O,
    /// The last registration at each server: if the network failed, it may still be there.
    earlier: BTreeMap<String, String>,
    /// The address that each server tells for `-`, where it is another one than expected.
    told: BTreeMap<String, IpAddr>,
    /// The address at which another registration has replaced this one.
    displaced: Option<SocketAddr>,
}

/// Runs however the thread ends, also when the observer panics.
impl<O> Drop for Keeper<O> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<O: Observer> Keeper<O> {
    pub(super) fn new(shared: Arc<Shared>, options: &Options, offer: Offer, observer: O) -> Self {
        Keeper {
            shared,
            options: options.clone(),
            offer,
            observer,
            earlier: BTreeMap::new(),
            told: BTreeMap::new(),
            displaced: None,
        }
    }

    pub(super) fn run(mut self, mut held: Option<Lease>) {
        let mut backoff = Backoff::default();
        while !self.shared.is_stopping() {
            let lease = held.take().map_or_else(|| self.acquire(), Ok);
            let begun = Instant::now();
            let Err(error) = lease.and_then(|lease| self.keep(lease)) else {
                continue;
            };
            if self.shared.is_stopping() {
                break;
            }
            self.observer.notice(Notice::Lost(error));
            if self.shared.pause(backoff.next(begun.elapsed())) {
                break;
            }
        }
    }

    /// Registers at the first server that takes the registration, but not where another one has
    /// taken its place.
    pub(super) fn acquire(&mut self) -> Result<Lease, Error> {
        if let Some(address) = self.displaced {
            let connection = Connection::open(&self.options, self.options.deadline())?;
            self.shared.record_connection(&connection)?;
            self.wait_until_free(connection, address)?;
            self.displaced = None;
        }
        let servers = self.options.servers.clone();
        servers::first(&servers, self.options.deadline(), |server, deadline| {
            self.hold_at(server, deadline)
        })
    }

    /// Waits while somebody else is registered at this address.
    fn wait_until_free(
        &self,
        mut connection: Connection,
        address: SocketAddr,
    ) -> Result<(), Error> {
        let deadline = || self.options.deadline();
        while self.offer.is_taken(&mut connection, address, deadline())? {
            connection.quiet(after(TAKEN_INTERVAL))?;
        }
        Ok(())
    }

    /// Registers at this server, in place of an earlier registration there.
    fn hold_at(&mut self, server: &str, deadline: Instant) -> Result<Lease, Error> {
        let mut connection = Connection::open_at(server, &self.options, deadline)?;
        if let Some(earlier) = self.earlier.remove(server) {
            connection.ask(&format!("deregister {earlier}"), deadline)?;
        }
        let expected = match self.told.get(server) {
            Some(told) => Some(*told),
            None => self.offer.told(&connection)?,
        };
        let chosen = match expected {
            Some(told) => Some(self.observer.choose(told).map_err(Error::Withheld)?),
            None => None,
        };
        let other = chosen.filter(|_| chosen != expected);
        let lease = self.offer.hold(connection, other, deadline)?;
        if chosen.is_some_and(|chosen| chosen != lease.address.ip()) {
            self.confirm(server, &lease)?;
        }
        self.earlier.insert(server.to_owned(), lease.uuid.clone());
        Ok(lease)
    }

    /// Asks whether the address is right that this server tells for `-`, which is not the one that
    /// was expected.
    fn confirm(&mut self, server: &str, lease: &Lease) -> Result<(), Error> {
        let told = lease.address.ip();
        self.told.insert(server.to_owned(), told);
        match self.observer.choose(told).map_err(Error::Withheld)? {
            chosen if chosen == told => Ok(()),
            chosen => Err(Error::Withheld(format!(
                "{told} is what clients of {server} would be told, and not {chosen}"
            ))),
        }
    }

    /// Keeps a registration until its connection fails; without an error, it is to be made again at
    /// once.
    fn keep(&mut self, mut lease: Lease) -> Result<(), Error> {
        self.announce(&lease)?;
        let result = loop {
            let proof = lease
                .connection
                .quiet(after(lease.interval))
                .and_then(|()| lease.prove(self.options.deadline()));
            match proof {
                Ok(Proof::Live) => {}
                Ok(Proof::Gone(reason)) => {
                    self.displaced = (reason == Some(Reason::Replaced)).then_some(lease.address);
                    self.observer.notice(Notice::Removed(reason));
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
            if let Some(home) = self.home(lease.connection.server()) {
                self.earlier.remove(lease.connection.server());
                lease.release(after(ASIDE_MAX));
                lease = home;
                self.announce(&lease)?;
            }
        };
        self.shared.forget();
        result
    }

    /// Registers at a server that comes before this one, if one answers again.
    fn home(&mut self, server: &str) -> Option<Lease> {
        let earlier = self.options.others(server, true);
        servers::first(&earlier, after(ASIDE_MAX), |server, deadline| {
            self.hold_at(server, deadline)
        })
        .ok()
    }

    /// Tells that the service is registered.
    fn announce(&mut self, lease: &Lease) -> Result<(), Error> {
        self.shared.record(lease)?;
        if !self.shared.is_stopping() {
            self.observer.notice(Notice::Registered {
                uuid: lease.uuid.clone(),
                server: lease.connection.server().to_owned(),
            });
        }
        Ok(())
    }
}
