//! The service's work in a turn of the loop, apart from requests.

use std::hash::BuildHasher;

use log::debug;
use uuid::Uuid;

use super::budget::Budget;
use super::{Deliver, Handler, Service, Turn};
use crate::limits::{PART_LEN_MAX, REMOVAL_WORK, TURN_SWEEP_MAX};
use crate::message::{
    Change, ChangeKind, Delivery, Gone, LinkCommand, LinkEvent, Peer, Reason, Reply, Update, Work,
};
use crate::time::Moment;

impl<S: BuildHasher> Service<S> {
    /// Updates `holds` and `departures` from the changes of this turn. Called before either is read,
    /// and at the end of the turn.
    pub(super) fn record_changes(&mut self) {
        let Turn { now, wall, .. } = self.turn;
        for change in &self.registry.changes()[self.recorded..] {
            if let ChangeKind::Down { reason, at } = change.kind {
                let mut told = change.uuid;
                if change.held {
                    self.holds.forget(&change.uuid);
                    told = self.rights.forget(change.uuid);
                }
                let gone = Gone {
                    reason,
                    at: wall.at(at, now),
                    last_heartbeat: wall.at(change.heartbeat, now),
                };
                self.departures.record(told, gone);
            } else if change.kind == ChangeKind::Yielded && change.held {
                self.holds.forget(&change.uuid);
                self.rights.forget(change.uuid);
            }
        }
        self.recorded = self.registry.changes().len();
    }

    /// Whether a registration is not live any more, because its holder has ended, although it is not
    /// removed yet.
    pub(super) fn is_leaving(&mut self, uuid: &Uuid) -> bool {
        if !self.holds.are_leaving() {
            return false;
        }
        self.record_changes();
        self.holds.is_leaving(uuid)
    }

    /// Removes the registrations of holders that have ended.
    fn remove_leaving(&mut self) {
        while self.holds.are_leaving() && self.budget.remove() {
            let Some(uuid) = self.holds.next_leaving() else {
                break;
            };
            self.remove_left(&uuid);
        }
    }

    /// Removes the registrations of a type whose holders have ended.
    pub(super) fn remove_left_of(&mut self, service_type: &str) {
        if !self.holds.are_leaving() {
            return;
        }
        self.record_changes();
        let Some(view) = self.registry.service_type(service_type) else {
            return;
        };
        let uuids = view.records(self.turn.now).map(|record| record.uuid);
        let left: Vec<Uuid> = uuids.filter(|uuid| self.holds.is_leaving(uuid)).collect();
        left.iter().for_each(|uuid| self.remove_left(uuid));
        self.record_changes();
    }

    /// Removes a registration whose holder has ended.
    pub(super) fn remove_left(&mut self, uuid: &Uuid) {
        let now = self.turn.now;
        self.registry
            .deregister(now, uuid, Reason::ConnectionClosed);
    }
}

impl<S: BuildHasher> Handler for Service<S> {
    fn work(&mut self) -> &mut Work {
        &mut self.budget.work
    }

    fn requires_token(&self) -> bool {
        self.tokens.is_some()
    }

    fn has_lost_access(&self, peer: &Peer) -> bool {
        let is_gone = |number| {
            let tokens = self.tokens.as_ref();
            tokens.is_some_and(|tokens| !tokens.contains(number))
        };
        peer.token.is_some_and(is_gone)
    }

    /// Sweeps a bounded number of expired registrations.
    fn begin_turn(&mut self, turn: Turn) {
        self.turn = turn;
        self.registry.clear_changes();
        self.recorded = 0;
        self.begin_turn_as_node();
        self.budget = Budget::default();
        let sweep = self.registry.sweep(turn.now, TURN_SWEEP_MAX);
        self.swept = sweep.caught_up;
        self.budget.work.spend(sweep.examined * REMOVAL_WORK);
        self.counts.expirations += sweep.expired as u64;
        if sweep.expired > 0 {
            debug!("{} registrations expired", sweep.expired);
        }
        self.end_wait_for_holders();
        self.remove_leaving();
        if self.streams.are_waited_for() {
            self.budget.reserve_parts();
        }
        if let Some(watchers) = self.watchers.to_be_told() {
            self.budget.reserve_telling(watchers);
        }
        if self.registry.is_empty() {
            self.answers.clear();
            self.catalogs.clear();
            self.endpoints.clear();
            self.latest.clear();
        }
    }

    /// Not called today, because no verb parks a request with a time limit.
    fn expire(&mut self, _peer: &mut Peer) -> Reply {
        Reply::NotFound
    }

    fn end_wait(&mut self, peer: &Peer) {
        self.waits.end(peer.session);
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        self.leave_cluster();
    }

    fn is_finished(&self) -> bool {
        self.has_left_cluster()
    }

    fn wants_part(&mut self, session: usize) {
        self.queue_for_part(session);
    }

    fn wants_keepalive(&mut self, session: usize) {
        self.watchers.wants_keepalive(session);
    }

    fn leave(&mut self, peer: &mut Peer) {
        if std::mem::take(&mut peer.watches) {
            self.watchers.remove(peer.session);
        }
        self.end_stream(peer.session);
        self.waits.take(peer.session);
        if std::mem::take(&mut peer.holds) {
            self.record_changes();
            self.holds.end(peer.session);
            self.remove_leaving();
        }
    }

    /// Delivers deltas first, so that none repeats what a snapshot contains, and keepalives last, so
    /// that none counts a change before its delta. Where there are more watchers than one turn tells, the
    /// others get neither before they have been told.
    fn end_turn(&mut self, room: usize, deliver: &mut Deliver<'_>) {
        self.end_turn_as_node();
        self.record_changes();
        let index = self.registry.index();
        self.wake(deliver);
        let changes = self.registry.changes();
        let watchers = &mut self.watchers;
        watchers.publish(index, changes);
        let lagging = self.budget.tell(|left| watchers.tell(index, left, deliver));
        for session in lagging {
            self.begin_snapshot(session);
        }
        self.deliver_parts(room, deliver);
        self.has_room = room >= PART_LEN_MAX;
        for session in self.watchers.take_silent() {
            deliver(session, &Delivery::Update(Update::Keepalive(index)));
        }
    }

    fn changes(&self) -> &[Change] {
        self.registry.changes()
    }

    fn next_link_command(&mut self) -> Option<LinkCommand> {
        self.next_command_to_etcd()
    }

    fn link_event(&mut self, link: usize, event: LinkEvent<'_>) {
        self.on_link_event(link, event);
    }

    fn next_due(&self) -> Option<Moment> {
        self.node_due()
    }

    fn has_backlog(&self) -> bool {
        !self.is_settled()
            || self.waits.have_changed()
            || self.watchers.are_behind()
            || (self.has_room && self.streams.are_waited_for())
            || self.streams.have_short()
    }

    fn needs_ticks(&self) -> bool {
        !self.registry.is_empty()
    }
}
