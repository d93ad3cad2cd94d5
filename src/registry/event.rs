//! What happens in the registry, as data: who is to be told is not its business.

use std::sync::Arc;

use uuid::Uuid;

use crate::message::{Reason, ServiceAddress};
use crate::time::Moment;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A registration came.
    Up {
        /// Its type.
        service_type: Arc<str>,
        /// Where the service can be reached.
        address: ServiceAddress,
    },
    /// A registration went.
    Down(Departure),
    /// A heartbeat came in the last tenth of its registration's TTL: one late packet would have
    /// dropped it. Told once for each registration.
    Late {
        /// Its type.
        service_type: Arc<str>,
        /// Where the service can be reached.
        address: ServiceAddress,
        /// The TTL, in milliseconds.
        ttl_ms: u32,
    },
}

/// A registration that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its type.
    pub service_type: Arc<str>,
    /// Where the service could be reached.
    pub address: ServiceAddress,
    /// Why it went.
    pub reason: Reason,
    /// When it went; for one that expired, when its TTL ran out.
    pub at: Moment,
    /// Its last heartbeat; for one that was held, when it went.
    pub heartbeat: Moment,
}
