//! What this node writes.

use super::{Holdings, LeaseCommand, Node, Phase, Queued};
use crate::cluster::known::{Known, Role};
use crate::cluster::name::Name;
use crate::cluster::record::{ClusterValue, NodeState, NodeValue, Record};
use crate::etcd::{Answer, Call, Change, FailureKind, KeyValue, Write, WriteOutcome};
use crate::limits::{
    CLUSTER_OWN_WRITES_MAX, CLUSTER_REFUSED_PAUSE_MS, CLUSTER_WRITES_APART_MS, ETCD_WRITES_MAX,
    TURN_QUEUED_MAX,
};
use crate::time::Moment;

/// A call that is not answered yet.
#[derive(Debug)]
pub(super) enum Sent {
    Grant,
    /// Writes, of which those of registrations and keys of the node itself are under this lease.
    Writes(i64, Vec<Target>),
    /// The removal of what this node has put, without a guard.
    Removal(Name),
    Count,
}

/// What a write is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Cluster,
    Marker,
    Own(NodeState),
    Put(Name),
    Delete(Name),
}

impl Node {
    /// The next call to make, where the client is not busy.
    pub fn next_call(&mut self, holdings: &impl Holdings, now: Moment) -> Option<Call> {
        if let Some(call) = self.next_check(now) {
            self.sent = Some(Sent::Count);
            return Some(call);
        }
        if self.next_call_due().is_none_or(|due| due > now) {
            return None;
        }
        if let Some(call) = self.next_removal() {
            return Some(call);
        }
        let Some((lease, room)) = self.leases.next(&self.all) else {
            self.sent = Some(Sent::Grant);
            return Some(Call::Grant(self.config.lease_s));
        };
        let mut writes = Vec::new();
        let mut targets = Vec::new();
        for (target, write) in self.own_writes(lease) {
            targets.push(target);
            writes.push(write);
        }
        let count_max = (ETCD_WRITES_MAX - CLUSTER_OWN_WRITES_MAX).min(room);
        let mut count = 0;
        let fits = |next: &Queued, count| count < count_max || next.is_joined && count > 0;
        while self.queue.front().is_some_and(|next| fits(next, count)) {
            let Some(queued) = self.queue.pop_front() else {
                break;
            };
            count += 1;
            if let Some((target, write)) = self.write(&queued.name, lease, holdings, now) {
                targets.push(target);
                writes.push(write);
            }
        }
        if writes.is_empty() {
            return None;
        }
        self.written = now;
        self.sent = Some(Sent::Writes(lease, targets));
        Some(Call::Apply(writes))
    }

    /// When the next call can be made.
    pub(super) fn next_call_due(&self) -> Option<Moment> {
        if self.phase != Phase::Watching || self.sent.is_some() {
            return None;
        }
        if !self.removals.is_empty() {
            return Some(Moment::START);
        }
        let is_idle = self.queue.is_empty()
            && !self.is_unnamed
            && self.leases.len() > 0
            && self.leases.are_marked()
            && self.own_key.state == Some(self.next_state());
        if is_idle {
            return None;
        }
        let is_full = self.queue.len() + CLUSTER_OWN_WRITES_MAX >= ETCD_WRITES_MAX;
        let apart_ms = if is_full { 0 } else { CLUSTER_WRITES_APART_MS };
        Some(self.written.plus_millis(apart_ms).max(self.pause))
    }

    /// The next removal that needs no transaction. It has no guard, so it is for what this node has put
    /// itself.
    fn next_removal(&mut self) -> Option<Call> {
        for _ in 0..TURN_QUEUED_MAX {
            let name = self.removals.pop_front()?;
            let Some(mut known) = self.all.get(&name) else {
                continue;
            };
            if self.is_removable(&known) {
                known.is_queued = false;
                self.set(&name, known);
                let key = self.config.layout.registration(&name);
                self.sent = Some(Sent::Removal(name));
                return Some(Call::Remove(key));
            }
            let is_joined = false;
            self.queue.push_back(Queued { name, is_joined });
        }
        None
    }

    /// Whether it can be removed without a guard, as this node has put it itself.
    pub(super) fn is_removable(&self, known: &Known) -> bool {
        known.role == Role::Leaving && known.is_there && known.node == self.config.id
    }

