//! Waiting until the state of the cluster is loaded.

use std::hash::BuildHasher;

use super::Membership;
use crate::limits::CLUSTER_READY_WAIT_MS;
use crate::message::{Outcome, Peer, Refusal, Reply, Request};
use crate::service::Service;
use crate::service::waits::Followed;

impl<S: BuildHasher> Service<S> {
    /// Whether what the registry has is what there is. Until then a question has no answer.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.membership
            .as_ref()
            .is_none_or(|membership| membership.node.is_loaded())
    }

    /// What becomes of a request that cannot be answered before the cluster's state is loaded: a peer that may
    /// wait does so for a while, and then gets `late`.
    pub(in crate::service) fn wait_until_ready(&mut self, peer: &Peer, late: Reply) -> Outcome {
        let earlier = self.waits.take(peer.session);
        let is_over = earlier.as_ref().is_some_and(|wait| wait.is_over);
        if !peer.has_session() || !peer.waits {
            return Outcome::Done(Reply::Refused(Refusal::NotReady));
        }
        if is_over || self.is_stopping {
            return Outcome::Done(late);
        }
        let until = earlier.map_or_else(
            || self.turn.uptime.plus_millis(CLUSTER_READY_WAIT_MS),
            |wait| wait.until,
        );
        self.waits.add(peer.session, Followed::Readiness, until);
        Outcome::Blocked { until }
    }

    /// What becomes of a question, if it cannot be answered yet.
    #[inline(never)]
    pub(in crate::service) fn hold_back(
        &mut self,
        request: &Request<'_>,
        peer: &Peer,
    ) -> Option<Outcome> {
        let refused = Reply::Refused(Refusal::NotReady);
        match request {
            Request::Query { .. }
            | Request::Types
            | Request::List { .. }
            | Request::Catalog { .. }
            | Request::Names { .. }
            | Request::Why { .. }
            | Request::Watch { .. } => Some(self.wait_until_ready(peer, refused)),
            Request::Resolve { .. } | Request::Health => Some(Outcome::Done(refused)),
            _ => None,
        }
    }

    pub(super) fn wake_those_who_waited(&mut self, membership: &mut Membership) {
        if !membership.is_told_ready && membership.node.is_loaded() {
            membership.is_told_ready = true;
            self.waits.change(&Followed::Readiness);
        }
    }
}
