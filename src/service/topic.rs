//! What sessions watch, a type or all: who they are, and what they are still to be told.
//!
//! Telling thousands of watchers takes longer than a turn may. So a topic tells its sessions in slices,
//! and collects what changes meanwhile for the next deltas.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Deliver;
use crate::limits::FEED_BATCH_LEN_MAX;
use crate::message::{
    Change, ChangeKind, Delivery, Delta, Reason, Removal, Rendered, Service, Update,
};

/// A topic with the sessions that watch it.
#[derive(Debug, Default)]
pub(super) struct Topic {
    /// The sessions, those that have been told first.
    sessions: Vec<usize>,
    /// Where each session stands in `sessions`.
    positions: HashMap<usize, usize>,
    /// The deltas that the sessions are being told.
    telling: Option<Telling>,
    /// What has changed since, for the next deltas.
    collected: Vec<Change>,
}

/// Deltas on their way to the sessions of a topic.
#[derive(Debug)]
struct Telling {
    deltas: Delivery,
    /// So many sessions have been told, or need not be: a snapshot will show them the changes.
    told: usize,
}

impl Topic {
    pub(super) fn is_unwatched(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether sessions have not been told everything.
    pub(super) fn is_behind(&self) -> bool {
        self.telling.is_some()
    }

    /// Changes that wait until all have been told those before.
    pub(super) fn collected_len(&self) -> usize {
        self.collected.len()
    }

    /// Whether the session has been told everything.
    pub(super) fn is_up_to_date(&self, session: usize) -> bool {
        self.collected.is_empty() && !self.is_untold(session)
    }

    /// Whether the session has not been told what is being told.
    fn is_untold(&self, session: usize) -> bool {
        let position = self.positions.get(&session);
        self.telling
            .as_ref()
            .zip(position)
            .is_some_and(|(telling, &position)| position >= telling.told)
    }

    /// Adds a session, which needs a snapshot before any deltas.
    pub(super) fn add(&mut self, session: usize) {
        self.positions.insert(session, self.sessions.len());
        self.sessions.push(session);
        if self.is_untold(session) {
            self.mark_told(session);
        }
    }

    /// Removes a session.
    pub(super) fn remove(&mut self, session: usize) {
        let Some(&position) = self.positions.get(&session) else {
            return;
        };
        let mut hole = position;
        if let Some(telling) = &mut self.telling
            && position < telling.told
        {
            // The last one that has been told fills the hole, so that those who have stay together.
            telling.told -= 1;
            hole = telling.told;
            self.swap(position, hole);
        }
        self.swap(hole, self.sessions.len() - 1);
        self.sessions.pop();
        self.positions.remove(&session);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.sessions.swap(a, b);
        for position in [a, b] {
            self.positions.insert(self.sessions[position], position);
        }
    }

    /// Counts a session as told that was not.
    fn mark_told(&mut self, session: usize) {
        if let Some(telling) = &mut self.telling {
            let told = telling.told;
            telling.told += 1;
            self.swap(self.positions[&session], told);
        }
    }

    /// Takes the changes of a turn, after which the registry's index is `index`.
    pub(super) fn publish(&mut self, index: u64, changes: &[&Change]) {
        if self.is_behind() {
            let changes = changes.iter().map(|&change| change.clone());
            self.collected.extend(changes);
        } else {
            self.begin(index, changes);
        }
    }

    fn begin(&mut self, index: u64, changes: &[&Change]) {
        let deltas = deltas(index, changes);
        let deltas = deltas.into_iter().map(Rendered::new).collect();
        self.telling = Some(Telling {
            deltas: Delivery::Update(Update::Deltas(deltas)),
            told: 0,
        });
    }

    /// Tells sessions what they have not been told, as long as `left` of them may be told. When all have
    /// been, goes on to what is collected. Appends the sessions that lagged to `lagging`.
    pub(super) fn tell(
        &mut self,
        index: u64,
        left: &mut usize,
        lagging: &mut Vec<usize>,
        deliver: &mut Deliver<'_>,
    ) {
        while let Some(Telling { deltas, told }) = &mut self.telling {
            let next = self.sessions[*told..].iter().take(*left);
            *left -= next.len();
            *told += next.len();
            lagging.extend(next.filter(|&&session| deliver(session, deltas)));
            if *told < self.sessions.len() {
                break;
            }
            self.telling = None;
            if !self.collected.is_empty() {
                let changes = std::mem::take(&mut self.collected);
                self.begin(index, &changes.iter().collect::<Vec<_>>());
            }
        }
    }

    /// Tells a session, before its turn, what is being told. Returns whether it lagged.
    pub(super) fn tell_first(&mut self, session: usize, deliver: &mut Deliver<'_>) -> bool {
        if !self.is_untold(session) {
            return false;
        }
        self.mark_told(session);
        let telling = self.telling.as_ref();
        telling.is_some_and(|telling| deliver(session, &telling.deltas))
    }
}

/// Changes in deltas of about [`FEED_BATCH_LEN_MAX`] bytes, each registration once: one that came and
/// went is left out.
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
            ChangeKind::Down { reason, .. } => Some(reason),
            _ => None,
        };
        if position == last && (was_there || reason.is_none()) {
            let service = Service {
                id: change.id(),
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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::message::ServiceAddress;
    use crate::time::Moment;

    fn change(number: u64, kind: ChangeKind) -> Change {
        Change {
            uuid: Uuid::from_u128(number.into()),
            owner: None,
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

    #[derive(Clone, Debug)]
    enum Op {
        Add,
        Remove(prop::sample::Index),
        Publish(u64),
        Tell(usize),
        TellFirst(prop::sample::Index),
    }

    fn op() -> impl Strategy<Value = Op> {
        let session = any::<prop::sample::Index>;
        prop_oneof![
            3 => Just(Op::Add),
            2 => session().prop_map(Op::Remove),
            3 => (1..4_u64).prop_map(Op::Publish),
            3 => (0..6_usize).prop_map(Op::Tell),
            2 => session().prop_map(Op::TellFirst),
        ]
    }

    /// Notes which changes, which are numbered, a session is told.
    fn note(told: &mut BTreeMap<usize, Vec<u16>>, session: usize, delivery: &Delivery) {
        let Delivery::Update(Update::Deltas(deltas)) = delivery else {
            panic!("{delivery:?}");
        };
        let up = deltas.iter().flat_map(|delta| &delta.up);
        let numbers = up.map(|service| service.address.port.get());
        let told = told.get_mut(&session).expect("it watches");
        told.extend(numbers);
    }

    proptest! {
        #[test]
        fn every_session_is_told_every_change_once_and_in_order(
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let mut topic = Topic::default();
            let mut told: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
            // The first change that each session must be told: those before are in its snapshot.
            let mut begins: BTreeMap<usize, u16> = BTreeMap::new();
            let mut last = 0;
            let any = |told: &BTreeMap<usize, Vec<u16>>, index: prop::sample::Index| {
                (!told.is_empty()).then(|| *told.keys().nth(index.index(told.len())).unwrap())
            };
            let finish = Op::Tell(10_000);
            for (session, op) in ops.into_iter().chain([finish]).enumerate() {
                match op {
                    Op::Add => {
                        topic.add(session);
                        told.insert(session, Vec::new());
                        begins.insert(session, last - topic.collected_len() as u16 + 1);
                    }
                    Op::Remove(index) => if let Some(session) = any(&told, index) {
                        topic.remove(session);
                        told.remove(&session);
                    },
                    Op::Publish(count) => {
                        let numbers = u64::from(last) + 1..=u64::from(last) + count;
                        let changes: Vec<_> =
                            numbers.map(|number| change(number, ChangeKind::Up)).collect();
                        topic.publish(7, &changes.iter().collect::<Vec<_>>());
                        last += count as u16;
                    }
                    Op::Tell(most) => {
                        let mut left = most;
                        let mut deliveries = 0;
                        topic.tell(7, &mut left, &mut Vec::new(), &mut |session, delivery| {
                            deliveries += 1;
                            note(&mut told, session, delivery);
                            false
                        });
                        prop_assert_eq!(left + deliveries, most);
                    }
                    Op::TellFirst(index) => if let Some(session) = any(&told, index) {
                        let lagged = topic.tell_first(session, &mut |session, delivery| {
                            note(&mut told, session, delivery);
                            false
                        });
                        prop_assert!(!lagged);
                        prop_assert_eq!(topic.is_up_to_date(session), topic.collected_len() == 0);
                    },
                }
                for (session, numbers) in &told {
                    let begin = begins[session];
                    let expected: Vec<u16> = (begin..).take(numbers.len()).collect();
                    prop_assert_eq!(numbers, &expected);
                    let has_all = begin + numbers.len() as u16 == last + 1;
                    prop_assert_eq!(topic.is_up_to_date(*session), has_all);
                }
            }
            prop_assert!(!topic.is_behind());
            prop_assert_eq!(topic.is_unwatched(), told.is_empty());
        }
    }
}