    /// Whether something of what this node owns may wait to be written.
    pub(super) fn has_backlog(&self) -> bool {
        self.walk.is_some() || !self.queue.is_empty()
    }

    /// Whether a write of this registration is under way.
    pub(super) fn is_sent(&self, name: &Name) -> bool {
        let targets = match &self.sent {
            Some(Sent::Writes(_, targets)) => targets,
            Some(Sent::Removal(other)) => return other == name,
            Some(Sent::Grant | Sent::Count) | None => return false,
        };
        let is_of = |target: &Target| match target {
            Target::Put(other) | Target::Delete(other) => other == name,
            Target::Cluster | Target::Marker | Target::Own(_) => false,
        };
        targets.iter().any(is_of)
    }

    /// What the node's own key is to say.
    fn next_state(&self) -> NodeState {
        if self.is_leaving {
            NodeState::Leaving
        } else if self.is_putting && self.has_backlog() {
            NodeState::Putting
        } else {
            NodeState::Ready
        }
    }

    fn own_writes(&mut self, lease: i64) -> Vec<(Target, Write)> {
        let mut writes = Vec::new();
        let mut push = |target, key, guard, value, lease| {
            let change = Change::Put { value, lease };
            writes.push((target, Write { key, guard, change }));
        };
        let layout = &self.config.layout;
        if self.is_unnamed {
            let value = ClusterValue {
                name: self.config.cluster.clone(),
            };
            push(Target::Cluster, layout.cluster(), 0, json(&value), 0);
        }
        let me = self.config.id;
        if !self.leases.is_marked(lease) {
            let marker = layout.marker(me, lease);
            push(Target::Marker, marker, 0, b"{}".to_vec(), lease);
        }
        let state = self.next_state();
        // It is ready when all that it owns was written before.
        if self.own_key.state != Some(state) && (state != NodeState::Ready || !self.has_backlog()) {
            let value = NodeValue {
                name: self.config.name.clone(),
                version: self.config.version.clone(),
                state,
                seen: self.seen,
            };
            let guard = self.own_key.revision;
            push(
                Target::Own(state),
                layout.node(me),
                guard,
                json(&value),
                lease,
            );
        }
        self.is_putting &= self.has_backlog();
        writes
    }

    /// What makes etcd tell of a registration what is true, if anything.
    fn write(
        &mut self,
        name: &Name,
        lease: i64,
        holdings: &impl Holdings,
        now: Moment,
    ) -> Option<(Target, Write)> {
        let me = self.config.id;
        self.catch_up(name, now);
        let mut known = self.all.get(name)?;
        // It may wait a second time, under the same name.
        if !known.is_queued {
            return None;
        }
        known.is_queued = false;
        let (key, guard) = (self.config.layout.registration(name), known.guard());
        let is_owned = known.is_own().then(|| holdings.owned(name)).flatten();
        if let Some(owned) = is_owned {
            let record = Record {
                address: owned.address,
                node: me,
                ttl_ms: owned.ttl_ms,
                since: known.since,
                held: owned.held,
                labels: owned.labels,
            };
            (known.ttl_ms, known.lease) = (owned.ttl_ms, lease);
            self.set(name, known);
            let value = record.value();
            let change = Change::Put { value, lease };
            return Some((Target::Put(name.clone()), Write { key, guard, change }));
        }
        self.set(name, known);
        let is_gone = matches!(known.role, Role::Own { .. } | Role::Leaving);
        if known.is_there && (is_gone || known.node == me) {
            let change = Change::Delete;
            return Some((Target::Delete(name.clone()), Write { key, guard, change }));
        }
        if is_gone {
            self.forget(name);
        }
        None
    }

