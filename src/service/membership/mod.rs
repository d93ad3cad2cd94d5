//! The service as a node of a cluster: its own registrations go to etcd, and those of other nodes come from
//! there.
//!
//! [`cluster::Node`](crate::cluster::Node) decides, [`etcd::Client`](crate::etcd::Client) speaks to etcd, and
//! the registry has what both are about. Here they meet: what has changed in the registry is told to the node
//! before the node is told what etcd reports, so that neither decides on what is not so any more.

mod ages;
mod elsewhere;
mod feeding;
mod holdings;
mod news;
mod nodes;
mod notices;
mod readiness;
mod reports;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use uuid::Uuid;

use super::Service;
use crate::cluster::{KeyId, Node, NodeId};
use crate::etcd::{Client, User};
use crate::message::{ClusterState, ClusterStats, LinkCommand, LinkEvent, NodeNumber};
use crate::time::{Moment, WallTime};

use ages::Ages;
use nodes::Nodes;
use notices::Notices;

/// What a service needs as a node of a cluster.
pub(super) struct Membership {
    node: Node,
    client: Client,
    nodes: Nodes,
    /// What this node owns, by the keys in etcd.
    uuids: HashMap<KeyId, Uuid>,
    /// How many of this turn's changes the node knows of.
    fed: usize,
    ages: Ages,
    counts: Counts,
    notices: Notices,
    /// This node's name, for people.
    name: Arc<str>,
    /// When etcd was last heard of.
    heard: Moment,
    /// Whether those who waited for the cluster's state have been woken.
    is_told_ready: bool,
    /// The name of the cluster that the prefix belongs to, where that is another one.
    other_cluster: Option<String>,
}

/// What has happened since the start.
#[derive(Debug, Default)]
struct Counts {
    takeovers: u64,
    yields: u64,
    leases_lost: u64,
    loads: u64,
    left_out: u64,
}

impl<S: BuildHasher> Service<S> {
    /// Makes the service a node of a cluster, before its first turn: what it has goes to etcd, and what
    /// other nodes have comes from there through this client. What it has counts as registered at this time.
    pub fn join(&mut self, node: Node, client: Client, wall: WallTime) {
        let mut membership = Box::new(Membership {
            name: node.name().into(),
            node,
            client,
            nodes: Nodes::default(),
            uuids: HashMap::new(),
            fed: 0,
            ages: Ages::default(),
            counts: Counts::default(),
            notices: Notices::default(),
            heard: Moment::START,
            is_told_ready: false,
            other_cluster: None,
        });
        membership.claim_all(&self.registry, Moment::START, wall);
        self.membership = Some(membership);
    }

    /// The name of the cluster that etcd has at the prefix, where that is not this node's: it must not go on.
    #[must_use]
    pub fn other_cluster(&self) -> Option<&str> {
        self.membership.as_ref()?.other_cluster.as_deref()
    }

    /// Asks etcd as this user from now on.
    pub fn set_etcd_user(&mut self, user: User) {
        if let Some(membership) = &mut self.membership {
            membership.client.set_user(user);
        }
    }

    /// The node says from now on that it stops. What it owns stays in etcd for the time of a lease.
    pub(super) fn leave_cluster(&mut self) {
        if let Some(membership) = &mut self.membership {
            membership.node.leave();
        }
    }

    /// Whether etcd knows that the node stops, and all that it owns; or does not answer, so that nobody can
    /// tell it.
    pub(super) fn has_left_cluster(&self) -> bool {
        let membership = self.membership.as_ref();
        membership.is_none_or(|membership| membership.node.has_left())
    }

    pub(super) fn begin_turn_as_node(&mut self) {
        if let Some(membership) = &mut self.membership {
            membership.fed = 0;
            membership.ages.begin_turn(&self.turn);
        }
    }

    /// Does what is due, after all requests of the turn.
    pub(super) fn end_turn_as_node(&mut self) {
        let Some(mut membership) = self.membership.take() else {
            return;
        };
        let now = self.turn.uptime;
        self.feed(&mut membership);
        if membership.node.next_due().is_some_and(|due| due <= now) {
            membership.node.look(now);
            self.take_news(&mut membership, None);
        }
        if membership.client.next_due().is_some_and(|due| due <= now) {
            membership.client.look(now);
            self.take_reports(&mut membership);
        }
        self.call(&mut membership);
        membership.notices.tell(&membership.counts, now);
        self.wake_those_who_waited(&mut membership);
        self.membership = Some(membership);
    }

    pub(super) fn on_link_event(&mut self, link: usize, event: LinkEvent<'_>) {
        let Some(mut membership) = self.membership.take() else {
            return;
        };
        self.feed(&mut membership);
        if let LinkEvent::Received(_) = event {
            membership.heard = self.turn.uptime;
        }
        membership.client.link_event(link, event, self.turn.uptime);
        self.take_reports(&mut membership);
        self.membership = Some(membership);
    }

    pub(super) fn next_command_to_etcd(&mut self) -> Option<LinkCommand> {
        self.membership.as_mut()?.client.next_command()
    }

    /// When something is due for the cluster, in the loop's time.
    pub(super) fn node_due(&self) -> Option<Moment> {
        let membership = self.membership.as_ref()?;
        let node = membership.node.next_due();
        node.into_iter().chain(membership.client.next_due()).min()
    }

    pub(super) fn cluster_stats(&self) -> Option<ClusterStats> {
        let membership = self.membership.as_ref()?;
        let Membership { node, counts, .. } = &**membership;
        let own = membership.uuids.len() as u64;
        Some(ClusterStats {
            state: if node.is_watching() {
                ClusterState::Watching
            } else if node.is_loading() {
                ClusterState::Loading
            } else {
                ClusterState::Away
            },
            ready: node.is_loaded(),
            node: Arc::clone(&membership.name),
            nodes: node.nodes().count() as u64,
            own,
            remote: (self.registry.len() as u64).saturating_sub(own),
            orphaned: node.orphans_len() as u64,
            dirty: node.dirty_len() as u64,
            revision: node.revision(),
            silent_ms: self.turn.uptime.millis_since(membership.heard),
            takeovers: counts.takeovers,
            yields: counts.yields,
            leases_lost: counts.leases_lost,
            resyncs: counts.loads.saturating_sub(1),
            full: node.is_full(),
            left_out: counts.left_out,
        })
    }

    /// What the node is called that owns a registration; nothing where there is no cluster.
    pub(super) fn node_name(&self, owner: Option<NodeNumber>) -> Option<Arc<str>> {
        self.membership.as_ref()?.name_of(owner)
    }
}

impl Membership {
    /// Its name, or its id where it has told none.
    pub(super) fn name_of(&self, owner: Option<NodeNumber>) -> Option<Arc<str>> {
        let Some(owner) = owner else {
            return Some(Arc::clone(&self.name));
        };
        let id: NodeId = self.nodes.id(owner)?;
        let told = self.node.name_of(id).cloned();
        Some(told.unwrap_or_else(|| id.to_string().into()))
    }
}
