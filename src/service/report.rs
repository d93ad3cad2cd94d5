//! The answers to `types`, `list`, `why` and `stats`.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use uuid::Uuid;

use super::parts::{ROW_LEN_MAX, TYPE_COUNT_LEN_MAX};
use super::{Selection, Service, Turn, What};
use crate::cluster::KeyId;
use crate::limits::{LISTED_AT_ONCE_MAX, METRICS_TYPES_MAX};
use crate::message::{
    DnsStats, Document, Metrics, Outcome, Peer, Record, Reply, ServiceType, Stats, Tally,
    TypeCount, Verb, Why,
};
use crate::registry;
use crate::time::{Moment, WallTime};

impl<S: BuildHasher> Service<S> {
    /// A long answer is made in parts.
    pub(super) fn types(&mut self, peer: &Peer) -> Outcome {
        let len = self.registry.types_len();
        if len > self.at_once_max(LISTED_AT_ONCE_MAX, TYPE_COUNT_LEN_MAX) {
            return self.answer_in_parts(What::Types(None), Verb::Types, peer);
        }
        if !self.is_settled() || self.budget.build(len).is_none() {
            return Outcome::Retry;
        }
        let count = |view: registry::TypeView<'_, S>| TypeCount {
            service_type: Arc::clone(view.name()),
            count: view.len() as u64,
        };
        let types = self.registry.types_behind(None).map(count).collect();
        Outcome::Done(Document::Types(types).into())
    }

    /// A long answer is made in parts.
    pub(super) fn list(
        &mut self,
        service_type: Option<&ServiceType<'_>>,
        selection: Selection,
        peer: &Peer,
    ) -> Outcome {
        let name = service_type.map(ServiceType::as_str);
        if self.len_of(name) > self.at_once_max(LISTED_AT_ONCE_MAX, ROW_LEN_MAX) {
            let what = What::List(name.map(Arc::from), Rc::new(selection));
            return self.answer_in_parts(what, Verb::List, peer);
        }
        let reply = self.list_at_once(name, &selection);
        reply.map_or(Outcome::Retry, Outcome::Done)
    }

    fn list_at_once(&mut self, service_type: Option<&str>, selection: &Selection) -> Option<Reply> {
        match service_type {
            Some(name) => self.settle_type(name)?,
            None if !self.is_settled() => return None,
            None => {}
        }
        // A record takes about twice as much as an address.
        self.budget.build(2 * self.len_of(service_type))?;
        let Turn { now, wall, .. } = self.turn;
        let records = |view: registry::TypeView<'_, S>| {
            let records = view.records(now);
            let admitted = records.filter(|record| selection.admits(record, now));
            admitted
                .map(|of| record(of, now, wall, self.node_name(of.owner)))
                .collect::<Vec<_>>()
        };
        let records = match service_type {
            Some(name) => self
                .registry
                .service_type(name)
                .map(records)
                .unwrap_or_default(),
            None => self.registry.types_behind(None).flat_map(records).collect(),
        };
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
        let registered = self.rights.resolve(*uuid);
        let own = registered.and_then(|uuid| self.registry.get(now, &uuid));
        if let Some(view) = own.or_else(|| self.elsewhere(uuid)) {
            let record = record(view, now, wall, self.node_name(view.owner));
            return Some(Document::Why(Why::Live(record)).into());
        }
        self.record_changes();
        let gone = self.departures.find(uuid);
        let gone = gone.or_else(|| self.departures.find(&KeyId::of(uuid).as_uuid()));
        Some(gone.map_or(Reply::NotFound, |gone| {
            Document::Why(Why::Gone(*gone)).into()
        }))
    }

    /// The statistics of the service and its process; of the types the first ones, where they are asked
    /// for.
    pub(super) fn metrics(&mut self, types: bool) -> Option<Reply> {
        let stats = self.stats()?;
        let most = if types { METRICS_TYPES_MAX } else { 0 };
        self.budget.build(most.min(self.registry.types_len()))?;
        let count = |view: registry::TypeView<'_, S>| TypeCount {
            service_type: Arc::clone(view.name()),
            count: view.len() as u64,
        };
        let types = self.registry.types_behind(None).take(most).map(count);
        let metrics = Metrics {
            stats,
            types: types.collect(),
            process: (self.process)(),
        };
        Some(Document::Metrics(metrics).into())
    }

    pub(super) fn stats(&self) -> Option<Stats> {
        if !self.is_settled() {
            return None;
        }
        let meter = &self.turn.meter;
        Some(Stats {
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
            dns: self.dns.as_ref().map(|source| DnsStats {
                dropped: meter.datagrams_dropped,
                rate_limited: meter.datagrams_rate_limited,
                ..source()
            }),
            state: meter.state,
            cluster: self.cluster_stats(),
        })
    }
}

/// The public record of a registration at `now`, when the wall clock shows `wall`.
pub(super) fn record(
    view: registry::Record<'_>,
    now: Moment,
    wall: WallTime,
    node: Option<Arc<str>>,
) -> Record {
    // What another node hears of it is not told.
    let heard = view.owner.is_none().then_some(view.heartbeat);
    Record {
        id: view.id(),
        service_type: Arc::clone(view.service_type),
        ip: view.address.ip,
        port: view.address.port,
        heartbeat: heard.map(|heard| wall.at(heard, now)),
        age_ms: heard.map(|heard| now.millis_since(heard)),
        ttl_ms: u64::from(view.ttl_ms),
        held: view.held,
        node,
        labels: view.labels.cloned().unwrap_or_default(),
    }
}

/// The service's counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commands: Tally<Verb, { Verb::ALL.len() }>,
    pub(super) errors: u64,
    pub(super) expirations: u64,
}
