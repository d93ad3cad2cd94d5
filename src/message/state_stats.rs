//! What `stats` says of the state file.

use serde::{Deserialize, Serialize};

/// How the state file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateHealth {
    /// There is none.
    #[default]
    Off,
    /// Changes are written at once.
    Ok,
    /// The disk takes them late; until then they are answered before they are written.
    Slow,
    /// The disk refuses them: they are kept, tried again, and answered before they are written.
    Failing,
}

impl StateHealth {
    /// All of them.
    pub const ALL: [StateHealth; 4] = [
        StateHealth::Off,
        StateHealth::Ok,
        StateHealth::Slow,
        StateHealth::Failing,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StateHealth::Off => "off",
            StateHealth::Ok => "ok",
            StateHealth::Slow => "slow",
            StateHealth::Failing => "failing",
        }
    }
}

/// The figures of the state file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateStats {
    /// How it is.
    #[serde(rename = "state")]
    pub health: StateHealth,
    /// Its length.
    #[serde(rename = "state_bytes")]
    pub len: u64,
    /// Changes that are not written yet.
    #[serde(rename = "state_unsaved")]
    pub unsaved: u64,
    /// Milliseconds since the first change that a loss of power would cost.
    #[serde(rename = "state_unsynced_ms")]
    pub unsynced_ms: u64,
    /// Registrations that the service began with.
    #[serde(rename = "restored")]
    pub restored: u64,
    /// Bytes that could not be read and were lost, at the start and since.
    #[serde(rename = "state_skipped_bytes")]
    pub skipped_len: u64,
}
