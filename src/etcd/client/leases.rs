//! Leases, which are prolonged on a connection of their own: a call may hang for longer than they
//! last.

use super::Report;
use super::conversation::{Conversation, Garbled, Heard};
use super::members::Members;
use crate::etcd::answers::Line;
use crate::etcd::elements::Found;
use crate::etcd::pauses::{Pauses, Random};
use crate::limits::ETCD_PROLONG_MS_MAX;
use crate::message::LinkCommand;
use crate::time::Moment;

pub(super) struct Leases {
    pub(super) conversation: Conversation,
    pub(super) members: Members,
    all: Vec<Lease>,
    pauses: Pauses,
    /// When they are to be prolonged next, or the next member is asked.
    due: Moment,
    /// Until when the answer must be there, where they are asked for.
    until: Option<Moment>,
}

struct Lease {
    id: i64,
    /// A third of the time that it lasts.
    third_ms: u64,
}

impl Leases {
    pub(super) fn new(link: usize, members: Members) -> Self {
        Leases {
            conversation: Conversation::new(link),
            members,
            all: Vec::new(),
            pauses: Pauses::default(),
            due: Moment::START,
            until: None,
        }
    }

    pub(super) fn add(&mut self, id: i64, ttl_s: u64, now: Moment) {
        let third_ms = ttl_s.saturating_mul(1_000) / 3;
        let due = now.plus_millis(third_ms);
        let is_sooner = self.all.is_empty() || due < self.due;
        if is_sooner && self.until.is_none() {
            self.due = due;
        }
        self.all.push(Lease { id, third_ms });
    }

    pub(super) fn remove(&mut self, id: i64) {
        self.all.retain(|lease| lease.id != id);
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.all.iter().map(|lease| lease.id)
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        let is_connecting = !self.conversation.is_open() && !self.conversation.is_closed();
        if self.all.is_empty() || is_connecting {
            return None;
        }
        Some(self.until.unwrap_or(self.due))
    }

    /// Whether it is time to ask for them, or to connect for it.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.until.is_none() && self.next_due().is_some_and(|due| due <= now)
    }

    pub(super) fn is_late(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// They are asked for now.
    pub(super) fn on_asked(&mut self, now: Moment) {
        self.until = Some(now.plus_millis(ETCD_PROLONG_MS_MAX));
    }

    /// Goes to the next member after a pause.
    pub(super) fn fail(&mut self, now: Moment, random: &mut Random) -> Option<LinkCommand> {
        self.until = None;
        self.members.advance();
        self.due = now.plus_millis(self.pauses.next_ms(random));
        self.conversation.close()
    }

    /// What the input tells next; `None` where all of it was read, and `Some(None)` for what tells
    /// nothing.
    pub(super) fn hear(
        &mut self,
        input: &mut &[u8],
        cluster_id: Option<u64>,
        now: Moment,
    ) -> Result<Option<Option<Report>>, Garbled> {
        let report = match self.conversation.hear(input)? {
            None => return Ok(None),
            Some(Heard::End) => {
                self.on_answered(now);
                None
            }
            Some(Heard::Found(Found::Document)) => self.line(cluster_id)?,
            Some(Heard::Found(Found::Element | Found::TooLong)) => None,
        };
        Ok(Some(report))
    }

    fn on_answered(&mut self, now: Moment) {
        self.until = None;
        self.pauses = Pauses::default();
        let third_ms = self.all.iter().map(|lease| lease.third_ms).min();
        self.due = now.plus_millis(third_ms.unwrap_or(0));
    }

    fn line(&mut self, cluster_id: Option<u64>) -> Result<Option<Report>, Garbled> {
        let garbled = |reason| Garbled {
            status: self.conversation.status(),
            reason,
        };
        let line = serde_json::from_slice::<Line>(self.conversation.text());
        let result = line
            .map_err(|_| garbled("leases are not prolonged"))?
            .result;
        // A member of another cluster knows none of them, which says nothing.
        if cluster_id.is_some_and(|id| id != result.header.cluster_id) {
            return Err(garbled("it belongs to another cluster"));
        }
        let id = result.lease;
        if !self.ids().any(|known| known == id) {
            return Ok(None);
        }
        if result.ttl > 0 {
            return Ok(Some(Report::Prolonged(id)));
        }
        self.remove(id);
        Ok(Some(Report::LeaseLost(id)))
    }
}
