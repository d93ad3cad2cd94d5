//! The verb `query`.

use std::hash::BuildHasher;
use std::rc::Rc;

use super::Service;
use crate::message::{Reply, ServiceType, Services, Ttl};

impl<S: BuildHasher> Service<S> {
    pub(super) fn query(
        &mut self,
        service_type: &ServiceType<'_>,
        max_age: Option<Ttl>,
    ) -> Option<Reply> {
        self.settle_type(service_type.as_str())?;
        let Some(view) = self.registry.service_type(service_type.as_str()) else {
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
