//! Services, as a client sees them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::message::Id;

/// A service: its type and where it can be reached. In JSON it is as the service writes it:
/// `{"type":"hive","ip":"127.0.0.1","port":80}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Service {
    /// Its type.
    pub service_type: String,
    /// Where it can be reached.
    pub address: SocketAddr,
}

/// What `query` answers for each service: `{"ip":"127.0.0.1","port":80}`.
#[derive(Deserialize)]
pub(super) struct Address {
    ip: IpAddr,
    port: u16,
}

impl Address {
    pub(super) fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

/// A [`Service`] in JSON.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(rename = "type")]
    service_type: String,
    ip: IpAddr,
    port: u16,
}

/// A registration, as a watch tells of it.
#[derive(Deserialize)]
#[serde(from = "ToldRow")]
pub(super) struct Told {
    /// Its public name; an earlier registry told none.
    pub(super) id: Option<Id>,
    pub(super) service: Service,
}

/// A [`Told`] in JSON.
#[derive(Deserialize)]
struct ToldRow {
    id: Option<Id>,
    #[serde(rename = "type")]
    service_type: String,
    ip: IpAddr,
    port: u16,
}

impl From<ToldRow> for Told {
    fn from(row: ToldRow) -> Self {
        let service = Service {
            service_type: row.service_type,
            address: SocketAddr::new(row.ip, row.port),
        };
        Told {
            id: row.id,
            service,
        }
    }
}

impl From<Row> for Service {
    fn from(row: Row) -> Self {
        Service {
            service_type: row.service_type,
            address: SocketAddr::new(row.ip, row.port),
        }
    }
}

impl From<Service> for Row {
    fn from(service: Service) -> Self {
        Row {
            service_type: service.service_type,
            ip: service.address.ip(),
            port: service.address.port(),
        }
    }
}
