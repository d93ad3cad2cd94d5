//! The thread that keeps a registration.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::connection::Connection;
use super::lease::{Held, Lease, Offer, Proof, is_live_at};
use super::registration::{Notice, Observer, Shared};
use super::servers::{self, ASIDE_MAX};
use super::{Error, Options, Reason, after};

/// How often to look whether an address has become free.
const TAKEN_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait for what a node says of a registration that has left it: it is asked again.
const LEAVING_MAX: Duration = Duration::from_millis(100);

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
    /// What the next registration takes the place of.
    flight: Option<Flight>,
    /// What was held at a node of a cluster before a hold at another node has taken its place. Until that
    /// node knows of it, the end of the connection would look like the end of the service.
    leaving: Option<Lease>,
}

/// A move away from a server that has failed.
struct Flight {
    /// Its connection stays open until the service is registered again.
    left: Lease,
    /// Whether the server is tried last. One that has closed the connection is not: it is back soon, or
    /// refuses the next one.
    is_silent: bool,
    /// How long the first attempt may take.
    time: Option<Duration>,
}

/// A registration that was made while there was another one.
struct Moved {
    lease: Lease,
    /// Whether it has taken the other's place, as at another node of a cluster.
    has_taken_place: bool,
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
            flight: None,
            leaving: None,
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
        if let Some(flight) = self.flight.take() {
            return self.flee(flight);
        }
        let servers = self.options.servers.clone();
        servers::first(&servers, self.options.deadline(), |server, deadline| {
            let connection = Connection::open_at(server, &self.options, deadline)?;
            self.hold_over(connection, deadline)
        })
    }

    /// Registers again, if possible elsewhere.
    fn flee(&mut self, mut flight: Flight) -> Result<Lease, Error> {
        let from = flight.left.connection.server();
        let servers = servers::ordered(&self.options.servers, |server| {
            !flight.is_silent || server != from
        });
        let time = flight.time.take().unwrap_or(self.options.timeout);
        let moved = servers::first(&servers, after(time), |server, deadline| {
            let connection = Connection::open_at(server, &self.options, deadline)?;
            self.hold_instead(connection, &flight.left, deadline)
        });
        match moved {
            Ok(moved) => {
                self.leaving = moved.has_taken_place.then_some(flight.left);
                Ok(moved.lease)
            }
            Err(error) => {
                self.flight = Some(flight);
                Err(error)
            }
        }
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

    /// Registers over this connection, in place of an earlier registration at its server.
    fn hold_over(&mut self, mut connection: Connection, deadline: Instant) -> Result<Lease, Error> {
        let held = self.hold(&mut connection, deadline);
        // What was refused may be so for want of the room that the earlier one takes.
        let is_settled = matches!(
            held,
            Ok(_) | Err(Error::Refused { .. } | Error::Withheld(_))
        );
        // Not before: the new one may have taken its place, of which watchers are told nothing.
        if is_settled && let Some(earlier) = self.earlier.remove(connection.server()) {
            connection.ask(&format!("deregister {earlier}"), deadline)?;
        }
        let held = held?;
        let server = connection.server().to_owned();
        self.earlier.insert(server, held.uuid.clone());
        Ok(Lease { connection, held })
    }

    /// Registers at the address that is chosen.
    fn hold(&mut self, connection: &mut Connection, deadline: Instant) -> Result<Held, Error> {
        let expected = match self.told.get(connection.server()) {
            Some(told) => Some(*told),
            None => self.offer.told(connection)?,
        };
        let chosen = match expected {
            Some(told) => Some(self.observer.choose(told).map_err(Error::Withheld)?),
            None => None,
        };
        let other = chosen.filter(|_| chosen != expected);
        let held = self.offer.hold(connection, other, deadline)?;
        if chosen.is_some_and(|chosen| chosen != held.address.ip()) {
            self.confirm(connection.server(), held.address.ip())?;
        }
        Ok(held)
    }

    /// Asks whether the address is right that this server tells for `-`, which is not the one that
    /// was expected.
    fn confirm(&mut self, server: &str, told: IpAddr) -> Result<(), Error> {
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
        loop {
            let proof = lease
                .connection
                .quiet(after(lease.held.interval))
                .and_then(|()| lease.prove(after(self.patience(&lease))));
            match proof {
                Ok(Proof::Live) => {}
                Ok(Proof::Gone(reason)) => {
                    let is_displaced = reason == Some(Reason::Replaced);
                    self.displaced = is_displaced.then_some(lease.held.address);
                    self.observer.notice(Notice::Removed(reason));
                    self.shared.forget();
                    return Ok(());
                }
                Err(error) => {
                    self.flight = Some(self.flight(lease, &error));
                    self.shared.lose();
                    return Err(error);
                }
            }
            self.leave();
            if let Some(home) = self.home(&lease) {
                self.move_to(home, &mut lease);
                self.announce(&lease)?;
            }
        }
    }

    /// How long one step may take where the registration can move: a third of its TTL, for a third has
    /// passed before the heartbeat, and a third is left for the move when that is not answered.
    fn patience(&self, lease: &Lease) -> Duration {
        let is_alone = self.options.servers.len() == 1;
        let third = Some(lease.held.interval).filter(|third| !is_alone && !third.is_zero());
        third.map_or(self.options.timeout, |third| {
            third.min(self.options.timeout)
        })
    }

    /// What is to be done about a connection that has failed.
    fn flight(&self, left: Lease, error: &Error) -> Flight {
        Flight {
            is_silent: matches!(error, Error::Timeout { .. }),
            time: Some(self.patience(&left)),
            left,
        }
    }

    /// Registers at a server that comes before this one, if one answers again.
    fn home(&mut self, lease: &Lease) -> Option<Moved> {
        let earlier = self.options.others(lease.connection.server(), true);
        servers::first(&earlier, after(ASIDE_MAX), |server, deadline| {
            let connection = Connection::open_at(server, &self.options, deadline)?;
            self.hold_instead(connection, lease, deadline)
        })
        .ok()
    }

    /// Registers over this connection while there is another registration.
    fn hold_instead(
        &mut self,
        mut connection: Connection,
        other: &Lease,
        deadline: Instant,
    ) -> Result<Moved, Error> {
        let uuid = &other.held.uuid;
        let was_known = is_live_at(&mut connection, uuid, deadline)?;
        let mut lease = self.hold_over(connection, deadline)?;
        let has_taken_place = was_known && !is_live_at(&mut lease.connection, uuid, deadline)?;
        Ok(Moved {
            lease,
            has_taken_place,
        })
    }

    /// Goes on with a registration at an earlier server.
    fn move_to(&mut self, home: Moved, lease: &mut Lease) {
        let left = std::mem::replace(lease, home.lease);
        if home.has_taken_place {
            self.leaving = Some(left);
        } else {
            left.release(after(ASIDE_MAX));
        }
    }

    /// Ends the connection to the node that the registration has left, once that knows.
    fn leave(&mut self) {
        self.leaving = self.leaving.take().and_then(|mut left| {
            // It may be silent still.
            let is_open = matches!(
                left.prove(after(LEAVING_MAX)),
                Ok(Proof::Live) | Err(Error::Timeout { .. })
            );
            is_open.then_some(left)
        });
    }

    /// Tells that the service is registered.
    fn announce(&mut self, lease: &Lease) -> Result<(), Error> {
        self.shared.record(lease)?;
        if !self.shared.is_stopping() {
            self.observer.notice(Notice::Registered {
                uuid: lease.held.uuid.clone(),
                server: lease.connection.server().to_owned(),
            });
        }
        Ok(())
    }
}
