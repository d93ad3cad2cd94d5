//! Who watches what, and what they are told.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use crate::limits::RECORD_LEN;
use crate::message::{Delta, Rendered, Service, ServiceAddress, Snapshot, Update};
use crate::registry::{Registry, TypeView};

/// Who watches what, and what has changed since it was last told.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// The connections that watch each type, and those that watch all.
    by_type: HashMap<Arc<str>, Vec<usize>>,
    of_all: Vec<usize>,
    /// What each connection watches, and its position in the list there.
    watches: HashMap<usize, (Option<Arc<str>>, usize)>,
    /// What has changed in types that are watched.
    changes: Vec<Change>,
    /// The snapshots that were told at this count of changes.
    snapshots: HashMap<Option<Arc<str>>, Rc<Rendered<Snapshot>>>,
    snapshots_at: u64,
}

#[derive(Clone, Debug)]
struct Change {
    service_type: Arc<str>,
    address: ServiceAddress,
    /// 1 for one that came, -1 for one that went.
    sign: i64,
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

    /// Notes a registration that came.
    pub(super) fn up(&mut self, service_type: &Arc<str>, address: ServiceAddress) {
        self.change(service_type, address, 1);
    }

    /// Notes a registration that went.
    pub(super) fn down(&mut self, service_type: &Arc<str>, address: ServiceAddress) {
        self.change(service_type, address, -1);
    }

    fn change(&mut self, service_type: &Arc<str>, address: ServiceAddress, sign: i64) {
        if !self.of_all.is_empty() || self.by_type.contains_key(service_type) {
            self.changes.push(Change {
                service_type: Arc::clone(service_type),
                address,
                sign,
            });
        }
    }

    /// Tells what has changed: one delta for each watched type with changes, one for those who watch
    /// all.
    pub(super) fn publish(&mut self, index: u64, tell: &mut dyn FnMut(usize, &Update)) {
        let mut changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() && !self.of_all.is_empty() {
            let update = Update::Delta(Rc::new(Rendered::new(delta(index, &changes))));
            self.of_all
                .iter()
                .for_each(|&connection| tell(connection, &update));
        }
        if !self.by_type.is_empty() {
            // Stable, so that the changes of a type stay in their order.
            changes.sort_by(|a, b| a.service_type.cmp(&b.service_type));
            for of_type in changes.chunk_by(|a, b| a.service_type == b.service_type) {
                let Some(watchers) = self.by_type.get(&of_type[0].service_type) else {
                    continue;
                };
                let update = Update::Delta(Rc::new(Rendered::new(delta(index, of_type))));
                watchers
                    .iter()
                    .for_each(|&connection| tell(connection, &update));
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
        let index = registry.changes();
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
fn delta<'a>(index: u64, changes: &'a [Change]) -> Delta {
    let mut balance: HashMap<(&str, ServiceAddress), i64> = HashMap::new();
    let mixed = changes.iter().any(|change| change.sign != changes[0].sign);
    if mixed {
        for change in changes {
            *balance
                .entry((&change.service_type, change.address))
                .or_default() += change.sign;
        }
    }
    let mut side = |sign: i64| {
        let mut is_left = |change: &'a Change| {
            if change.sign != sign {
                return false;
            }
            if !mixed {
                return true;
            }
            match balance.get_mut(&(&*change.service_type, change.address)) {
                Some(left) if *left * sign > 0 => {
                    *left -= sign;
                    true
                }
                _ => false,
            }
        };
        let service = |change: &Change| Service {
            service_type: Arc::clone(&change.service_type),
            address: change.address,
        };
        changes
            .iter()
            .filter(|&change| is_left(change))
            .map(service)
            .collect()
    };
    Delta {
        index,
        up: side(1),
        down: side(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(port: u64, sign: i64) -> Change {
        Change {
            service_type: "a".into(),
            address: ServiceAddress::new("::1", port).unwrap(),
            sign,
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
            let delta = delta(7, changes);
            let ports = |services: &[Service]| -> Vec<u16> {
                services.iter().map(|s| s.address.port.get()).collect()
            };
            assert_eq!(delta.index, 7);
            assert_eq!((&ports(&delta.up)[..], &ports(&delta.down)[..]), (up, down));
        }
    }
}
