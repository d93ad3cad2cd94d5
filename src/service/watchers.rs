//! Who watches what, and what they are told.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use crate::limits::RECORD_LEN;
use crate::message::{
    Change, ChangeKind, Delta, Rendered, Service, ServiceAddress, Snapshot, Update,
};
use crate::registry::{Registry, TypeView};

/// Who watches what, and the snapshots that several need at the moment.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// The connections that watch each type, and those that watch all.
    by_type: HashMap<Arc<str>, Vec<usize>>,
    of_all: Vec<usize>,
    /// What each connection watches, and its position in the list there.
    watches: HashMap<usize, (Option<Arc<str>>, usize)>,
    /// The snapshots that were told at this index.
    snapshots: HashMap<Option<Arc<str>>, Rc<Rendered<Snapshot>>>,
    snapshots_at: u64,
}

impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.watches.len()
    }

    /// The connection watches from now on; it must not watch already.
    pub(super) fn add(&mut self, connection: usize, service_type: Option<&str>) {
        let watched = service_type.map(|name| match self.by_type.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        });
        let list = match &watched {
            Some(name) => self.by_type.entry(Arc::clone(name)).or_default(),
            None => &mut self.of_all,
        };
        let position = list.len();
        list.push(connection);
        self.watches.insert(connection, (watched, position));
    }

    /// The connection watches no more, if it did.
    pub(super) fn remove(&mut self, connection: usize) {
        let Some((watched, position)) = self.watches.remove(&connection) else {
            return;
        };
        let list = match &watched {
            Some(name) => self.by_type.get_mut(name),
            None => Some(&mut self.of_all),
        };
        let Some(list) = list else { return };
        list.swap_remove(position);
        if let Some(moved) = list
            .get(position)
            .and_then(|moved| self.watches.get_mut(moved))
        {
            moved.1 = position;
        }
        if let (true, Some(name)) = (list.is_empty(), &watched) {
            self.by_type.remove(name);
        }
    }

    /// Tells what has changed: one delta for each watched type with changes, one for those who watch
    /// all.
    pub(super) fn publish(
        &self,
        index: u64,
        changes: &[Change],
        tell: &mut dyn FnMut(usize, &Update),
    ) {
        let mut tell_all = |connections: &[usize], changes: &[&Change]| {
            let update = Update::Delta(Rc::new(Rendered::new(delta(index, changes))));
            for &connection in connections {
                tell(connection, &update);
            }
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
    }

    /// The snapshot that the connection is to be told, made once for all who need it now. `None`
    /// when there is no budget left to make one.
    pub(super) fn snapshot<S: BuildHasher>(
        &mut self,
        connection: usize,
        registry: &Registry<S>,
        build_len_left: &mut usize,
    ) -> Option<Update> {
        let (watched, _) = self.watches.get(&connection)?;
        let index = registry.index();
        if self.snapshots_at != index {
            self.snapshots = HashMap::new();
            self.snapshots_at = index;
        }
        if let Some(snapshot) = self.snapshots.get(watched) {
            return Some(Update::Snapshot(Rc::clone(snapshot)));
        }
        if *build_len_left == 0 {
            return None;
        }
        let services = match watched {
            Some(name) => services(registry.service_type(name).into_iter()),
            None => services(registry.types()),
        };
        *build_len_left = build_len_left.saturating_sub(services.len() * RECORD_LEN);
        let snapshot = Rc::new(Rendered::new(Snapshot { index, services }));
        self.snapshots.insert(watched.clone(), Rc::clone(&snapshot));
        Some(Update::Snapshot(snapshot))
    }

    /// Forgets the snapshots that nobody needs any more.
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

/// What is left of the changes of a turn when what came and went in it is left out.
fn delta(index: u64, changes: &[&Change]) -> Delta {
    // How many more came than went, of each service that did either.
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
