//! What the operations of the registry take and return.

use std::time::Duration;

use uuid::Uuid;

use crate::message::{Labels, ServiceAddress};

/// A registration to be made.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Its UUID, which is the right to change it.
    pub uuid: Uuid,
    /// The name of its type.
    pub service_type: &'a str,
    /// The address at which it can be reached.
    pub address: ServiceAddress,
    /// How long it lives without a heartbeat; whole milliseconds, a day at most.
    pub ttl: Duration,
    /// Its tags and metadata, if it has any.
    pub labels: Option<&'a Labels>,
}

/// Why a registration failed. The registry is unchanged, except that an expired entry of the same
/// UUID may have been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The registry is full, counting those that have expired but are not swept; or there is no room for
    /// more tags and metadata.
    Full,
    /// A live registration has this UUID.
    UuidTaken,
}

/// The result of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// The registration lives for another TTL.
    InTime,
    /// Likewise, but the heartbeat came in the last tenth of the TTL, so a delayed packet could let
    /// the registration expire. Reported once for each registration.
    Late,
    /// No live registration has this UUID.
    Unknown,
}

impl Heartbeat {
    /// Whether a live registration has the UUID.
    #[must_use]
    pub fn is_known(self) -> bool {
        self != Heartbeat::Unknown
    }
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The number of registrations that were removed.
    pub expired: usize,
    /// The number of entries that were examined.
    pub examined: usize,
    /// Whether all expired registrations are removed.
    pub caught_up: bool,
}
