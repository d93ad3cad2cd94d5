//! What etcd tells. Each rule looks at what etcd told of one key, in the order of its revisions; a guard
//! that has failed tells nothing that the watch does not tell as well.

use super::upkeep::Walk;
use super::{Holdings, LeaseCommand, News, Node, OwnKey, Owned, Phase};
use crate::cluster::known::{Known, Role};
use crate::cluster::layout::Place;
use crate::cluster::name::{Name, NodeId};
use crate::cluster::record::{ClusterValue, NodeState, NodeValue, Record};
use crate::etcd::{Event, KeyValue, Report};
use crate::message::Reason;
use crate::time::Moment;

impl Node {
    /// Takes a report of the client of etcd.
    pub fn on_report(&mut self, report: Report, holdings: &impl Holdings, now: Moment) {
        match report {
            Report::Reached {
                revision, checked, ..
            } => {
                self.backlog = revision;
                self.on_checked(checked.as_ref());
            }
            Report::OtherHistory => self.forget_history(),
            Report::LoadBegins => self.begin_load(now),
            Report::Loaded(pair) => self.on_put(&pair, holdings, now),
            Report::Changed(event) => {
                self.checks.on_change(event.key_value().mod_revision);
                match event {
                    Event::Put(pair) => self.on_put(&pair, holdings, now),
                    Event::Delete(pair) => self.on_delete(&pair, now),
                }
            }
            Report::LoadEnds(revision) => self.on_loaded(revision, now),
            Report::LineEnds(revision) => self.seen = self.seen.max(revision),
            Report::Watching => {
                self.phase = Phase::Watching;
                // What was told meanwhile comes first.
                self.orphans.start(now.plus_millis(self.config.grace_ms));
            }
            Report::Answered(answer) => self.on_answer(answer, holdings, now),
            Report::LeaseLost(lease) => {
                self.leases.remove(lease);
            }
            Report::Away(_) => {
                self.phase = Phase::Away;
                self.orphans.stop(now);
            }
            Report::LeftOut => self.checks.on_stranger(),
            Report::Prolonged(_) => {}
        }
    }

    /// What is not loaded is not there.
    fn begin_load(&mut self, now: Moment) {
        self.phase = Phase::Loading;
        self.next_load();
        self.orphans.stop(now);
        self.nodes.clear();
        self.returned.clear();
        self.names.clear();
        self.checks.begin_load();
        self.own_key = OwnKey::default();
        self.leases.unmark_all();
        self.is_unnamed = true;
    }

    fn on_checked(&mut self, checked: Option<&KeyValue>) {
        self.is_unnamed = checked.is_none();
        if let Some(pair) = checked {
            self.on_cluster_name(&pair.value);
        }
    }

    /// Another name, or a value without one, belongs to others.
    pub(super) fn on_cluster_name(&mut self, value: &[u8]) {
        let told = serde_json::from_slice::<ClusterValue>(value);
        let name = told.map(|value| value.name).unwrap_or_default();
        if name != self.config.cluster {
            self.news.push_back(News::OtherCluster(name));
        }
    }

    /// Nothing that is known of etcd counts any more.
    fn forget_history(&mut self) {
        (self.backlog, self.lost_at, self.seen) = (0, 0, 0);
        self.own_key = OwnKey::default();
        self.returned.clear();
        let leases = self.leases.drain();
        self.commands.extend(leases.map(LeaseCommand::LetGo));
        self.is_forgotten = true;
        self.next_load();
    }

    fn next_load(&mut self) {
        self.load = self.load.wrapping_add(1);
        self.walk = None;
    }

    fn on_loaded(&mut self, revision: u64, now: Moment) {
        self.is_loaded = true;
        self.is_putting = true;
        self.seen = self.seen.max(revision);
        self.put_off_check(now);
        self.walk = Some(Walk::new(revision));
        self.walk(now);
    }

    /// It stays for so many milliseconds, and for the grace at least.
    pub(super) fn orphan(&mut self, name: &Name, known: Known, ms: u64, now: Moment) {
        let role = Role::Orphan;
        self.set(name, Known { role, ..known });
        let ms = ms.max(self.config.grace_ms);
        self.orphans.add(name, &known, ms, now);
    }

    /// It is none of the cluster's. While all is loaded, it counts as one among the registrations.
    fn on_stranger(&mut self, key: &[u8]) {
        let (from, end) = self.config.layout.registrations();
        if self.phase == Phase::Loading && (&from[..]..&end[..]).contains(&key) {
            self.checks.on_stranger();
        }
    }

    pub(super) fn on_put(&mut self, pair: &KeyValue, holdings: &impl Holdings, now: Moment) {
        match self.config.layout.place(&pair.key) {
            Some(Place::Registration(name)) => match Record::parse(&pair.value) {
                Some(record) => self.on_record(&name, pair.mod_revision, record, holdings, now),
                None => self.on_unreadable(&name, pair.mod_revision, now),
            },
            Some(Place::Node(node)) => self.on_node(node, pair, now),
            Some(Place::Marker(node, lease)) if node == self.config.id => {
                self.leases.set_marked(lease, true);
            }
            Some(Place::Cluster) => {
                self.is_unnamed = false;
                self.on_cluster_name(&pair.value);
            }
            Some(Place::Marker(..)) => {}
            None => self.on_stranger(&pair.key),
        }
    }

