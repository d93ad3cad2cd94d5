//! Registry time, from which the service computes every age of a registration, and the loop's time, in
//! which connections have their limits.
//!
//! Callers pass it in as plain data. Only the server room reads a clock.

pub mod rate_limit;
pub mod wheel;

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A point in time, in whole milliseconds since the service started.
///
/// Registry time follows the monotonic clock, but does not advance while the process is paused, so the
/// difference of two moments is the time in which the service could hear a peer. The loop's time
/// follows the monotonic clock alone. Moments of the two are never compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// One more than the milliseconds, so that an optional moment takes no more memory.
    after: NonZeroU64,
}

impl Moment {
    /// The start of the service.
    pub const START: Moment = Moment {
        after: NonZeroU64::MIN,
    };

    /// The moment `ms` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Moment {
        Moment::START.plus_millis(ms)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.after.get() - 1
    }

    /// The moment `ms` milliseconds later, or the latest moment if that overflows.
    #[must_use]
    pub const fn plus_millis(self, ms: u64) -> Moment {
        Moment {
            after: self.after.saturating_add(ms),
        }
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn millis_since(self, earlier: Moment) -> u64 {
        self.after.get().saturating_sub(earlier.after.get())
    }

    /// Time since `earlier`; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.millis_since(earlier))
    }
}

impl Default for Moment {
    fn default() -> Self {
        Moment::START
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.as_millis())
    }
}

/// A reading of the wall clock, in milliseconds since the Unix epoch. It is for display only: no
/// decision depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(i64);

impl WallTime {
    /// The time `ms` milliseconds after the start of 1970 in UTC.
    #[must_use]
    pub const fn from_unix_millis(ms: i64) -> WallTime {
        WallTime(ms)
    }

    /// Milliseconds after the start of 1970 in UTC.
    #[must_use]
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// The wall time at `then`, given that `self` is the wall time at `now`.
    #[must_use]
    pub fn at(self, then: Moment, now: Moment) -> WallTime {
        WallTime(self.0.saturating_sub_unsigned(now.millis_since(then)))
    }
}

impl fmt::Display for WallTime {
    /// As RFC 3339 in UTC, to the millisecond: `2026-11-23T16:20:15.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(WallTime(time.timestamp_millis()))
    }
}
