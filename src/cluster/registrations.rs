//! All registrations that a node knows of, with little memory for each.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::known::{Known, Role};
use super::name::{KeyId, Name, NodeId};
use super::numbers::Numbers;
use crate::limits::CLUSTER_CHUNK_LEN_MAX;

/// Registrations in the order of their names. They are in chunks, so that a change moves little, and all
/// can be looked at a few at a time while some come and go.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    /// Each chunk has registrations of one type, from this name on and before that of the next chunk.
    chunks: BTreeMap<Name, Vec<Entry>>,
    nodes: Numbers<NodeId>,
    leases: Numbers<i64>,
}

/// A registration in as few bytes as possible.
#[derive(Debug)]
struct Entry {
    id: KeyId,
    revision: u64,
    since: i64,
    ttl_ms: u32,
    node: u32,
    lease: u32,
    load: u16,
    /// The role, and bits for the rest.
    flags: u8,
}

const ROLE: u8 = 0b111;
const IS_THERE: u8 = 0b1000;
const IS_QUEUED: u8 = 0b1_0000;

impl Registrations {
    pub(super) fn get(&self, name: &Name) -> Option<Known> {
        let (chunk, at) = self.find(name)?;
        Some(self.known(&chunk[at]))
    }

    /// What is known of it from now on. Returns what was known before.
    pub(super) fn set(&mut self, name: &Name, known: Known) -> Option<Known> {
        let entry = Entry {
            id: name.id,
            revision: known.revision,
            since: known.since,
            ttl_ms: known.ttl_ms,
            node: self.nodes.take(known.node),
            lease: self.leases.take(known.lease),
            load: known.load,
            flags: flags_of(&known),
        };
        if let Some(old) = self.entry_mut(name) {
            let old = std::mem::replace(old, entry);
            return Some(self.give_back(&old));
        }
        self.insert(name, entry);
        None
    }

    pub(super) fn remove(&mut self, name: &Name) -> Option<Known> {
        let (_, at) = self.find(name)?;
        let (first, chunk) = self.chunks.range_mut(..=name).next_back()?;
        let entry = chunk.remove(at);
        if chunk.is_empty() {
            let first = first.clone();
            self.chunks.remove(&first);
        } else if chunk.capacity() > 2 * chunk.len() {
            chunk.shrink_to(chunk.len() + chunk.len() / 8);
        }
        Some(self.give_back(&entry))
    }

    /// Registrations under this lease.
    pub(super) fn under(&self, lease: i64) -> usize {
        self.leases.count(lease)
    }

    /// The chunk behind the one with this first name, or the first one: its own first name, and what it
    /// has.
    pub(super) fn chunk_behind(
        &self,
        first: Option<&Name>,
    ) -> Option<(&Name, impl Iterator<Item = (Name, Known)>)> {
        let behind = first.map_or(Bound::Unbounded, Bound::Excluded);
        let mut chunks = self.chunks.range((behind, Bound::Unbounded));
        let (first, chunk) = chunks.next()?;
        Some((first, self.of_chunk(first, chunk)))
    }

    fn of_chunk<'a>(
        &'a self,
        first: &'a Name,
        chunk: &'a [Entry],
    ) -> impl Iterator<Item = (Name, Known)> {
        chunk.iter().map(|entry| {
            let name = Name {
                service_type: first.service_type.clone(),
                id: entry.id,
            };
            (name, self.known(entry))
        })
    }

    /// The chunk that has it, and where.
    fn find(&self, name: &Name) -> Option<(&[Entry], usize)> {
        let (first, chunk) = self.chunks.range(..=name).next_back()?;
        let at = chunk.binary_search_by_key(&name.id, |entry| entry.id);
        (first.service_type == name.service_type)
            .then(|| at.ok())?
            .map(|at| (&chunk[..], at))
    }

    fn entry_mut(&mut self, name: &Name) -> Option<&mut Entry> {
        let (_, at) = self.find(name)?;
        let (_, chunk) = self.chunks.range_mut(..=name).next_back()?;
        Some(&mut chunk[at])
    }

    /// Adds what is not there.
    fn insert(&mut self, name: &Name, entry: Entry) {
        let before = self.chunks.range_mut(..=name).next_back();
        let of_type = before.filter(|(first, _)| first.service_type == name.service_type);
        let Some((_, chunk)) = of_type else {
            self.chunks.insert(name.clone(), vec![entry]);
            return;
        };
        let at = chunk.partition_point(|other| other.id < name.id);
        if chunk.len() < CLUSTER_CHUNK_LEN_MAX {
            return insert_at(chunk, at, entry);
        }
        // What comes in order leaves full chunks behind; others are divided.
        let is_last = at == chunk.len();
        let middle = if is_last { at } else { chunk.len() / 2 };
        let mut end = chunk.split_off(middle);
        chunk.shrink_to_fit();
        if at < middle {
            insert_at(chunk, at, entry);
        } else {
            insert_at(&mut end, at - middle, entry);
        }
        let first = Name {
            service_type: name.service_type.clone(),
            id: end[0].id,
        };
        self.chunks.insert(first, end);
    }

    fn known(&self, entry: &Entry) -> Known {
        Known {
            revision: entry.revision,
            is_there: entry.flags & IS_THERE != 0,
            node: self.nodes.value(entry.node),
            role: role_of(entry.flags),
            since: entry.since,
            ttl_ms: entry.ttl_ms,
            lease: self.leases.value(entry.lease),
            is_queued: entry.flags & IS_QUEUED != 0,
            load: entry.load,
        }
    }

    /// What an entry was that is none any more.
    fn give_back(&mut self, entry: &Entry) -> Known {
        let known = self.known(entry);
        self.nodes.give_back(entry.node);
        self.leases.give_back(entry.lease);
        known
    }
}

