//! What the client of etcd reports, and what it is told to do.

use std::hash::BuildHasher;

use super::Membership;
use super::holdings::Own;
use crate::cluster::{LeaseCommand, Name, Record};
use crate::etcd::{Event, Report};
use crate::service::Service;
use crate::time::Moment;

impl<S: BuildHasher> Service<S> {
    /// Passes on to the node what the client reports, one after the other, and does what follows.
    pub(super) fn take_reports(&mut self, membership: &mut Membership) {
        let now = self.turn.uptime;
        while let Some(report) = membership.client.next_report() {
            membership.note(&report, now);
            let successor = membership.successor(&report);
            let own = Own {
                registry: &self.registry,
                uuids: &membership.uuids,
                ages: &membership.ages,
                turn: &self.turn,
            };
            membership.node.on_report(report, &own, now);
            while let Some(command) = membership.node.next_lease_command() {
                match command {
                    LeaseCommand::Keep(lease, ttl_s) => membership.client.keep(lease, ttl_s, now),
                    LeaseCommand::LetGo(lease) => membership.client.let_go(lease),
                }
            }
            self.take_news(membership, successor.as_ref());
        }
    }

    /// Lets the client make the node's next call, if it can take one.
    pub(super) fn call(&mut self, membership: &mut Membership) {
        if membership.client.is_busy() {
            return;
        }
        let now = self.turn.uptime;
        let own = Own {
            registry: &self.registry,
            uuids: &membership.uuids,
            ages: &membership.ages,
            turn: &self.turn,
        };
        if let Some(call) = membership.node.next_call(&own, now) {
            membership.client.call(call, now);
        }
    }
}

impl Membership {
    /// What was registered together with this removal.
    fn successor(&self, report: &Report) -> Option<(Name, Record)> {
        let Report::Changed(Event::Delete(pair)) = report else {
            return None;
        };
        let put = self.client.put_next(pair.mod_revision)?;
        self.node.registration(put)
    }

    fn note(&mut self, report: &Report, now: Moment) {
        match report {
            Report::LoadBegins => self.counts.loads += 1,
            Report::LeaseLost(_) => self.counts.leases_lost += 1,
            _ => {}
        }
        self.notices.note(report, now);
    }
}
