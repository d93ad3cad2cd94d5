//! The verb `query`.

use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::Duration;

use super::draw::Draw;
use super::parts::ADDRESS_LEN_MAX;
use super::{Service, What};
use crate::limits::ANSWER_RECORDS_MAX;
use crate::message::{
    Labels, Outcome, Peer, Reply, ServiceAddress, ServiceType, Services, Ttl, Verb,
};
use crate::registry::Record;
use crate::time::Moment;

/// Which services of a type are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Those whose last heartbeat is younger.
    max_age: Option<Duration>,
    /// Those that have all of these.
    labels: Option<Box<Labels>>,
    /// At most so many of them, drawn at random.
    pub(super) limit: Option<u32>,
}

impl Selection {
    pub(super) fn new(max_age: Option<Ttl>, labels: Option<&Labels>, limit: Option<u32>) -> Self {
        Selection {
            max_age: max_age.map(Ttl::duration),
            labels: labels.cloned().map(Box::new),
            limit,
        }
    }

    /// Whether it leaves none out.
    fn is_all(&self) -> bool {
        self.max_age.is_none() && self.labels.is_none() && self.limit.is_none()
    }

    /// Whether the registration is one of them, unless too many are.
    pub(super) fn admits(&self, record: &Record<'_>, now: Moment) -> bool {
        let has_labels = |labels: &Labels| record.labels.is_some_and(|own| own.contains(labels));
        self.is_recent(record, now) && self.labels.as_deref().is_none_or(has_labels)
    }

    /// Whether its last heartbeat is young enough.
    fn is_recent(&self, record: &Record<'_>, now: Moment) -> bool {
        self.max_age
            .is_none_or(|max_age| record.is_younger(max_age, now))
    }
}

impl<S: BuildHasher> Service<S> {
    /// A long answer is made in parts, and so is every answer while there is no room for it.
    pub(super) fn query(
        &mut self,
        service_type: &ServiceType<'_>,
        selection: Selection,
        peer: &Peer,
    ) -> Outcome {
        let name = service_type.as_str();
        if selection.is_all()
            && let Some(services) = self.kept_answer(name.as_bytes())
        {
            return Outcome::Done(Reply::Services(services));
        }
        let len = self.len_of(Some(name));
        if len > self.at_once_max(ANSWER_RECORDS_MAX, ADDRESS_LEN_MAX) {
            let what = What::Query(name.into(), Rc::new(selection));
            return self.answer_in_parts(what, Verb::Query, peer);
        }
        let reply = if selection.is_all() {
            self.query_all(name)
        } else {
            self.query_some(name, &selection)
        };
        reply.map_or(Outcome::Retry, Outcome::Done)
    }

    /// All services of the type, if the answer is kept and does not come in parts.
    #[inline]
    pub(super) fn kept_answer(&mut self, service_type: &[u8]) -> Option<Rc<Services>> {
        if !self.is_ready() || !self.is_settled() {
            return None;
        }
        let view = self.registry.type_called(service_type)?;
        if view.len() > self.at_once_max(ANSWER_RECORDS_MAX, ADDRESS_LEN_MAX) {
            return None;
        }
        self.answers.get(view.slot(), view.version())
    }

    /// The answer is kept until the type changes.
    fn query_all(&mut self, service_type: &str) -> Option<Reply> {
        self.settle_type(service_type)?;
        let Some(view) = self.registry.service_type(service_type) else {
            return Some(Reply::Services(self.answers.none()));
        };
        if let Some(services) = self.answers.get(view.slot(), view.version()) {
            return Some(Reply::Services(services));
        }
        self.budget.build(view.len())?;
        let services = Rc::new(Services::new(view.addresses().collect()));
        self.answers.keep(view.slot(), view.version(), &services);
        Some(Reply::Services(services))
    }

    fn query_some(&mut self, service_type: &str, selection: &Selection) -> Option<Reply> {
        self.settle_type(service_type)?;
        self.budget.build(self.len_of(Some(service_type)))?;
        let draw = self.draw(selection);
        let now = self.turn.now;
        let view = self.registry.service_type(service_type);
        let wanted = selection.labels.as_deref();
        let records = view
            .into_iter()
            .flat_map(|view| view.records_with(now, wanted));
        let admitted = records.filter(|record| selection.is_recent(record, now));
        let mut addresses = admitted.map(|record| record.address);
        let addresses: Vec<ServiceAddress> = match draw {
            None => addresses.collect(),
            Some(mut draw) => {
                addresses.by_ref().for_each(|address| draw.offer(address));
                draw.finish()
            }
        };
        Some(Reply::Services(Rc::new(Services::new(addresses.into()))))
    }

    /// Draws from what is selected, if that has a limit.
    pub(super) fn draw(&mut self, selection: &Selection) -> Option<Draw> {
        let limit = selection.limit?;
        Some(Draw::new(limit, (self.uuids)()))
    }
}
