//! What the engine counts, as the service is told it.

use std::time::Duration;

use super::{Engine, Network, Reading};
use crate::message::{CloseReason, Tally};
use crate::service::{Handler, Meter};
use crate::time::Moment;

/// The engine's counters.
#[derive(Default)]
pub(super) struct Counters {
    /// The monotonic clock at the start.
    pub(super) start: Duration,
    /// Connections that were refused at the limit of `--max-connections`.
    pub(super) refused: u64,
    pub(super) closed: Tally<CloseReason, { CloseReason::ALL.len() }>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl<N: Network, H: Handler> Engine<N, H> {
    pub(super) fn meter(&mut self, reading: &Reading, now: Moment) -> Meter {
        let Counters {
            start,
            refused,
            closed,
            bytes_in,
            bytes_out,
        } = self.counters;
        let datagrams = || self.datagrams.iter().flatten().map(|socket| socket.counts);
        Meter {
            uptime: reading.monotonic.saturating_sub(start),
            connections: self.sessions.len() - self.sessions.refused_lingering(),
            refused_connections: refused,
            connections_closed: closed,
            bytes_in,
            bytes_out,
            stalled: self.clock.stalled(),
            worst_turn: reading.worst_turn,
            datagrams_dropped: datagrams().map(|counts| counts.dropped).sum(),
            datagrams_rate_limited: datagrams().map(|counts| counts.rate_limited).sum(),
            log_lines_dropped: reading.log_lines_dropped,
            state: self.saving.stats(now),
        }
    }
}
