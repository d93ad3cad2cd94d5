//! Lines of the log that help an operator. Peers can cause them, so there are few of each kind.

use log::warn;

use crate::limits::LOG_QUIET_MS;
use crate::message::ServiceAddress;
use crate::time::Moment;

/// When something was last logged.
#[derive(Debug, Default)]
pub(super) struct Notices {
    late: Quiet,
    full: Quiet,
}

impl Notices {
    /// A service sends its heartbeats too seldom.
    pub(super) fn late(
        &mut self,
        now: Moment,
        service_type: &str,
        address: ServiceAddress,
        ttl_ms: u32,
    ) {
        if let Some(unsaid) = self.late.take(now) {
            let ServiceAddress { ip, port } = address;
            warn!(
                "{service_type:?} at {ip} {port} sends its heartbeats within 10 % of its TTL of {ttl_ms} ms: \
                 one late packet would drop it; send one every third of the TTL{}",
                Others(unsaid)
            );
        }
    }

    /// A registration was refused.
    pub(super) fn registry_full(&mut self, now: Moment, services_max: u32) {
        if let Some(unsaid) = self.full.take(now) {
            warn!(
                "registration refused: all {services_max} of --max-services are live{}",
                Others(unsaid)
            );
        }
    }
}

/// Lets one line through at a time and counts those between.
#[derive(Debug, Default)]
struct Quiet {
    said_at: Option<Moment>,
    unsaid: u64,
}

impl Quiet {
    /// How many lines were left out since the last one, if this one is to be said.
    fn take(&mut self, now: Moment) -> Option<u64> {
        if self
            .said_at
            .is_some_and(|at| now.millis_since(at) < LOG_QUIET_MS)
        {
            self.unsaid += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// How many lines of the same kind were left out.
struct Others(u64);

impl std::fmt::Display for Others {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            unsaid => write!(f, " ({unsaid} more of this kind)"),
        }
    }
}
