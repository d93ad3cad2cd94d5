//! The watchers and their updates.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use super::Deliver;
use super::budget::Budget;
use crate::message::{
    Change, ChangeKind, Delivery, Delta, Rendered, Service, ServiceAddress, Snapshot, Update,
};
use crate::registry::{Registry, TypeView};

/// The watchers, and the updates that they need.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// The sessions that watch each type.
    by_type: HashMap<Arc<str>, Vec<usize>>,
    of_all: Vec<usize>,
    /// What each session watches.
    watches: HashMap<usize, Watch>,
    /// Sessions that need a snapshot, in the order of their requests. Some may have ended.
    wanting: VecDeque<usize>,
    /// Sessions that need a keepalive.
    silent: Vec<usize>,
    /// The snapshots made in this turn.
    snapshots: HashMap<Option<Arc<str>>, Rc<Rendered<Snapshot>>>,
}

/// What a session watches.
#[derive(Debug)]
struct Watch {
    /// A type, or all.
    watched: Option<Arc<str>>,
    /// Its position in the list of the sessions that watch the same.
    position: usize,
    /// Whether it is in `wanting`.
    wants_snapshot: bool,
}

impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.watches.len()
    }

    /// Adds a watcher; the session must not watch already.
    pub(super) fn add(&mut self, session: usize, service_type: Option<&str>) {
        let watched = service_type.map(|name| match self.by_type.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        });
        let list = match &watched {
            Some(name) => self.by_type.entry(Arc::clone(name)).or_default(),
            None => &mut self.of_all,
        };
        let watch = Watch {
            watched,
            position: list.len(),
            wants_snapshot: false,
        };
        list.push(session);
        self.watches.insert(session, watch);
    }

    /// Removes the session, if it is a watcher.
    pub(super) fn remove(&mut self, session: usize) {
        let Some(Watch {
            watched, position, ..
        }) = self.watches.remove(&session)
        else {
            return;
        };
        let list = match &watched {
            Some(name) => self.by_type.get_mut(name),
            None => Some(&mut self.of_all),
        };
        let Some(list) = list else { return };
        list.swap_remove(position);
        let moved = list.get(position);
        if let Some(moved) = moved.and_then(|moved| self.watches.get_mut(moved)) {
            moved.position = position;
        }
        if let (true, Some(name)) = (list.is_empty(), &watched) {
            self.by_type.remove(name);
        }
    }

    /// Records that the session needs a snapshot.
    pub(super) fn wants_snapshot(&mut self, session: usize) {
        if let Some(watch) = self.watches.get_mut(&session)
            && !std::mem::replace(&mut watch.wants_snapshot, true)
        {
            self.wanting.push_back(session);
        }
    }

    /// Records that the session needs a keepalive.
    pub(super) fn wants_keepalive(&mut self, session: usize) {
        self.silent.push(session);
    }

    /// Takes the sessions that need a keepalive.
    pub(super) fn take_silent(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.silent)
    }

    /// The session that has waited longest for a snapshot.
    pub(super) fn first_wanting(&mut self) -> Option<usize> {
        loop {
            let session = *self.wanting.front()?;
            if self
                .watches
                .get(&session)
                .is_some_and(|watch| watch.wants_snapshot)
            {
                return Some(session);
            }
            self.wanting.pop_front();
        }
    }

    /// Whether any session may need a snapshot.
    pub(super) fn any_wanting(&self) -> bool {
        !self.wanting.is_empty()
    }

    /// Records that this session, the first in `wanting`, has its snapshot.
    pub(super) fn snapshot_delivered(&mut self, session: usize) {
        if let Some(watch) = self.watches.get_mut(&session) {
            watch.wants_snapshot = false;
        }
        self.wanting.pop_front();
    }

    /// Delivers the changes: one delta for each watched type with changes, and one for the sessions
    /// that watch all.
    pub(super) fn publish(&mut self, index: u64, changes: &[Change], deliver: &mut Deliver<'_>) {
        let mut lagging = Vec::new();
        let mut tell_all = |sessions: &[usize], changes: &[&Change]| {
            let delta = Rc::new(Rendered::new(delta(index, changes)));
            let delivery = Delivery::Update(Update::Delta(delta));
            lagging.extend(
                sessions
                    .iter()
                    .filter(|&&session| deliver(session, &delivery)),
            );
        };
        if !changes.is_empty() && !self.of_all.is_empty() {
            tell_all(&self.of_all, &changes.iter().collect::<Vec<_>>());
        }
        if !self.by_type.is_empty() {
            let is_watched = |change: &&Change| self.by_type.contains_key(&change.service_type);
            let mut watched: Vec<&Change> = changes.iter().filter(is_watched).collect();
            // Stable, so that the changes of a type stay in their order.
            watched.sort_by(|a, b| a.service_type.cmp(&b.service_type));
            for of_type in watched.chunk_by(|a, b| a.service_type == b.service_type) {
                tell_all(&self.by_type[&of_type[0].service_type], of_type);
            }
        }
        for session in lagging {
            self.wants_snapshot(session);
        }
    }

    /// The snapshot for the session, made once a turn for all who need it. `None` when the budget is
    /// used up.
    pub(super) fn snapshot<S: BuildHasher>(
        &mut self,
        session: usize,
        registry: &Registry<S>,
        budget: &mut Budget,
    ) -> Option<Update> {
        let watched = &self.watches.get(&session)?.watched;
        if let Some(snapshot) = self.snapshots.get(watched) {
            return Some(Update::Snapshot(Rc::clone(snapshot)));
        }
        let len = match watched {
            Some(name) => registry.service_type(name).map_or(0, |view| view.len()),
            None => registry.len(),
        };
        budget.build(len)?;
        let services = match watched {
            Some(name) => services(registry.service_type(name).into_iter()),
            None => services(registry.types()),
        };
        let index = registry.index();
        let snapshot = Rc::new(Rendered::new(Snapshot { index, services }));
        self.snapshots.insert(watched.clone(), Rc::clone(&snapshot));
        Some(Update::Snapshot(snapshot))
    }

    /// Drops the snapshots of this turn.
    pub(super) fn forget_snapshots(&mut self) {
        if !self.snapshots.is_empty() {
            self.snapshots = HashMap::new();
        }
    }
}

