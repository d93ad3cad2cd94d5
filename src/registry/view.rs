//! Read access to the registrations.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::entry::Entries;
use super::{NONE, Registry};
use crate::message::{Id, Labels, NodeNumber, ServiceAddress};
use crate::time::Moment;

/// One live registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its UUID: the right to change it, told only to the peer that registered it. Of one that another
    /// node owns, its key in etcd.
    pub uuid: Uuid,
    /// The node that owns it, where that is another one.
    pub owner: Option<NodeNumber>,
    /// Its type.
    pub service_type: &'a Arc<str>,
    /// The address of the service.
    pub address: ServiceAddress,
    /// Its last heartbeat; for a held one and one that another node owns, the present moment.
    pub heartbeat: Moment,
    /// Milliseconds that it lives without a heartbeat or, if held, without its connection.
    pub ttl_ms: u32,
    /// Whether a connection holds it.
    pub held: bool,
    /// Its tags and metadata, if it has any.
    pub labels: Option<&'a Arc<Labels>>,
}

impl Record<'_> {
    /// Its public name.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::of_owned(&self.uuid, self.owner)
    }

    /// Whether its last heartbeat at `now` is younger than this. Of one that another node owns, only what
    /// that one vouches for is known: it is younger than its TTL.
    #[must_use]
    pub fn is_younger(&self, max_age: Duration, now: Moment) -> bool {
        match self.owner {
            None => now.since(self.heartbeat) < max_age,
            Some(_) => Duration::from_millis(self.ttl_ms.into()) <= max_age,
        }
    }
}

/// The registrations of one type.
#[derive(Clone, Copy, Debug)]
pub struct TypeView<'a, S> {
    registry: &'a Registry<S>,
    slot: u32,
}

impl<'a, S> TypeView<'a, S> {
    pub(super) fn new(registry: &'a Registry<S>, slot: u32) -> Self {
        TypeView { registry, slot }
    }

    /// The type's slot number. Another type may reuse it after the last registration of this one was
    /// removed.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The type's name.
    #[must_use]
    pub fn name(&self) -> &'a Arc<str> {
        &self.registry.types.get(self.slot).name
    }

    /// The registry's count of changes at this type's last change. No two states of any types share
    /// a version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.registry.types.get(self.slot).version
    }

    /// The tags that any of its registrations has, each once and in no order.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a, S> {
        self.registry.tags.of(self.slot)
    }

    /// The number of its registrations; never 0, because a type is removed with its last one.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.registry.types.get(self.slot).len as usize
    }

    /// The addresses of its services, oldest registration first.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = ServiceAddress> + use<'a, S> {
        let entries = &self.registry.entries;
        self.slots().map(|slot| entries.address(slot))
    }

    /// Its registrations at `now`, oldest first.
    pub fn records(&self, now: Moment) -> impl ExactSizeIterator<Item = Record<'a>> + use<'a, S> {
        let registry = self.registry;
        self.slots().map(move |slot| registry.record(slot, now))
    }

    /// As [`records`](Self::records), of those only that have all the wanted tags and metadata. It
    /// looks at nothing else of the others.
    pub fn records_with<'b>(
        &self,
        now: Moment,
        wanted: Option<&'b Labels>,
    ) -> impl Iterator<Item = Record<'a>> + use<'a, 'b, S> {
        let registry = self.registry;
        let has_wanted = move |slot: &u32| {
            let has = |wanted| {
                registry
                    .labels(*slot)
                    .is_some_and(|own| own.contains(wanted))
            };
            wanted.is_none_or(has)
        };
        let slots = self.slots().filter(has_wanted);
        slots.map(move |slot| registry.record(slot, now))
    }

    fn slots(&self) -> Slots<'a> {
        let of = self.registry.types.get(self.slot);
        Slots {
            entries: &self.registry.entries,
            next: of.first,
            left: of.len,
        }
    }
}

impl<S: BuildHasher> Registry<S> {
    /// The count of changes at the last change of the type with this name, also of one that has no
    /// registrations: the last 1024 that went are remembered, and of all others the latest.
    #[must_use]
    pub fn version_of(&self, name: &str) -> u64 {
        self.types.version_of(name, &self.hasher)
    }

    /// The types with this name, in any case of its ASCII letters, in no particular order.
    pub fn types_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = TypeView<'a, S>> {
        let slots = self.types.find_folded(name, &self.hasher);
        slots.map(|slot| TypeView::new(self, slot))
    }

    /// The slot of one of the types with this name, in any case of its ASCII letters, and a number that no
    /// two states of these types have in common.
    #[must_use]
    pub fn version_of_named(&self, name: &str) -> Option<(u32, u64)> {
        let mut types = self.types_named(name);
        let first = types.next()?;
        let Some(latest) = types.map(|view| view.version()).max() else {
            return Some((first.slot(), 2 * first.version()));
        };
        // The version of the names tells of a type that has come or gone.
        let version = latest.max(first.version()).max(self.names_version());
        Some((first.slot(), 2 * version + 1))
    }
}

impl<S> Registry<S> {
    pub(super) fn record(&self, slot: u32, now: Moment) -> Record<'_> {
        let entry = self.entries.get(slot);
        let (held, owner) = (entry.is_held(), entry.owner());
        let is_heard = !held && owner.is_none();
        Record {
            uuid: entry.uuid,
            owner,
            service_type: &self.types.get(entry.service_type).name,
            address: self.entries.address(slot),
            heartbeat: if is_heard { entry.heartbeat } else { now },
            ttl_ms: entry.ttl_ms(),
            held,
            labels: self.labels(slot),
        }
    }

    /// The tags and metadata of the entry `slot`, if it has any.
    pub(super) fn labels(&self, slot: u32) -> Option<&Arc<Labels>> {
        let set = self.entries.label_set(slot)?;
        Some(self.label_sets.get(set))
    }

    /// The count of changes, registrations and removals, from the number that the count began with.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The registry's count of changes when a type last came or went, or got or lost a tag.
    #[must_use]
    pub fn names_version(&self) -> u64 {
        self.types.names_version
    }

    /// Tags of all types together, each once for each type.
    #[must_use]
    pub fn tags_len(&self) -> usize {
        self.tags.len()
    }

    /// Types that have registrations.
    #[must_use]
    pub fn types_len(&self) -> usize {
        self.types.len()
    }

    /// All types, in no particular order.
    pub fn types(&self) -> impl Iterator<Item = TypeView<'_, S>> {
        self.types.iter().map(|(slot, _)| TypeView::new(self, slot))
    }
}

struct Slots<'a> {
    entries: &'a Entries,
    next: u32,
    left: u32,
}

impl Iterator for Slots<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let slot = self.next;
        if slot == NONE {
            return None;
        }
        self.next = self.entries.get(slot).next;
        self.left -= 1;
        Some(slot)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Slots<'_> {}
