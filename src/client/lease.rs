//! A registration that a connection holds.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::connection::{Connection, DOCUMENT_LEN_MAX};
use super::{Address, Error, Reason, Register, Why, argument, is_uuid, parse};

/// The longest pause between two heartbeats, however long the TTL is, so that a connection which
/// has failed without a sign is noticed soon.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// What to hold, in words that a command may have.
#[derive(Debug)]
pub(super) struct Offer {
    service_type: String,
    /// `-` for the address that the connection comes from.
    ip: String,
    port: u16,
    /// The options of the command.
    options: String,
}

impl Offer {
    pub(super) fn new(
        service_type: &str,
        ip: &str,
        port: u16,
        how: &Register,
    ) -> Result<Self, Error> {
        Ok(Offer {
            service_type: argument(service_type)?.to_owned(),
            ip: argument(ip)?.to_owned(),
            port,
            options: how.options()?,
        })
    }

    /// The address that clients would be told by the server at the other end; `None` if the server
    /// has to say.
    pub(super) fn told(&self, connection: &Connection) -> Result<Option<IpAddr>, Error> {
        match self.ip.as_str() {
            "-" => connection.source().map(Some),
            ip => Ok(ip.parse().ok()),
        }
    }

    /// Registers, at `ip` instead of the offer's own if it is given.
    pub(super) fn hold(
        &self,
        connection: &mut Connection,
        ip: Option<IpAddr>,
        deadline: Instant,
    ) -> Result<Held, Error> {
        let expected = match ip {
            Some(ip) => Some(ip),
            None => self.told(connection)?,
        };
        let ip = ip.map_or_else(|| self.ip.clone(), |ip| ip.to_string());
        let Offer {
            service_type,
            port,
            options,
            ..
        } = self;
        let command = format!("hold {service_type} {ip} {port}{options}");
        let uuid = connection.ask(&command, deadline)?;
        if !is_uuid(&uuid) {
            return Err(Error::unexpected(connection.server(), &uuid));
        }
        // The server knows the address that `-` stands for, and the TTL.
        let answer = connection.ask(&format!("why {uuid}"), deadline)?;
        let (ip, ttl) = match (parse(&answer), expected) {
            (Some(Why::Live(record)), _) => (record.ip, Duration::from_millis(record.ttl_ms)),
            // Somebody has replaced or removed it already, which the next heartbeat tells, at once.
            (Some(Why::Gone(_)), Some(ip)) => (ip, Duration::ZERO),
            _ => return Err(Error::unexpected(connection.server(), &answer)),
        };
        Ok(Held {
            uuid,
            address: SocketAddr::new(ip, *port),
            interval: (ttl / 3).min(INTERVAL_MAX),
        })
    }

    /// Whether somebody is registered at this address.
    pub(super) fn is_taken(
        &self,
        connection: &mut Connection,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let command = format!("query {}", self.service_type);
        let answer = connection.allow(DOCUMENT_LEN_MAX).ask(&command, deadline)?;
        match parse::<Vec<Address>>(&answer) {
            Some(rows) => Ok(rows.iter().any(|row| row.socket_address() == address)),
            None => Err(Error::unexpected(connection.server(), &answer)),
        }
    }
}

/// Whether the server at the other end knows this registration as live.
pub(super) fn is_live_at(
    connection: &mut Connection,
    uuid: &str,
    deadline: Instant,
) -> Result<bool, Error> {
    // A heartbeat would ask too, but takes a registration over from the node that hears of its holder.
    let answer = connection.ask(&format!("why {uuid}"), deadline)?;
    Ok(matches!(parse(&answer), Some(Why::Live(_))))
}

/// What a connection holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) uuid: String,
    /// Where clients find the service.
    pub(super) address: SocketAddr,
    /// Pause between two heartbeats; none where the registration was gone at once.
    pub(super) interval: Duration,
}

/// A registration, and the connection that holds it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Connection,
    pub(super) held: Held,
}

impl Lease {
    /// Sends a heartbeat. Returns why the registration is gone, as far as the server knows, if it
    /// is.
    pub(super) fn prove(&mut self, deadline: Instant) -> Result<Proof, Error> {
        let uuid = &self.held.uuid;
        let answer = self
            .connection
            .ask(&format!("heartbeat {uuid}"), deadline)?;
        match answer.as_str() {
            "OK" => return Ok(Proof::Live),
            "NOT FOUND" => {}
            _ => return Err(Error::unexpected(self.connection.server(), &answer)),
        }
        let answer = self.connection.ask(&format!("why {uuid}"), deadline)?;
        match parse(&answer) {
            Some(Why::Gone(gone)) => Ok(Proof::Gone(Some(gone.reason))),
            _ => Ok(Proof::Gone(None)),
        }
    }

    /// Removes the registration; it is registered elsewhere.
    pub(super) fn release(mut self, deadline: Instant) {
        // Otherwise the end of the connection removes it.
        let _ = self
            .connection
            .ask(&format!("deregister {}", self.held.uuid), deadline);
    }
}

/// What a heartbeat has shown.
pub(super) enum Proof {
    /// The registration is there.
    Live,
    /// It is not, for this reason, if the server knows one.
    Gone(Option<Reason>),
}