/// Inserts with little room for more, of which there are many.
fn insert_at(chunk: &mut Vec<Entry>, at: usize, entry: Entry) {
    if chunk.len() == chunk.capacity() {
        chunk.reserve_exact(1 + chunk.len() / 8);
    }
    chunk.insert(at, entry);
}

const ROLES: [Role; 5] = [
    Role::Replica,
    Role::Orphan,
    Role::Leaving,
    Role::Own { is_claim: false },
    Role::Own { is_claim: true },
];

fn role_of(flags: u8) -> Role {
    ROLES[usize::from(flags & ROLE)]
}

fn flags_of(known: &Known) -> u8 {
    let role = match known.role {
        Role::Replica => 0,
        Role::Orphan => 1,
        Role::Leaving => 2,
        Role::Own { is_claim } => 3 + u8::from(is_claim),
    };
    let is_there = if known.is_there { IS_THERE } else { 0 };
    let is_queued = if known.is_queued { IS_QUEUED } else { 0 };
    role | is_there | is_queued
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn name(service_type: &str, number: u32) -> Name {
        Name {
            service_type: service_type.into(),
            id: KeyId::of(&Uuid::from_u128(number.into())),
        }
    }

    fn known(number: u64) -> Known {
        Known {
            revision: number,
            is_there: number.is_multiple_of(2),
            node: NodeId(number % 3),
            role: ROLES[number as usize % ROLES.len()],
            since: -(number as i64),
            ttl_ms: number as u32,
            lease: number as i64 % 5,
            is_queued: number.is_multiple_of(3),
            load: number as u16,
        }
    }

    /// Bytes of memory, as far as they grow with the number of registrations.
    fn memory_len(all: &Registrations) -> usize {
        // A map from names to chunks is full to the half at least.
        let chunks = 2 * all.chunks.len() * size_of::<(Name, Vec<Entry>)>();
        let capacity = all.chunks.values().map(Vec::capacity).sum::<usize>();
        chunks + capacity * size_of::<Entry>()
    }

    #[test]
    fn a_registration_takes_at_most_64_bytes_in_whatever_order_they_come() {
        const COUNT: u32 = 100_000;
        assert_eq!(size_of::<Entry>(), 48);
        let mut names: Vec<Name> = (0..COUNT).map(|number| name("hive", number)).collect();
        for is_sorted in [false, true] {
            if is_sorted {
                names.sort_unstable();
            }
            let mut all = Registrations::default();
            for (name, number) in names.iter().zip(0..) {
                all.set(name, known(number));
            }
            let each = memory_len(&all).div_ceil(COUNT as usize);
            println!("{each} bytes each");
            assert!(each <= 64, "{each} bytes each");
            // What goes gives its memory back.
            for (number, name) in names.iter().enumerate() {
                if number % 10 > 0 {
                    all.remove(name);
                }
            }
            let each = memory_len(&all).div_ceil(COUNT as usize / 10);
            assert!(each <= 128, "{each} bytes each of few");
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Set(u32, u64),
        Remove(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        let number = 0..4_000_u32;
        prop_oneof![
            2 => (number.clone(), 1..100_u64).prop_map(|(number, value)| Op::Set(number, value)),
            1 => number.prop_map(Op::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn registrations_equal_a_sorted_map(ops in prop::collection::vec(op(), 1..6_000)) {
            let mut all = Registrations::default();
            let mut model = BTreeMap::new();
            let name = |number: u32| name(["a", "b"][number as usize % 2], number);
            for op in ops {
                match op {
                    Op::Set(number, value) => {
                        let (name, known) = (name(number), known(value));
                        prop_assert_eq!(all.set(&name, known), model.insert(name, known));
                    }
                    Op::Remove(number) => {
                        let name = name(number);
                        prop_assert_eq!(all.remove(&name), model.remove(&name));
                    }
                }
            }
            for number in 0..4_000 {
                let name = name(number);
                prop_assert_eq!(all.get(&name), model.get(&name).copied());
            }
            for lease in 1..5 {
                let under = model.values().filter(|known| known.lease == lease).count();
                prop_assert_eq!(all.under(lease), under);
            }
            let mut chunks = Vec::new();
            let mut behind = None;
            while let Some((first, chunk)) = all.chunk_behind(behind) {
                chunks.extend(chunk);
                behind = Some(first);
            }
            let all: Vec<(Name, Known)> = chunks;
            prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        }
    }
}