    fn on_record(
        &mut self,
        name: &Name,
        revision: u64,
        record: Record,
        holdings: &impl Holdings,
        now: Moment,
    ) {
        let (me, load) = (self.config.id, self.load);
        let is_busy = self.phase == Phase::Loading || self.is_sent(name);
        self.catch_up(name, now);
        let mut known = self.all.get(name).unwrap_or_default();
        known.load = load;
        if revision <= known.revision {
            return self.set(name, known);
        }
        (known.revision, known.is_there, known.node) = (revision, true, record.node);
        let is_departed = self.departed.has(name, record.since);
        match known.role {
            Role::Own { .. } if record.node == me => {
                if !known.is_queued {
                    known.role = Role::Own { is_claim: false };
                }
                self.set(name, known);
            }
            Role::Own { .. } => {
                let is_contended = known.is_queued || is_busy || revision <= self.backlog;
                if is_contended && is_heard_of(holdings.owned(name).as_ref(), now) {
                    known.role = Role::Own { is_claim: true };
                    self.set(name, known);
                    self.enqueue(name);
                } else {
                    self.become_replica(name, known, record);
                }
            }
            Role::Leaving if is_departed || record.node == me => {
                self.set(name, known);
                self.enqueue(name);
            }
            Role::Replica | Role::Orphan if record.node == me => {
                self.set(name, known);
                self.on_unowned(name, now);
            }
            Role::Replica | Role::Orphan if is_departed => {
                known.role = Role::Leaving;
                self.set(name, known);
                self.enqueue(name);
                // It may be here in the form of an earlier registration of the same UUID.
                let gone = News::Gone(name.clone(), Reason::Deregistered);
                self.news.push_back(gone);
            }
            _ => self.become_replica(name, known, record),
        }
    }

    fn become_replica(&mut self, name: &Name, known: Known, record: Record) {
        let known = Known {
            role: Role::Replica,
            since: record.since,
            ttl_ms: record.ttl_ms,
            lease: 0,
            ..known
        };
        self.set(name, known);
        self.news.push_back(News::Replica(name.clone(), record));
    }

    /// etcd says that this node owns it, which it does not: it was restored from a backup, or a write
    /// was applied late. After a load, whoever owns it has the time to put it first.
    fn on_unowned(&mut self, name: &Name, now: Moment) {
        if self.phase == Phase::Loading {
            let due = now.plus_millis(self.config.grace_ms);
            self.unowned.push_back((due, name.clone()));
        } else {
            self.enqueue(name);
        }
    }

    /// Somebody has put what is no record. What is owned here is put again.
    fn on_unreadable(&mut self, name: &Name, revision: u64, now: Moment) {
        self.catch_up(name, now);
        let Some(mut known) = self.all.get(name) else {
            return self.on_stranger(&self.config.layout.registration(name));
        };
        known.load = self.load;
        let is_new = revision > known.revision;
        if is_new {
            (known.revision, known.is_there) = (revision, true);
        }
        self.set(name, known);
        if is_new && matches!(known.role, Role::Own { .. } | Role::Leaving) {
            self.enqueue(name);
        }
    }

    fn on_delete(&mut self, pair: &KeyValue, now: Moment) {
        match self.config.layout.place(&pair.key) {
            Some(Place::Registration(name)) => self.on_gone(&name, pair.mod_revision, now),
            Some(Place::Marker(node, lease)) => {
                self.lost_at = pair.mod_revision;
                if node == self.config.id {
                    // The lease itself may live: somebody has deleted all by hand.
                    self.leases.set_marked(lease, false);
                    self.is_putting = true;
                }
            }
            Some(Place::Node(node)) => {
                self.nodes.remove(&node);
                self.names.remove(&node);
                if node == self.config.id && pair.mod_revision > self.own_key.revision {
                    self.own_key = OwnKey::default();
                }
            }
            Some(Place::Cluster) => self.is_unnamed = true,
            None => {}
        }
    }

    fn on_gone(&mut self, name: &Name, revision: u64, now: Moment) {
        let me = self.config.id;
        self.catch_up(name, now);
        let Some(mut known) = self.all.get(name) else {
            return;
        };
        // What this node has removed itself may be known already.
        if revision < known.revision {
            return;
        }
        (known.revision, known.is_there) = (revision, false);
        self.set(name, known);
        let is_lost = self.lost_at == revision;
        match known.role {
            Role::Own { is_claim } if is_lost || is_claim => self.enqueue(name),
            Role::Leaving => self.forget(name),
            Role::Replica if is_lost && known.node != me => {
                let lease_ms = self.config.lease_s.saturating_mul(1_000);
                let ms = u64::from(known.ttl_ms).saturating_sub(lease_ms);
                self.orphan(name, known, ms, now);
            }
            Role::Orphan => {}
            Role::Own { .. } | Role::Replica => self.on_removed(name, Reason::Deregistered),
        }
    }

    /// It is gone for all.
    pub(super) fn on_removed(&mut self, name: &Name, reason: Reason) {
        self.forget(name);
        self.news.push_back(News::Gone(name.clone(), reason));
    }

    /// A node that is ready has put all that it owns, and had seen all changes to the revision that it
    /// says: what of it had gone by then does not come back.
    fn on_node(&mut self, node: NodeId, pair: &KeyValue, now: Moment) {
        if node == self.config.id {
            self.own_key.revision = self.own_key.revision.max(pair.mod_revision);
        }
        let Ok(value) = serde_json::from_slice::<NodeValue>(&pair.value) else {
            return;
        };
        self.nodes.insert(node, value.state);
        self.names.insert(node, value.name.as_str().into());
        if value.state == NodeState::Ready && self.phase == Phase::Watching {
            self.returned.insert(node, value.seen);
            self.end_waits(now);
        }
    }
}

/// Whether a service was heard of here so lately that it has not moved: it sends its heartbeats at a
/// third of its TTL. As much of the TTL is left for the other node to hear of it.
fn is_heard_of(owned: Option<&Owned>, now: Moment) -> bool {
    owned
        .is_some_and(|own| own.held || now.millis_since(own.heartbeat) <= u64::from(own.ttl_ms) / 2)
}
