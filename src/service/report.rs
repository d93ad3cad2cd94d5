//! The answers to `types`, `list`, `why` and `stats`.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use uuid::Uuid;

use super::{Service, Turn};
use crate::limits::LISTED_MAX;
use crate::message::{
    Document, Record, Refusal, Reply, ServiceType, Stats, Tally, TypeCount, Verb, Why,
};
use crate::registry;
use crate::time::{Moment, WallTime};

impl<S: BuildHasher> Service<S> {
    pub(super) fn types(&mut self) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        if self.registry.types_len() > LISTED_MAX {
            return Some(Reply::Refused(Refusal::TooMany(
                "more than 65536 types, too many for one answer",
            )));
        }
        self.budget.build(self.registry.types_len())?;
        let count = |view: registry::TypeView<'_, S>| TypeCount {
            service_type: Arc::clone(view.name()),
            count: view.len() as u64,
        };
        let mut types: Vec<TypeCount> = self.registry.types().map(count).collect();
        types.sort_unstable_by(|a, b| a.service_type.cmp(&b.service_type));
        Some(Document::Types(types).into())
    }

    pub(super) fn list(&mut self, service_type: Option<&ServiceType<'_>>) -> Option<Reply> {
        match service_type {
            Some(name) => self.settle_type(name.as_str())?,
            None if !self.is_settled() => return None,
            None => {}
        }
        let view = service_type.map(|name| self.registry.service_type(name.as_str()));
        let (len, advice) = match &view {
            None => (
                self.registry.len(),
                "more than 65536 registrations, too many for one list: name a type",
            ),
            Some(None) => (0, ""),
            Some(Some(view)) => (
                view.len(),
                "more than 65536 registrations, too many for one list: use query",
            ),
        };
        if len > LISTED_MAX {
            return Some(Reply::Refused(Refusal::TooMany(advice)));
        }
        // A record takes about twice as much as an address.
        self.budget.build(2 * len)?;
        let mut types: Vec<_> = match view {
            None => self.registry.types().collect(),
            Some(view) => view.into_iter().collect(),
        };
        types.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        let Turn { now, wall, .. } = self.turn;
        let records = types.iter().flat_map(|view| view.records(now));
        let records = records.map(|view| record(view, now, wall)).collect();
        Some(Document::List(records).into())
    }

    pub(super) fn why(&mut self, uuid: Option<&Uuid>) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        let Turn { now, wall, .. } = self.turn;
        let Some(uuid) = uuid else {
            return Some(Reply::NotFound);
        };
        if let Some(view) = self.registry.get(now, uuid) {
            let record = record(view, now, wall);
            return Some(Document::Why(Why::Live(record)).into());
        }
        self.record_changes();
        let gone = self.departures.find(uuid);
        Some(gone.map_or(Reply::NotFound, |gone| {
            Document::Why(Why::Gone(*gone)).into()
        }))
    }

    pub(super) fn stats(&self) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        let meter = &self.turn.meter;
        let stats = Stats {
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            uptime: meter.uptime,
            registrations: self.registry.len() as u64,
            types: self.registry.types_len() as u64,
            connections: meter.connections as u64,
            watchers: self.watchers.len() as u64,
            commands: self.counts.commands,
            errors: self.counts.errors,
            expirations: self.counts.expirations,
            refused_connections: meter.refused_connections,
            bytes_in: meter.bytes_in,
            bytes_out: meter.bytes_out,
            stalled: meter.stalled,
            worst_turn: meter.worst_turn,
            connections_closed: meter.connections_closed,
            log_lines_dropped: meter.log_lines_dropped,
        };
        Some(Document::Stats(stats).into())
    }
}

/// The public record of a registration at `now`, when the wall clock shows `wall`.
fn record(view: registry::Record<'_>, now: Moment, wall: WallTime) -> Record {
    Record {
        service_type: Arc::clone(view.service_type),
        ip: view.address.ip,
        port: view.address.port,
        heartbeat: wall.at(view.heartbeat, now),
        age_ms: now.millis_since(view.heartbeat),
        ttl_ms: u64::from(view.ttl_ms),
        held: view.held,
    }
}

/// The service's counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commands: Tally<Verb, { Verb::ALL.len() }>,
    pub(super) errors: u64,
    pub(super) expirations: u64,
}
