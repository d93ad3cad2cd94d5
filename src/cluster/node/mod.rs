//! One node: what it is told, and what it tells.

mod checking;
mod counts;
mod figures;
mod hearing;
mod owning;
#[cfg(test)]
mod tests;
mod upkeep;
mod writing;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::departed::Departed;
use super::known::{Known, Role};
use super::layout::{Layout, Place};
use super::leases::Leases;
use super::name::{Name, NodeId};
use super::orphans::Orphans;
use super::record::{NodeState, Record};
use super::registrations::Registrations;
use crate::etcd::KeyValue;
use crate::limits::CLUSTER_FOREIGN_REMOVALS_MAX;
use crate::message::{Labels, Reason, ServiceAddress};
use crate::time::Moment;
use checking::Checks;
use counts::Counts;
use upkeep::Walk;
use writing::Sent;

/// What a node is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name in etcd, drawn anew by each process.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The name of its cluster.
    pub cluster: String,
    /// Where its keys are.
    pub layout: Layout,
    /// Seconds for which what it owns stays in etcd when it is not heard of.
    pub lease_s: u64,
    /// Milliseconds for which what a lost lease has removed stays visible at least.
    pub grace_ms: u64,
}

/// The registrations of this node, as the registry has them.
pub trait Holdings {
    /// The live registration with this name that this node owns.
    fn owned(&self, name: &Name) -> Option<Owned>;
}

/// A registration that this node owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Where the service can be reached.
    pub address: ServiceAddress,
    /// Milliseconds that it lives without a heartbeat.
    pub ttl_ms: u32,
    /// Whether a connection holds it.
    pub held: bool,
    /// Its tags and metadata, if it has any.
    pub labels: Option<Arc<Labels>>,
    /// Its last heartbeat.
    pub heartbeat: Moment,
}

/// What others have done, for the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Another node owns this registration, which may be new, changed, or one that this node has owned.
    Replica(Name, Record),
    /// It is gone, where the registry still has it.
    Gone(Name, Reason),
    /// The prefix belongs to a cluster of this name, which is not this node's.
    OtherCluster(String),
}

/// What the client of etcd is to do with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseCommand {
    /// Prolong it, of so many seconds, from now on.
    Keep(i64, u64),
    /// Prolong it no more.
    LetGo(i64),
}

/// A node of a cluster. Whoever has it passes on the changes of the registry that are its own and the
/// reports of the client of etcd, calls [`look`](Self::look) when the time has come, and takes the news,
/// the commands and the next call after each of them.
#[derive(Debug)]
pub struct Node {
    config: Config,
    phase: Phase,
    /// Whether all was loaded once.
    is_loaded: bool,
    /// The number of loads. Behind each, a walk brings what is known up to it.
    load: u16,
    /// The walk behind a load that has ended.
    walk: Option<Walk>,
    /// Whether nothing counts that was known of etcd before the load.
    is_forgotten: bool,
    /// Changes up to this revision were made while this node did not watch.
    backlog: u64,
    /// The revision of the latest change that a lost lease has made.
    lost_at: u64,
    /// All changes up to this revision were seen.
    seen: u64,
    all: Registrations,
    counts: Counts,
    checks: Checks,
    /// What waits to be written.
    queue: VecDeque<Queued>,
    /// What is being called.
    sent: Option<Sent>,
    /// What says that this node owns it and is not owned, with the moment from which on it is to go.
    unowned: VecDeque<(Moment, Name)>,
    leases: Leases,
    departed: Departed,
    orphans: Orphans,
    nodes: HashMap<NodeId, NodeState>,
    /// Nodes that have put all that they own, with the revision up to which they had seen all changes:
    /// what they have lost before does not come back.
    returned: BTreeMap<NodeId, u64>,
    /// What the nodes are called by people.
    names: HashMap<NodeId, Arc<str>>,
    own_key: OwnKey,
    /// Whether the name of the cluster is to be written.
    is_unnamed: bool,
    /// Whether it has to write what it owns anew.
    is_putting: bool,
    is_leaving: bool,
    /// Whether etcd has no room for what is put.
    is_full: bool,
    /// What is removed one by one, as etcd takes it while it is full.
    removals: VecDeque<Name>,
    /// The first so many of what waits to be written are to be looked at for such removals.
    unsorted: usize,
    /// When the latest transaction was sent.
    written: Moment,
    /// From when on etcd is asked again.
    pause: Moment,
    news: VecDeque<News>,
    commands: VecDeque<LeaseCommand>,
}

/// A registration that waits to be written.
#[derive(Debug)]
struct Queued {
    name: Name,
    /// It takes the place of the one before it, and is written together with it, so that nobody sees
    /// the place empty or taken twice.
    is_joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Away,
    Loading,
    Watching,
}

