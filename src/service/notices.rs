//! Log lines for the operator. Peers can cause them, so each kind is rate-limited.

use log::warn;

use crate::limits::LOG_QUIET_MS;
use crate::message::ServiceAddress;
use crate::time::Moment;
use crate::time::rate_limit::RateLimit;

/// The rate limits of the lines.
#[derive(Debug)]
pub(super) struct Notices {
    late: RateLimit,
    full: RateLimit,
}

impl Default for Notices {
    fn default() -> Self {
        Notices {
            late: RateLimit::new(LOG_QUIET_MS),
            full: RateLimit::new(LOG_QUIET_MS),
        }
    }
}

impl Notices {
    /// Logs that a service sends its heartbeats too rarely.
    pub(super) fn late(
        &mut self,
        now: Moment,
        service_type: &str,
        address: ServiceAddress,
        ttl_ms: u32,
    ) {
        if let Some(suppressed) = self.late.pass(now) {
            let ServiceAddress { ip, port } = address;
            warn!(
                "{service_type:?} at {ip} {port} sends its heartbeats within 10 % of its TTL of \
                 {ttl_ms} ms: one late packet would drop it; send one every third of the TTL\
                 {suppressed}"
            );
        }
    }

    /// Logs that a registration was refused because the registry is full.
    pub(super) fn registry_full(&mut self, now: Moment, services_max: u32) {
        if let Some(suppressed) = self.full.pass(now) {
            warn!(
                "registration refused: all {services_max} of --max-services are live{suppressed}"
            );
        }
    }
}