/// The services of these types.
fn services<'a, S: 'a>(types: impl Iterator<Item = TypeView<'a, S>>) -> Vec<Service> {
    let of_type = |view: TypeView<'a, S>| {
        view.addresses().map(move |address| Service {
            service_type: Arc::clone(view.name()),
            address,
        })
    };
    types.flat_map(of_type).collect()
}

/// The net changes of a turn: a service that came and went in it is left out.
fn delta(index: u64, changes: &[&Change]) -> Delta {
    // For each service, how many more registrations came than went.
    let mut balance: HashMap<(&str, ServiceAddress), i64> = HashMap::new();
    let mixed = changes
        .iter()
        .any(|change| sign(change) != sign(changes[0]));
    if mixed {
        for &change in changes {
            *balance.entry(key(change)).or_default() += sign(change);
        }
    }
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for &change in changes {
        let sign = sign(change);
        if mixed {
            match balance.get_mut(&key(change)) {
                Some(left) if *left * sign > 0 => *left -= sign,
                _ => continue,
            }
        }
        let side = if sign > 0 { &mut up } else { &mut down };
        side.push(Service {
            service_type: Arc::clone(&change.service_type),
            address: change.address,
        });
    }
    Delta { index, up, down }
}

/// 1 for a registration that came, -1 for one that went.
fn sign(change: &Change) -> i64 {
    match change.kind {
        ChangeKind::Up => 1,
        ChangeKind::Down { .. } => -1,
    }
}

fn key(change: &Change) -> (&str, ServiceAddress) {
    (&change.service_type, change.address)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::message::Reason;
    use crate::time::Moment;

    fn change(port: u64, sign: i64) -> Change {
        let at = Moment::START;
        let reason = Reason::Expired;
        Change {
            uuid: Uuid::nil(),
            service_type: "a".into(),
            address: ServiceAddress::new("::1", port).unwrap(),
            ttl_ms: 1,
            held: false,
            heartbeat: at,
            kind: if sign > 0 {
                ChangeKind::Up
            } else {
                ChangeKind::Down { reason, at }
            },
        }
    }

    #[test]
    fn a_delta_tells_what_is_left_of_the_changes_of_a_turn() {
        for (changes, up, down) in [
            (&[change(1, 1), change(2, 1)][..], &[1, 2][..], &[][..]),
            (&[change(2, -1), change(1, 1)], &[1], &[2]),
            (&[change(1, -1), change(1, 1)], &[], &[]),
            (&[change(1, 1), change(1, -1), change(1, 1)], &[1], &[]),
            (&[change(1, -1), change(1, -1), change(1, 1)], &[], &[1]),
        ] {
            let delta = delta(7, &changes.iter().collect::<Vec<_>>());
            let ports = |services: &[Service]| -> Vec<u16> {
                services.iter().map(|s| s.address.port.get()).collect()
            };
            assert_eq!(delta.index, 7);
            assert_eq!((&ports(&delta.up)[..], &ports(&delta.down)[..]), (up, down));
        }
    }
}
