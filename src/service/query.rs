//! The verb `query`.

use std::hash::BuildHasher;
use std::rc::Rc;

use super::parts::ADDRESS_LEN_MAX;
use super::{Service, What};
use crate::limits::ANSWER_RECORDS_MAX;
use crate::message::{Outcome, Peer, Reply, ServiceType, Services, Ttl, Verb};

impl<S: BuildHasher> Service<S> {
    /// A long answer is made in parts, and so is every answer while there is no room for it.
    pub(super) fn query(
        &mut self,
        service_type: &ServiceType<'_>,
        max_age: Option<Ttl>,
        peer: &Peer,
    ) -> Outcome {
        let name = service_type.as_str();
        let view = self.registry.service_type(name);
        let len = view.map_or(0, |view| view.len());
        if len > self.at_once_max(ANSWER_RECORDS_MAX, ADDRESS_LEN_MAX) {
            let max_age = max_age.map(Ttl::duration);
            let what = What::Query(name.into(), max_age);
            return self.answer_in_parts(what, Verb::Query, peer);
        }
        let reply = self.query_at_once(name, max_age);
        reply.map_or(Outcome::Retry, Outcome::Done)
    }

    fn query_at_once(&mut self, service_type: &str, max_age: Option<Ttl>) -> Option<Reply> {
        self.settle_type(service_type)?;
        let Some(view) = self.registry.service_type(service_type) else {
            return Some(Reply::Services(self.answers.none()));
        };
        let now = self.turn.now;
        if let Some(max_age) = max_age {
            self.budget.build(view.len())?;
            let young = view
                .records(now)
                .filter(|record| now.since(record.heartbeat) < max_age.duration());
            let addresses = young.map(|record| record.address).collect();
            return Some(Reply::Services(Rc::new(Services::new(addresses))));
        }
        if let Some(services) = self.answers.get(view.slot(), view.version()) {
            return Some(Reply::Services(services));
        }
        self.budget.build(view.len())?;
        let services = Rc::new(Services::new(view.addresses().collect()));
        self.answers.keep(view.slot(), view.version(), &services);
        Some(Reply::Services(services))
    }
}