    pub(super) fn on_answer(&mut self, answer: Answer, holdings: &impl Holdings, now: Moment) {
        match (self.sent.take(), answer) {
            (Some(Sent::Grant), Answer::Granted(lease, ttl_s)) => {
                self.leases.add(lease);
                self.commands.push_back(LeaseCommand::Keep(lease, ttl_s));
            }
            (Some(Sent::Removal(name)), Answer::Removed(revision)) => {
                self.on_done(Target::Delete(name), 0, revision, now);
            }
            (Some(Sent::Removal(name)), _) => self.enqueue(&name),
            (Some(Sent::Writes(lease, targets)), Answer::Applied(revision, outcomes)) => {
                (self.is_full, self.unsorted) = (false, 0);
                for (target, outcome) in targets.into_iter().zip(outcomes) {
                    match outcome {
                        WriteOutcome::Done => self.on_done(target, lease, revision, now),
                        WriteOutcome::Found(pair) => {
                            self.on_found(target, lease, pair, holdings, now);
                        }
                    }
                }
            }
            (Some(Sent::Writes(lease, targets)), Answer::Failed(failure)) => {
                self.write_again(targets);
                if failure.kind() == FailureKind::NoLease {
                    self.leases.remove(lease);
                    self.commands.push_back(LeaseCommand::LetGo(lease));
                    self.is_putting = true;
                } else {
                    self.on_refused(failure.kind(), now);
                }
            }
            (Some(Sent::Writes(_, targets)), _) => self.write_again(targets),
            (Some(Sent::Grant), Answer::Failed(failure)) => self.on_refused(failure.kind(), now),
            (Some(Sent::Count), answer) => self.on_counted(&answer, now),
            (Some(Sent::Grant) | None, _) => {}
        }
    }

    fn on_refused(&mut self, kind: FailureKind, now: Moment) {
        self.pause = now.plus_millis(CLUSTER_REFUSED_PAUSE_MS);
        let was_full = std::mem::replace(&mut self.is_full, kind == FailureKind::Full);
        if self.is_full && !was_full {
            self.unsorted = self.queue.len();
        }
    }

    /// Nobody knows whether these were applied. Each has a guard, so it may be asked for again.
    fn write_again(&mut self, targets: Vec<Target>) {
        for target in targets {
            match target {
                Target::Put(name) | Target::Delete(name) => self.enqueue(&name),
                Target::Own(_) => self.own_key.state = None,
                Target::Cluster | Target::Marker => {}
            }
        }
    }

    fn on_done(&mut self, target: Target, lease: i64, revision: u64, now: Moment) {
        let (name, is_put) = match target {
            Target::Cluster => return self.is_unnamed = false,
            Target::Marker => return self.leases.set_marked(lease, true),
            Target::Own(state) => {
                self.own_key.revision = revision;
                return self.own_key.state = Some(state);
            }
            Target::Put(name) => (name, true),
            Target::Delete(name) => (name, false),
        };
        let me = self.config.id;
        self.catch_up(&name, now);
        let Some(mut known) = self.all.get(&name) else {
            return;
        };
        if revision <= known.revision {
            return;
        }
        self.checks.on_change(revision);
        (known.revision, known.is_there) = (revision, is_put);
        if is_put {
            known.node = me;
            if known.is_own() && !known.is_queued {
                known.role = Role::Own { is_claim: false };
            }
        }
        self.set(&name, known);
    }

    /// A guard has failed: this is what etcd has instead. Of what is gone, the watch tells why.
    fn on_found(
        &mut self,
        target: Target,
        lease: i64,
        pair: Option<KeyValue>,
        holdings: &impl Holdings,
        now: Moment,
    ) {
        match (target, pair) {
            (Target::Cluster, Some(pair)) => {
                self.is_unnamed = false;
                self.on_cluster_name(&pair.value);
            }
            // Only this node writes it.
            (Target::Marker, Some(_)) => self.leases.set_marked(lease, true),
            (Target::Own(_), pair) => {
                self.own_key.revision = pair.map_or(0, |pair| pair.mod_revision);
                self.own_key.state = None;
            }
            // It was read before the load, which tells what has become of it.
            (Target::Put(name) | Target::Delete(name), Some(_)) if self.phase == Phase::Loading => {
                self.enqueue(&name);
            }
            (Target::Put(name) | Target::Delete(name), Some(pair)) => {
                self.on_put(&pair, holdings, now);
                self.write_what_differs(&name);
            }
            (_, None) => {}
        }
    }

    /// After a guard has failed: what etcd tells of it may be told by an earlier write of this node.
    fn write_what_differs(&mut self, name: &Name) {
        let me = self.config.id;
        let is_to_write = self.all.get(name).is_some_and(|known| {
            known.is_there && (known.is_own() || known.role == Role::Leaving && known.node == me)
        });
        if is_to_write {
            self.enqueue(name);
        }
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
