//! What `watch` and `wait` say while the service is away.

use std::time::Duration;

use discovery_service::client::Error;

/// How often it is looked around while nothing changes: at the terminal, and at the connection.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Said when trouble has ended.
pub(super) const BACK: &str = "the registry is back";

/// Whether the service is away: something to be said when that changes, however often it is tried.
#[derive(Default)]
pub(super) struct Trouble {
    is_told: bool,
}

impl Trouble {
    /// The message, once.
    pub(super) fn begins(&mut self, error: &Error) -> Option<String> {
        (!std::mem::replace(&mut self.is_told, true)).then(|| format!("{error}; trying again"))
    }

    /// Whether there was any.
    pub(super) fn ends(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}
