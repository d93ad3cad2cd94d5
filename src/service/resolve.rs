//! What DNS asks for: the endpoints of a name, in any case of its letters.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use super::Service;
use crate::limits::DNS_RECORDS_MAX;
use crate::message::{Endpoint, Endpoints, Labels, Rendered, Reply, ServiceType};
use crate::registry::Record;

/// The priority and the weight of a registration that does not say them in its metadata.
const PREFERENCE_DEFAULT: u16 = 1;

impl<S: BuildHasher> Service<S> {
    /// `None` when the answer has to wait for the next turn.
    pub(super) fn resolve(&mut self, service_type: Option<&ServiceType<'_>>) -> Option<Reply> {
        let endpoints = match service_type {
            Some(name) => self.endpoints(name.as_str())?,
            None => None,
        };
        Some(Reply::Endpoints {
            index: self.registry.index(),
            endpoints,
        })
    }

    /// The answer is kept until one of the types changes.
    fn endpoints(&mut self, name: &str) -> Option<Option<Rc<Rendered<Endpoints>>>> {
        self.settle_named(name)?;
        let Some((slot, version)) = self.registry.version_of_named(name) else {
            return Some(None);
        };
        if let Some(kept) = self.endpoints.get(slot, version) {
            return Some(Some(kept));
        }
        let lens = self.registry.types_named(name).map(|view| view.len());
        // An endpoint takes about twice as much as an address.
        let len = 2 * DNS_RECORDS_MAX.min(lens.sum());
        self.budget.build(len)?;
        let made = Rc::new(Rendered::new(self.make_endpoints(name)));
        self.endpoints.keep(slot, version, &made);
        Some(Some(made))
    }

    fn make_endpoints(&self, name: &str) -> Endpoints {
        let mut types: Vec<_> = self.registry.types_named(name).collect();
        types.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        let now = self.turn.now;
        let records = types.iter().flat_map(|view| view.records(now));
        let mut told = HashSet::new();
        let endpoints = records
            .take(DNS_RECORDS_MAX)
            .map(|record| endpoint(&record));
        Endpoints(
            endpoints
                .filter(|endpoint| told.insert(endpoint.address))
                .collect(),
        )
    }

    /// As [`settle_type`](Self::settle_type), for all types with this name.
    fn settle_named(&mut self, name: &str) -> Option<()> {
        if self.is_settled() {
            return Some(());
        }
        let types = self.registry.types_named(name);
        let names: Vec<Arc<str>> = types.map(|view| Arc::clone(view.name())).collect();
        names.iter().try_for_each(|name| self.settle_type(name))
    }
}

fn endpoint(record: &Record<'_>) -> Endpoint {
    let labels = record.labels.map(|labels| &**labels);
    Endpoint {
        address: record.address,
        priority: labels
            .and_then(Labels::priority)
            .unwrap_or(PREFERENCE_DEFAULT),
        weight: labels
            .and_then(Labels::weight)
            .unwrap_or(PREFERENCE_DEFAULT),
    }
}
