//! What is live, without ages, for those who follow it by its index.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use super::parts::{ROW_LEN_MAX, TYPE_COUNT_LEN_MAX};
use super::waits::Followed;
use super::{Deliver, Selection, Service, What};
use crate::limits::{
    ANSWER_RECORDS_MAX, LISTED_AT_ONCE_MAX, NAME_TAGS_MAX, TOLD_WORK, TURN_TOLD_MAX, TURN_TOLD_MIN,
    WAIT_JITTER_ONE_IN,
};
use crate::message::{
    self, After, Catalog, Delivery, Labels, Name, Names, Outcome, Peer, Rendered, Reply,
    ServiceType, Verb,
};
use crate::registry;
use crate::time::Moment;

/// The latest answers about all types, until something changes.
#[derive(Debug, Default)]
pub(super) struct Latest {
    catalog: Option<Rc<Rendered<Catalog>>>,
    names: Option<Rc<Rendered<Names>>>,
    /// The index of the names at the end of the last turn.
    names_told: u64,
}

impl Latest {
    /// Gives the memory of the answers back.
    pub(super) fn clear(&mut self) {
        (self.catalog, self.names) = (None, None);
    }
}

impl<S: BuildHasher> Service<S> {
    /// A long answer is made in parts.
    pub(super) fn catalog(
        &mut self,
        service_type: Option<&ServiceType<'_>>,
        labels: Option<&Labels>,
        after: Option<After>,
        peer: &Peer,
    ) -> Outcome {
        let name = service_type.map(ServiceType::as_str);
        let is_settled = match name {
            Some(name) => self.settle_type(name).is_some(),
            None => self.is_settled(),
        };
        // A large type is swept with all others. Who waits is woken by that.
        let is_long = self.len_of(name) > self.at_once_max(ANSWER_RECORDS_MAX, ROW_LEN_MAX);
        if !is_settled && !is_long {
            return Outcome::Retry;
        }
        let followed = name.map_or(Followed::All, |name| Followed::Type(name.into()));
        if let Some(until) = self.block(followed, after, peer) {
            return Outcome::Blocked { until };
        }
        let index = self.index_of_type(name);
        if is_long {
            let selection = Rc::new(Selection::new(None, labels, None));
            let what = What::Catalog(name.map(Arc::from), selection, index);
            return self.answer_in_parts(what, Verb::List, peer);
        }
        let catalog = match labels {
            Some(labels) => self.make_catalog(name, index, Some(labels)),
            None => self.keep_catalog(name, index),
        };
        catalog.map_or(Outcome::Retry, |catalog| {
            Outcome::Done(Reply::Catalog(catalog))
        })
    }

    /// The answer without a selection, which is kept until it changes.
    fn keep_catalog(&mut self, name: Option<&str>, index: u64) -> Option<Rc<Rendered<Catalog>>> {
        let Some(name) = name else {
            if let Some(latest) = &self.latest.catalog
                && latest.index == index
            {
                return Some(Rc::clone(latest));
            }
            let catalog = self.make_catalog(None, index, None)?;
            return Some(Rc::clone(self.latest.catalog.insert(catalog)));
        };
        let view = self.registry.service_type(name);
        let Some((slot, version)) = view.map(|view| (view.slot(), view.version())) else {
            return self.make_catalog(Some(name), index, None);
        };
        if let Some(catalog) = self.catalogs.get(slot, version) {
            return Some(catalog);
        }
        let catalog = self.make_catalog(Some(name), index, None)?;
        self.catalogs.keep(slot, version, &catalog);
        Some(catalog)
    }

