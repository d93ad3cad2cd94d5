//! What changes in the registry, as whole records: whoever needs to know reads the same list.

use std::sync::Arc;

use uuid::Uuid;

use super::{Reason, ServiceAddress};
use crate::time::Moment;

/// A registration that came or went, with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its UUID: the right to change it, which is told to nobody but who registered it.
    pub uuid: Uuid,
    /// Its type.
    pub service_type: Arc<str>,
    /// Where the service can be reached.
    pub address: ServiceAddress,
    /// Milliseconds that it lives without a heartbeat.
    pub ttl_ms: u32,
    /// Whether a connection holds it.
    pub held: bool,
    /// Its last heartbeat. For one that came, and for one that was held until it went, the moment of
    /// the change.
    pub heartbeat: Moment,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came.
    Up,
    /// It went.
    Down {
        /// Why it went.
        reason: Reason,
        /// When it went; for one that expired, when its TTL ran out.
        at: Moment,
    },
}
