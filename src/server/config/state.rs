//! How what is registered is kept over a restart.

use std::path::PathBuf;
use std::time::Duration;

/// How what is registered is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// The file.
    pub path: PathBuf,
    /// The time between two syncs of it at least; without one the kernel decides. A day at most.
    pub sync: Option<Duration>,
}
