//! The watchers and their updates.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Deliver;
use crate::limits::FEED_BATCH_LEN_MAX;
use crate::message::{
    Change, ChangeKind, Delivery, Delta, Id, Reason, Removal, Rendered, Service, Update,
};

/// The watchers, and the updates that they need.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// The sessions that watch each type.
    by_type: HashMap<Arc<str>, Vec<usize>>,
    of_all: Vec<usize>,
    /// What each session watches.
    watches: HashMap<usize, Watch>,
    /// Sessions that need a keepalive.
    silent: Vec<usize>,
}

/// What a session watches.
#[derive(Debug)]
struct Watch {
    /// A type, or all.
    watched: Option<Arc<str>>,
    /// Its position in the list of the sessions that watch the same.
    position: usize,
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

    /// What the session watches, a type or all, if it is a watcher.
    pub(super) fn watched(&self, session: usize) -> Option<&Option<Arc<str>>> {
        self.watches.get(&session).map(|watch| &watch.watched)
    }

    /// Records that the session needs a keepalive.
    pub(super) fn wants_keepalive(&mut self, session: usize) {
        self.silent.push(session);
    }

    /// Takes the sessions that need a keepalive.
    pub(super) fn take_silent(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.silent)
    }

    /// Delivers the changes to those that watch their types, and to those that watch all. Returns the
    /// sessions that lagged on them.
    pub(super) fn publish(
        &mut self,
        index: u64,
        changes: &[Change],
        deliver: &mut Deliver<'_>,
    ) -> Vec<usize> {
        let mut lagging = Vec::new();
        let mut tell_all = |sessions: &[usize], changes: &[&Change]| {
            let deltas = deltas(index, changes);
            let deltas = deltas.into_iter().map(Rendered::new).collect();
            let delivery = Delivery::Update(Update::Deltas(deltas));
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
        lagging
    }
}

/// The changes of a turn in deltas of about [`FEED_BATCH_LEN_MAX`] bytes, each registration once: one
/// that came and went in the turn is left out.
fn deltas(index: u64, changes: &[&Change]) -> Vec<Delta> {
    let empty = || Delta {
        index,
        up: Vec::new(),
        down: Vec::new(),
    };
    let (mut deltas, mut len) = (vec![empty()], 0);
    for_each_net(changes, |service, reason| {
        if len > FEED_BATCH_LEN_MAX {
            deltas.push(empty());
            len = 0;
        }
        len += service.line_len_max();
        if let Some(delta) = deltas.last_mut() {
            match reason {
                None => delta.up.push(service),
                Some(reason) => delta.down.push(Removal { service, reason }),
            }
        }
    });
    deltas
}

/// Calls `tell` for each registration that the changes have brought, or removed for a reason.
fn for_each_net(changes: &[&Change], mut tell: impl FnMut(Service, Option<Reason>)) {
    // For each registration, whether it was there before, and the position of its last change.
    let mut ends: HashMap<Uuid, (bool, usize)> = HashMap::new();
    let is_up = |change: &Change| change.kind == ChangeKind::Up;
    let is_mixed =
        |change: &&Change| change.kind == ChangeKind::Updated || is_up(change) != is_up(changes[0]);
    if changes.iter().any(is_mixed) {
        for (position, change) in changes.iter().enumerate() {
            let first = (!is_up(change), position);
            ends.entry(change.uuid).or_insert(first).1 = position;
        }
    }
    for (position, change) in changes.iter().enumerate() {
        let (was_there, last) = ends.get(&change.uuid).copied().unwrap_or((true, position));
        let reason = match change.kind {
            ChangeKind::Up | ChangeKind::Updated => None,
            ChangeKind::Down { reason, .. } => Some(reason),
        };
        if position == last && (was_there || reason.is_none()) {
            let service = Service {
                id: Id::of(&change.uuid),
                service_type: Arc::clone(&change.service_type),
                address: change.address,
                labels: change.labels.clone(),
            };
            tell(service, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ServiceAddress;
    use crate::time::Moment;

    fn change(number: u64, kind: ChangeKind) -> Change {
        Change {
            uuid: Uuid::from_u128(number.into()),
            service_type: "a".into(),
            address: ServiceAddress::new("::1", number).unwrap(),
            ttl_ms: 1,
            held: false,
            heartbeat: Moment::START,
            labels: None,
            kind,
        }
    }

    #[test]
    fn a_delta_tells_what_is_left_of_the_changes_of_a_turn() {
        let up = |number| change(number, ChangeKind::Up);
        let updated = |number| change(number, ChangeKind::Updated);
        let down = |number| {
            let (reason, at) = (Reason::Expired, Moment::START);
            change(number, ChangeKind::Down { reason, at })
        };
        for (changes, ups, downs) in [
            (&[up(1), up(2)][..], &[1, 2][..], &[][..]),
            (&[down(2), up(1)], &[1], &[2]),
            (&[up(1), down(1)], &[], &[]),
            (&[down(1), up(1)], &[1], &[]),
            (&[up(1), down(1), up(1)], &[1], &[]),
            (&[down(1), up(1), down(1)], &[], &[1]),
            (&[down(1), down(2)], &[], &[1, 2]),
            (&[updated(1), updated(1)], &[1], &[]),
            (&[up(1), updated(1), down(1)], &[], &[]),
            (&[updated(1), down(1)], &[], &[1]),
        ] {
            let deltas = deltas(7, &changes.iter().collect::<Vec<_>>());
            let [delta] = &deltas[..] else {
                panic!("{deltas:?}");
            };
            let port = |service: &Service| service.address.port.get();
            let up: Vec<u16> = delta.up.iter().map(port).collect();
            let down = delta.down.iter().map(|removal| port(&removal.service));
            assert_eq!(delta.index, 7);
            assert_eq!((&up[..], &down.collect::<Vec<_>>()[..]), (ups, downs));
        }
    }
}