    fn make_catalog(
        &mut self,
        name: Option<&str>,
        index: u64,
        labels: Option<&Labels>,
    ) -> Option<Rc<Rendered<Catalog>>> {
        // An entry takes about twice as much as an address.
        self.budget.build(2 * self.len_of(name))?;
        let selection = Selection::new(None, labels, None);
        let now = self.turn.now;
        let services_of = |view: registry::TypeView<'_, S>| {
            let records = view.records(now);
            let admitted = records.filter(|record| selection.admits(record, now));
            admitted.map(|record| service(&record)).collect::<Vec<_>>()
        };
        let services = match name {
            Some(name) => {
                let view = self.registry.service_type(name);
                view.map(services_of).unwrap_or_default()
            }
            None => {
                let types = self.registry.types_behind(None);
                types.flat_map(services_of).collect()
            }
        };
        Some(Rc::new(Rendered::new(Catalog { index, services })))
    }

    /// A long answer is made in parts.
    pub(super) fn names(&mut self, after: Option<After>, peer: &Peer) -> Outcome {
        if !self.is_settled() {
            return Outcome::Retry;
        }
        if let Some(until) = self.block(Followed::Names, after, peer) {
            return Outcome::Blocked { until };
        }
        let index = self.index_of(&Followed::Names);
        let len = self.registry.types_len() + self.registry.tags_len();
        if len > self.at_once_max(LISTED_AT_ONCE_MAX, TYPE_COUNT_LEN_MAX) {
            return self.answer_in_parts(What::Names(None, index), Verb::Types, peer);
        }
        if let Some(latest) = &self.latest.names
            && latest.index == index
        {
            return Outcome::Done(Reply::Names(Rc::clone(latest)));
        }
        if self.budget.build(len).is_none() {
            return Outcome::Retry;
        }
        let names = self.registry.types_behind(None).map(name).collect();
        let names = Rc::new(Rendered::new(Names { index, names }));
        self.latest.names = Some(Rc::clone(&names));
        Outcome::Done(Reply::Names(names))
    }

    /// What never changes.
    pub(super) fn constant(&mut self, after: Option<After>, peer: &Peer) -> Outcome {
        match self.block(Followed::Nothing, after, peer) {
            Some(until) => Outcome::Blocked { until },
            None => {
                let index = self.index_of(&Followed::Nothing);
                Outcome::Done(Reply::Constant { index })
            }
        }
    }

    /// Until when the peer's request waits for a change, if it does: nothing has changed since the answer
    /// that the peer has. One whose index is ahead of ours has it from another process, and does not wait.
    fn block(&mut self, followed: Followed, after: Option<After>, peer: &Peer) -> Option<Moment> {
        let earlier = self.waits.take(peer.session);
        let after = after?;
        let is_over = earlier.as_ref().is_some_and(|wait| wait.is_over);
        let may_wait = peer.has_session() && !self.is_stopping && !is_over;
        if !may_wait || after.index != self.index_of(&followed) {
            return None;
        }
        let until = match earlier {
            Some(wait) => wait.until,
            None => {
                let jitter = self.jitter(after.wait_ms / WAIT_JITTER_ONE_IN);
                self.turn.uptime.plus_millis(after.wait_ms + jitter)
            }
        };
        self.waits.add(peer.session, followed, until);
        Some(until)
    }

    /// A random number from 1 to `max`, or 1: the millisecond in which a wait begins is not a whole one.
    fn jitter(&mut self, max: u64) -> u64 {
        let (_, low) = (self.uuids)().as_u64_pair();
        // The upper bits say what kind of UUID it is.
        1 + (low & u64::from(u32::MAX)) % max.max(1)
    }

    fn index_of_type(&self, name: Option<&str>) -> u64 {
        let index = match name {
            Some(name) => self.registry.version_of(name),
            None => self.registry.index(),
        };
        told(index)
    }

    fn index_of(&self, followed: &Followed) -> u64 {
        match followed {
            Followed::Nothing | Followed::Readiness => 1,
            Followed::All => self.index_of_type(None),
            Followed::Names => told(self.registry.names_version()),
            Followed::Type(name) => self.index_of_type(Some(name)),
        }
    }

    /// Wakes those who wait for what has changed in this turn, or before, as many as one turn may.
    pub(super) fn wake(&mut self, deliver: &mut Deliver<'_>) {
        let changes = self.registry.changes();
        if self.waits.are_asleep() && !changes.is_empty() {
            let types: BTreeSet<&Arc<str>> =
                changes.iter().map(|change| &change.service_type).collect();
            for name in types {
                self.waits.change(&Followed::Type(Arc::clone(name)));
            }
            self.waits.change(&Followed::All);
            if self.registry.names_version() != self.latest.names_told {
                self.waits.change(&Followed::Names);
            }
        }
        self.latest.names_told = self.registry.names_version();
        let most = (self.budget.work.left() / TOLD_WORK).clamp(TURN_TOLD_MIN, TURN_TOLD_MAX);
        for _ in 0..most {
            let Some(session) = self.waits.next_changed() else {
                break;
            };
            self.budget.work.spend(TOLD_WORK);
            deliver(session, &Delivery::Wake);
        }
    }
}

/// The index that is told for a count of changes. It is never 0, which stands for no answer.
fn told(count: u64) -> u64 {
    count + 1
}

/// The public part of a registration that stays the same while it lives.
pub(super) fn service(record: &registry::Record<'_>) -> message::Service {
    message::Service {
        id: record.id(),
        service_type: Arc::clone(record.service_type),
        address: record.address,
        labels: record.labels.cloned(),
    }
}

/// A type with its tags in order, as many as are told.
pub(super) fn name<S>(view: registry::TypeView<'_, S>) -> Name {
    let mut tags: Vec<Box<str>> = view.tags().take(NAME_TAGS_MAX).map(Box::from).collect();
    tags.sort_unstable();
    Name {
        service_type: Arc::clone(view.name()),
        tags,
    }
}
