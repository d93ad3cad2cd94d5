//! Who watches what, and the lines that they are told.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::rc::Rc;

use super::Line;
use crate::message::{ServiceAddress, json};
use crate::registry::{Registry, TypeView};

/// Who watches what, and what has changed since it was last told.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// The connections that watch each type, and those that watch all.
    by_type: HashMap<Rc<str>, Vec<usize>>,
    of_all: Vec<usize>,
    /// What each connection watches, and its position in the list there.
    watches: HashMap<usize, (Option<Rc<str>>, usize)>,
    /// What has changed in types that are watched.
    changes: Vec<Change>,
    /// The states that were told at this count of changes.
    states: HashMap<Option<Rc<str>>, Line>,
    states_at: u64,
}

#[derive(Clone, Debug)]
struct Change {
    service_type: Rc<str>,
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
            Some((name, _)) => Rc::clone(name),
            None => Rc::from(name),
        });
        let list = match &watched {
            Some(name) => self.by_type.entry(Rc::clone(name)).or_default(),
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
    pub(super) fn up(&mut self, service_type: &Rc<str>, address: ServiceAddress) {
        self.change(service_type, address, 1);
    }

    /// Notes a registration that went.
    pub(super) fn down(&mut self, service_type: &Rc<str>, address: ServiceAddress) {
        self.change(service_type, address, -1);
    }

    fn change(&mut self, service_type: &Rc<str>, address: ServiceAddress, sign: i64) {
        if !self.of_all.is_empty() || self.by_type.contains_key(service_type) {
            self.changes.push(Change {
                service_type: Rc::clone(service_type),
                address,
                sign,
            });
        }
    }

    /// Tells what has changed: one line for each watched type with changes, one for those who watch
    /// all, each built once.
    pub(super) fn publish(&mut self, index: u64, tell: &mut dyn FnMut(usize, &Line)) {
        let mut changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() && !self.of_all.is_empty() {
            let line = change_line(index, &changes);
            self.of_all
                .iter()
                .for_each(|&connection| tell(connection, &line));
        }
        if !self.by_type.is_empty() {
            // Stable, so that the changes of a type stay in their order.
            changes.sort_by(|a, b| a.service_type.cmp(&b.service_type));
            for of_type in changes.chunk_by(|a, b| a.service_type == b.service_type) {
                let Some(watchers) = self.by_type.get(&of_type[0].service_type) else {
                    continue;
                };
                let line = change_line(index, of_type);
                watchers
                    .iter()
                    .for_each(|&connection| tell(connection, &line));
            }
        }
    }

    /// The whole state that the connection is to know, built once for all who need it now. `build`
    /// may refuse to build a new one.
    pub(super) fn state<S: BuildHasher>(
        &mut self,
        connection: usize,
        registry: &Registry<S>,
        build_len_left: &mut usize,
    ) -> Option<Line> {
        let (watched, _) = self.watches.get(&connection)?;
        let index = registry.changes();
        if self.states_at != index {
            self.states = HashMap::new();
            self.states_at = index;
        }
        if let Some(state) = self.states.get(watched) {
            return Some(Rc::clone(state));
        }
        if *build_len_left == 0 {
            return None;
        }
        let state = match watched {
            Some(name) => state_line(index, registry.service_type(name).into_iter()),
            None => state_line(index, registry.types()),
        };
        *build_len_left = build_len_left.saturating_sub(state.len());
        let state = Rc::new(state);
        self.states.insert(watched.clone(), Rc::clone(&state));
        Some(state)
    }

    /// Forgets the states that nobody needs any more.
    pub(super) fn forget_states(&mut self) {
        if !self.states.is_empty() {
            self.states = HashMap::new();
        }
    }
}

/// `{"index":43}`
pub(super) fn still_line(index: u64) -> Line {
    let mut line = Vec::with_capacity(32);
    push_index(&mut line, index);
    line.extend_from_slice(b"}\n");
    Rc::new(line)
}

fn push_index(line: &mut Vec<u8>, index: u64) {
    line.extend_from_slice(br#"{"index":"#);
    json::push_number(line, index);
}

/// `{"index":41,"services":[…]}`
fn state_line<'a, S: 'a>(index: u64, types: impl Iterator<Item = TypeView<'a, S>>) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    push_index(&mut line, index);
    line.extend_from_slice(br#","services":["#);
    let empty = line.len();
    for view in types {
        for address in view.addresses() {
            push_element(&mut line, empty, view.name(), address);
        }
    }
    line.extend_from_slice(b"]}\n");
    line.shrink_to_fit();
    line
}

/// `{"index":42,"up":[…],"down":[…]}`. What came and went in the same turn stands in neither list,
/// so a client may apply them in any order.
fn change_line(index: u64, changes: &[Change]) -> Line {
    let mut balance: HashMap<(&str, ServiceAddress), i64> = HashMap::new();
    let mixed = changes.iter().any(|change| change.sign != changes[0].sign);
    if mixed {
        for change in changes {
            *balance
                .entry((&change.service_type, change.address))
                .or_default() += change.sign;
        }
    }
    let mut line = Vec::with_capacity(64 + 80 * changes.len());
    push_index(&mut line, index);
    for (key, sign) in [(&br#","up":["#[..], 1), (br#"],"down":["#, -1)] {
        line.extend_from_slice(key);
        let empty = line.len();
        for change in changes.iter().filter(|change| change.sign == sign) {
            if mixed {
                match balance.get_mut(&(&*change.service_type, change.address)) {
                    Some(left) if *left * sign > 0 => *left -= sign,
                    _ => continue,
                }
            }
            push_element(&mut line, empty, &change.service_type, change.address);
        }
    }
    line.extend_from_slice(b"]}\n");
    line.shrink_to_fit();
    Rc::new(line)
}

/// Appends a service to the list that began at `empty`.
fn push_element(line: &mut Vec<u8>, empty: usize, service_type: &str, address: ServiceAddress) {
    if line.len() > empty {
        line.push(b',');
    }
    line.push(b'{');
    json::push_service(line, service_type, address);
    line.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(port: u64, sign: i64) -> Change {
        Change {
            service_type: "a\"".into(),
            address: ServiceAddress::new("::1", port).unwrap(),
            sign,
        }
    }

    fn line(changes: &[Change]) -> String {
        String::from_utf8(change_line(7, changes).to_vec()).unwrap()
    }

    #[test]
    fn a_line_tells_what_is_left_of_the_changes_of_a_turn() {
        let service = |port: u64| format!(r#"{{"type":"a\"","ip":"::1","port":{port}}}"#);
        let (one, two) = (service(1), service(2));
        assert_eq!(
            line(&[change(1, 1), change(2, 1)]),
            format!("{{\"index\":7,\"up\":[{one},{two}],\"down\":[]}}\n")
        );
        assert_eq!(
            line(&[change(2, -1), change(1, 1)]),
            format!("{{\"index\":7,\"up\":[{one}],\"down\":[{two}]}}\n")
        );
        assert_eq!(
            line(&[change(1, -1), change(1, 1)]),
            "{\"index\":7,\"up\":[],\"down\":[]}\n"
        );
        let twice = [change(1, 1), change(1, -1), change(1, 1)];
        assert_eq!(
            line(&twice),
            format!("{{\"index\":7,\"up\":[{one}],\"down\":[]}}\n")
        );
        let gone = [change(1, -1), change(1, -1), change(1, 1)];
        assert_eq!(
            line(&gone),
            format!("{{\"index\":7,\"up\":[],\"down\":[{one}]}}\n")
        );
    }
}