/// The key with which this node tells of itself.
#[derive(Debug, Default)]
struct OwnKey {
    /// The revision of its last put; 0 where it is absent.
    revision: u64,
    /// What it says, if that is known.
    state: Option<NodeState>,
}

impl Node {
    /// A node that owns nothing and knows nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Node {
            config,
            phase: Phase::Away,
            is_loaded: false,
            load: 0,
            walk: None,
            is_forgotten: false,
            backlog: 0,
            lost_at: 0,
            seen: 0,
            all: Registrations::default(),
            counts: Counts::default(),
            checks: Checks::default(),
            queue: VecDeque::new(),
            sent: None,
            unowned: VecDeque::new(),
            leases: Leases::default(),
            departed: Departed::default(),
            orphans: Orphans::default(),
            nodes: HashMap::new(),
            returned: BTreeMap::new(),
            names: HashMap::new(),
            own_key: OwnKey::default(),
            is_unnamed: false,
            is_putting: false,
            is_leaving: false,
            is_full: false,
            removals: VecDeque::new(),
            unsorted: 0,
            written: Moment::START,
            pause: Moment::START,
            news: VecDeque::new(),
            commands: VecDeque::new(),
        }
    }

    /// What has changed elsewhere, in its order.
    pub fn next_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// What the client of etcd is to do with a lease.
    pub fn next_lease_command(&mut self) -> Option<LeaseCommand> {
        self.commands.pop_front()
    }

    /// Whether the state of the cluster was loaded, so that questions can be answered.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Whether this node is told what changes; otherwise it is away from etcd, or loads.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.phase == Phase::Watching
    }

    /// Whether all that this node owns is in etcd as it is here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.has_backlog()
            && self.removals.is_empty()
            && self.sent.is_none()
            && self.unowned.is_empty()
    }

    /// The node that owns this registration, as far as etcd has told.
    #[must_use]
    pub fn owner(&self, name: &Name) -> Option<NodeId> {
        let known = self.all.get(name)?;
        Some(if known.is_own() {
            self.config.id
        } else {
            known.node
        })
    }

    /// The registration that was put, if it is one.
    #[must_use]
    pub fn registration(&self, pair: &KeyValue) -> Option<(Name, Record)> {
        match self.config.layout.place(&pair.key)? {
            Place::Registration(name) => Some((name, Record::parse(&pair.value)?)),
            _ => None,
        }
    }

    /// The nodes of the cluster.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, NodeState)> {
        self.nodes.iter().map(|(&node, &state)| (node, state))
    }

    /// Replicas of which etcd has nothing.
    #[must_use]
    pub fn orphans_len(&self) -> usize {
        self.orphans.len()
    }

    /// Whether a registration that another node owns may be removed here: those that are to go from etcd
    /// are bounded.
    #[must_use]
    pub fn has_room_for_removal(&self) -> bool {
        self.counts.foreign_removals < CLUSTER_FOREIGN_REMOVALS_MAX
    }

    /// Whether etcd had no room when it was last asked.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// From now on the node says that it stops.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// Whether nothing is left to write for a node that stops, or it cannot be written now.
    #[must_use]
    pub fn has_left(&self) -> bool {
        let is_told = self.own_key.state == Some(NodeState::Leaving);
        !self.is_watching() || is_told && self.is_settled()
    }

    /// When the node must look next, or has a call to make.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let unowned = self.unowned.front().map(|(due, _)| *due);
        let call = self.next_call_due();
        if self.has_slices() {
            return Some(Moment::START);
        }
        [self.orphans.next_due(), unowned, call, self.check_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets the registration be written.
    fn enqueue(&mut self, name: &Name) {
        if let Some(mut known) = self.all.get(name)
            && !known.is_queued
        {
            known.is_queued = true;
            self.set(name, known);
            let name = name.clone();
            if self.is_full && self.is_removable(&known) {
                self.removals.push_back(name);
            } else {
                let is_joined = false;
                self.queue.push_back(Queued { name, is_joined });
            }
        }
    }

    /// What is known of it from now on.
    fn set(&mut self, name: &Name, known: Known) {
        let before = self.all.set(name, known);
        self.counts
            .change(self.config.id, before.as_ref(), Some(&known));
        match before {
            Some(before) if before.role != Role::Orphan => {}
            Some(before) if known.role == Role::Orphan => {
                self.orphans.update(name, &before, &known);
            }
            Some(before) => drop(self.orphans.remove(name, &before)),
            None => {}
        }
    }

    /// Nothing is known of it any more.
    fn forget(&mut self, name: &Name) {
        if let Some(known) = self.all.remove(name) {
            self.counts.change(self.config.id, Some(&known), None);
            self.orphans.remove(name, &known);
        }
    }
}
