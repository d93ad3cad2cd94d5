//! What a watcher knows of the live services.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Service, parse};

/// How many registrations each service has.
pub(super) type Live = BTreeMap<Service, usize>;

/// A line of the stream: a snapshot or a part of it has `services`, a delta has `up` and `down`, a
/// keepalive has neither.
#[derive(Deserialize)]
pub(super) struct Line {
    index: u64,
    services: Option<Vec<Service>>,
    /// The number of this part of a snapshot, from 1 on.
    part: Option<u64>,
    /// Whether further parts follow.
    #[serde(default)]
    more: bool,
    up: Option<Vec<Service>>,
    down: Option<Vec<Service>>,
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
    confirmed: Option<Live>,
    /// The parts of a snapshot that is not whole yet.
    parts: Option<Live>,
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
        let confirmed = self.confirmed.as_ref();
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
        self.confirmed.as_ref()
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
        let confirmed = self.confirmed.take();
        add(&mut self.unconfirmed, confirmed.iter().flatten());
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
                    None | Some(1) => Live::new(),
                    Some(_) => self.parts.take()?,
                };
                add_services(&mut parts, services);
                match more {
                    true => self.parts = Some(parts),
                    false => self.replace(parts, grace),
                }
            }
            (None, Some(up), Some(down)) => self.change(up, &down)?,
            (None, None, None) if self.parts.is_some() || self.confirmed.is_some() => {}
            _ => return None,
        }
        self.index = index;
        Some(())
    }

    /// A snapshot is whole.
    fn replace(&mut self, snapshot: Live, grace: Duration) {
        let earlier = self.confirmed.take();
        let is_first = earlier.is_none();
        let earlier = earlier.unwrap_or_default();
        for (service, count) in &snapshot {
            let known = earlier.get(service).copied().unwrap_or(0);
            remove(&mut self.unconfirmed, service, count.saturating_sub(known));
        }
        (self.parts, self.confirmed, self.is_known) = (None, Some(snapshot), true);
        if is_first && !self.unconfirmed.is_empty() {
            self.grace_ends = Some(Instant::now() + grace);
        }
    }

    /// Applies a delta to what has been told: while a snapshot comes in parts, to those.
    fn change(&mut self, up: Vec<Service>, down: &[Service]) -> Option<()> {
        let told = match (&mut self.parts, &mut self.confirmed) {
            (Some(parts), _) => parts,
            (None, Some(confirmed)) => {
                for service in &up {
                    remove(&mut self.unconfirmed, service, 1);
                }
                confirmed
            }
            (None, None) => return None,
        };
        add_services(told, up);
        for service in down {
            remove(told, service, 1);
        }
        Some(())
    }
}

fn add_services(live: &mut Live, services: Vec<Service>) {
    for service in services {
        *live.entry(service).or_default() += 1;
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
