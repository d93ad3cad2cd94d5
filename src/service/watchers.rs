//! The watchers and their updates.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Deliver;
use super::topic::Topic;
use crate::limits::{CHANGES_COLLECTED_LEN, TURN_TOLD_HURRIED_MAX, TURN_TOLD_MAX};
use crate::message::Change;

/// The watchers, and the updates that they need.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_type: HashMap<Arc<str>, Topic>,
    of_all: Topic,
    /// What each session watches, a type or all.
    watched: HashMap<usize, Option<Arc<str>>>,
    /// The topics with sessions that have not been told everything, in the order in which they go on.
    behind: VecDeque<Option<Arc<str>>>,
    /// Sessions that need a keepalive.
    silent: Vec<usize>,
}

/// Whether a session can be shown the present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It has been told everything that has changed.
    UpToDate,
    /// It lagged on what it was told, and needs a snapshot from the beginning.
    Lagged,
    /// There is more to tell it than can be told now.
    Behind,
}

impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.watched.len()
    }

    /// Adds a watcher; the session must not watch already.
    pub(super) fn add(&mut self, session: usize, service_type: Option<&str>) {
        let watched = service_type.map(|name| match self.by_type.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        });
        let topic = match &watched {
            Some(name) => self.by_type.entry(Arc::clone(name)).or_default(),
            None => &mut self.of_all,
        };
        topic.add(session);
        self.watched.insert(session, watched);
    }

    /// Removes the session, if it is a watcher.
    pub(super) fn remove(&mut self, session: usize) {
        let Some(watched) = self.watched.remove(&session) else {
            return;
        };
        let Some(topic) = self.topic(&watched) else {
            return;
        };
        topic.remove(session);
        if let (true, Some(name)) = (topic.is_unwatched(), &watched) {
            self.by_type.remove(name);
        }
    }

    fn topic(&mut self, watched: &Option<Arc<str>>) -> Option<&mut Topic> {
        match watched {
            Some(name) => self.by_type.get_mut(name),
            None => Some(&mut self.of_all),
        }
    }

    /// What the session watches, a type or all, if it is a watcher.
    pub(super) fn watched(&self, session: usize) -> Option<&Option<Arc<str>>> {
        self.watched.get(&session)
    }

    /// Whether any watcher has not been told everything.
    pub(super) fn are_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// How many watchers the next turn tells what they have not been told, if there are any.
    pub(super) fn to_be_told(&self) -> Option<usize> {
        let first = self.behind.front()?;
        let topic = match first {
            Some(name) => self.by_type.get(name),
            None => Some(&self.of_all),
        };
        let hurries = topic.is_some_and(|topic| topic.collected_len() >= CHANGES_COLLECTED_LEN);
        Some(if hurries {
            TURN_TOLD_HURRIED_MAX
        } else {
            TURN_TOLD_MAX
        })
    }

    /// Records that the session needs a keepalive.
    pub(super) fn wants_keepalive(&mut self, session: usize) {
        self.silent.push(session);
    }

    /// Takes the sessions that need a keepalive and have been told everything; the others keep waiting.
    pub(super) fn take_silent(&mut self) -> Vec<usize> {
        let silent = std::mem::take(&mut self.silent);
        let (silent, behind) = silent.into_iter().partition(|&session| {
            let watched = self.watched.get(&session).cloned();
            let topic = watched.and_then(|watched| self.topic(&watched));
            topic.is_none_or(|topic| topic.is_up_to_date(session))
        });
        self.silent = behind;
        silent
    }

    /// Takes the changes of a turn for those that watch their types, and for those that watch all.
    pub(super) fn publish(&mut self, index: u64, changes: &[Change]) {
        // Who holds it is nothing that a watcher is told.
        let is_news = |change: &&Change| !change.is_internal();
        if !changes.is_empty() && !self.of_all.is_unwatched() {
            let changes: Vec<&Change> = changes.iter().filter(is_news).collect();
            if !changes.is_empty() {
                self.publish_to(None, index, &changes);
            }
        }
        if !self.by_type.is_empty() {
            let is_watched = |change: &&Change| self.by_type.contains_key(&change.service_type);
            let news = changes.iter().filter(is_news);
            let mut watched: Vec<&Change> = news.filter(is_watched).collect();
            // Stable, so that the changes of a type stay in their order.
            watched.sort_by(|a, b| a.service_type.cmp(&b.service_type));
            for of_type in watched.chunk_by(|a, b| a.service_type == b.service_type) {
                let name = Arc::clone(&of_type[0].service_type);
                self.publish_to(Some(name), index, of_type);
            }
        }
    }

    fn publish_to(&mut self, watched: Option<Arc<str>>, index: u64, changes: &[&Change]) {
        let Some(topic) = self.topic(&watched) else {
            return;
        };
        let was_behind = topic.is_behind();
        topic.publish(index, changes);
        if !was_behind {
            self.behind.push_back(watched);
        }
    }

    /// Tells watchers what they have not been told, as long as `left` of them may be told, and the topics
    /// one after the other. Returns the sessions that lagged.
    pub(super) fn tell(
        &mut self,
        index: u64,
        left: &mut usize,
        deliver: &mut Deliver<'_>,
    ) -> Vec<usize> {
        let mut lagging = Vec::new();
        for _ in 0..self.behind.len() {
            let Some(watched) = self.behind.pop_front() else {
                break;
            };
            let Some(topic) = self.topic(&watched) else {
                continue;
            };
            topic.tell(index, left, &mut lagging, deliver);
            if topic.is_behind() {
                self.behind.push_back(watched);
            }
        }
        lagging
    }

    /// Tells the session what it has not been told, so that it can be shown the present state.
    pub(super) fn tell_first(&mut self, session: usize, deliver: &mut Deliver<'_>) -> News {
        let watched = self.watched.get(&session).cloned();
        let Some(topic) = watched.and_then(|watched| self.topic(&watched)) else {
            return News::UpToDate;
        };
        if topic.collected_len() > 0 {
            News::Behind
        } else if topic.tell_first(session, deliver) {
            News::Lagged
        } else {
            News::UpToDate
        }
    }
}
