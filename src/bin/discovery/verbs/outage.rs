//! What `watch` and `wait` say while the service is away.

use std::time::Duration;

use discovery_service::client::Error;

/// How often a verb looks at its terminal and at its connection while nothing changes.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Said when an outage ends.
pub(super) const BACK: &str = "the registry is back";

/// Whether the service is away. That is said when it changes, not for each try.
#[derive(Default)]
pub(super) struct Outage {
    is_told: bool,
}

impl Outage {
    /// A try failed. Returns a message for the first failure of an outage.
    pub(super) fn failed(&mut self, error: &Error) -> Option<String> {
        let was_told = std::mem::replace(&mut self.is_told, true);
        (!was_told).then(|| format!("{error}; trying again"))
    }

    /// The service answers. Returns whether that ends an outage.
    pub(super) fn ends(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}
