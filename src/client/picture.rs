//! What a watcher knows of the live services.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::service::Told;
use super::{Service, parse};
use crate::message::Id;

/// How many registrations each service has.
pub(super) type Live = BTreeMap<Service, usize>;

/// What one connection has told. It may tell of a registration again: when its tags change, or in a
/// part of a snapshot after a change.
#[derive(Debug, Default)]
struct Account {
    live: Live,
    /// The registrations that have an id.
    known: BTreeMap<Id, Service>,
}

impl Account {
    /// Whether it knows the registration already.
    fn knows(&self, told: &Told) -> bool {
        told.id.is_some_and(|id| self.known.contains_key(&id))
    }

    fn add(&mut self, Told { id, service }: Told) {
        let earlier = id.and_then(|id| self.known.insert(id, service.clone()));
        if let Some(earlier) = earlier {
            remove(&mut self.live, &earlier, 1);
        }
        *self.live.entry(service).or_default() += 1;
    }

    /// What it does not know is nothing.
    fn remove(&mut self, Told { id, service }: Told) {
        let known = match id {
            Some(id) => self.known.remove(&id),
            None => Some(service),
        };
        if let Some(service) = known {
            remove(&mut self.live, &service, 1);
        }
    }
}

/// A line of the stream: a snapshot or a part of it has `services`, a delta has `up` and `down`, a
/// keepalive has neither.
#[derive(Deserialize)]
pub(super) struct Line {
    index: u64,
    services: Option<Vec<Told>>,
    /// The number of this part of a snapshot, from 1 on.
    part: Option<u64>,
    /// Whether further parts follow.
    #[serde(default)]
    more: bool,
    up: Option<Vec<Told>>,
    down: Option<Vec<Told>>,
}

impl Line {
    pub(super) fn parse(text: &str) -> Option<Line> {
        parse(text)
    }

    /// Whether it tells of a service.
    pub(super) fn tells_some(&self) -> bool {
        self.services
            .as_ref()
            .is_some_and(|services| !services.is_empty())
    }
}

/// What the servers have told.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) index: u64,
    /// What this connection has told; `None` before its first snapshot is whole.
    confirmed: Option<Account>,
    /// The parts of a snapshot that is not whole yet.
    parts: Option<Account>,
    /// What earlier connections have told, and this one not yet.
    unconfirmed: Live,
    /// When what is unconfirmed is given up.
    grace_ends: Option<Instant>,
    /// Whether a snapshot has ever been whole.
    is_known: bool,
}

impl Picture {
    /// All services that count as live; `None` before the first snapshot.
    pub(super) fn live(&self) -> Option<Cow<'_, Live>> {
        let confirmed = self.confirmed();
        match confirmed.filter(|_| self.unconfirmed.is_empty()) {
            Some(confirmed) => Some(Cow::Borrowed(confirmed)),
            None if !self.is_known => None,
            None => {
                let mut all = self.unconfirmed.clone();
                add(&mut all, confirmed.into_iter().flatten());
                Some(Cow::Owned(all))
            }
        }
    }

    /// What this connection has told; `None` before its first snapshot is whole.
    pub(super) fn confirmed(&self) -> Option<&Live> {
        self.confirmed.as_ref().map(|account| &account.live)
    }

    pub(super) fn unconfirmed(&self) -> &Live {
        &self.unconfirmed
    }

    /// When to call [`expire`](Self::expire).
    pub(super) fn grace_ends(&self) -> Option<Instant> {
        self.grace_ends
    }

    /// Gives up what no server has confirmed in time.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.grace_ends.take_if(|end| *end <= now).is_some() {
            self.unconfirmed.clear();
        }
    }

    /// The connection has ended: what it has told is to be confirmed by the next.
    pub(super) fn disconnect(&mut self) {
        let told = self.confirmed.take().unwrap_or_default();
        add(&mut self.unconfirmed, told.live.iter());
        (self.parts, self.grace_ends) = (None, None);
    }

    /// Applies a line; `None` if it does not fit what was told before. What a first snapshot does
    /// not confirm is kept for the time of `grace`.
    pub(super) fn apply(&mut self, line: Line, grace: Duration) -> Option<()> {
        let Line {
            index,
            services,
            part,
            more,
            up,
            down,
        } = line;
        match (services, up, down) {
            (Some(services), None, None) => {
                let mut parts = match part {
                    None | Some(1) => Account::default(),
                    Some(_) => self.parts.take()?,
                };
                services.into_iter().for_each(|told| parts.add(told));
                match more {
                    true => self.parts = Some(parts),
                    false => self.replace(parts, grace),
                }
            }
            (None, Some(up), Some(down)) => self.change(up, down)?,
            (None, None, None) if self.parts.is_some() || self.confirmed.is_some() => {}
            _ => return None,
        }
        self.index = index;
        Some(())
    }

    /// A snapshot is whole.
    fn replace(&mut self, snapshot: Account, grace: Duration) {
        let earlier = self.confirmed.take();
        let is_first = earlier.is_none();
        let earlier = earlier.unwrap_or_default();
        for (service, count) in &snapshot.live {
            let known = earlier.live.get(service).copied().unwrap_or(0);
            remove(&mut self.unconfirmed, service, count.saturating_sub(known));
        }
        (self.parts, self.confirmed, self.is_known) = (None, Some(snapshot), true);
        if is_first && !self.unconfirmed.is_empty() {
            self.grace_ends = Some(Instant::now() + grace);
        }
    }

    /// Applies a delta to what has been told: while a snapshot comes in parts, to those.
    fn change(&mut self, up: Vec<Told>, down: Vec<Told>) -> Option<()> {
        let is_whole = self.parts.is_none();
        let account = match &mut self.parts {
            Some(parts) => parts,
            None => self.confirmed.as_mut()?,
        };
        for told in up {
            if is_whole && !account.knows(&told) {
                remove(&mut self.unconfirmed, &told.service, 1);
            }
            account.add(told);
        }
        down.into_iter().for_each(|told| account.remove(told));
        Some(())
    }
}

fn add<'a>(live: &mut Live, others: impl Iterator<Item = (&'a Service, &'a usize)>) {
    for (service, count) in others {
        *live.entry(service.clone()).or_default() += count;
    }
}

/// Removes some registrations of a service, as far as it has them.
fn remove(live: &mut Live, service: &Service, count: usize) {
    if let Some(left) = live.get_mut(service) {
        *left = left.saturating_sub(count);
        if *left == 0 {
            live.remove(service);
        }
    }
}

/// The services of which `these` has more than `those`.
pub(super) fn surplus(these: &Live, those: &Live) -> Vec<Service> {
    let more = |(service, count): (&Service, &usize)| {
        let others = those.get(service).copied().unwrap_or(0);
        std::iter::repeat_n(service.clone(), count.saturating_sub(others))
    };
    these.iter().flat_map(more).collect()
}
