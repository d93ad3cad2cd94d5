//! The requests that wait until an answer is another one.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::time::Moment;

/// What a request waits for a change of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Followed {
    /// Nothing: what does not change.
    Nothing,
    /// That the state of the cluster is loaded.
    Readiness,
    /// Any registration.
    All,
    /// The names of the types, and their tags.
    Names,
    /// The registrations of this type.
    Type(Arc<str>),
}

/// The sessions whose requests wait, each for one thing.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_session: HashMap<usize, Wait>,
    /// Those for which nothing has changed, by what they wait for.
    asleep: BTreeSet<(Followed, usize)>,
    /// Those that are to be woken.
    changed: VecDeque<usize>,
}

/// One wait.
#[derive(Debug)]
pub(super) struct Wait {
    followed: Followed,
    /// When it ends.
    pub(super) until: Moment,
    /// Whether it has ended, so that the request is to be answered whatever has changed.
    pub(super) is_over: bool,
}

impl Waits {
    /// The session's request waits.
    pub(super) fn add(&mut self, session: usize, followed: Followed, until: Moment) {
        self.asleep.insert((followed.clone(), session));
        let is_over = false;
        self.by_session.insert(
            session,
            Wait {
                followed,
                until,
                is_over,
            },
        );
    }

    /// Ends the session's wait, if it has one.
    pub(super) fn take(&mut self, session: usize) -> Option<Wait> {
        if self.by_session.is_empty() {
            return None;
        }
        let wait = self.by_session.remove(&session)?;
        self.asleep.remove(&(wait.followed.clone(), session));
        Some(wait)
    }

    /// The time of the session's wait is over.
    pub(super) fn end(&mut self, session: usize) {
        if let Some(wait) = self.by_session.get_mut(&session) {
            wait.is_over = true;
        }
    }

    /// Whether any session waits for a change.
    pub(super) fn are_asleep(&self) -> bool {
        !self.asleep.is_empty()
    }

    /// Something has changed: who waits for a change of this is to be woken.
    pub(super) fn change(&mut self, followed: &Followed) {
        let from = Bound::Included((followed.clone(), 0));
        let of_same = self.asleep.range((from, Bound::Unbounded));
        let sessions = of_same.take_while(|(other, _)| other == followed);
        let first = self.changed.len();
        self.changed.extend(sessions.map(|&(_, session)| session));
        for &session in self.changed.iter().skip(first) {
            self.asleep.remove(&(followed.clone(), session));
        }
    }

    /// The next session to be woken.
    pub(super) fn next_changed(&mut self) -> Option<usize> {
        loop {
            let session = self.changed.pop_front()?;
            // Others have left meanwhile.
            let Some(wait) = self.by_session.get(&session) else {
                continue;
            };
            // What was loaded once is loaded: the request does not wait again.
            if wait.followed == Followed::Readiness {
                self.take(session);
            }
            return Some(session);
        }
    }

    /// Whether any session is to be woken.
    pub(super) fn have_changed(&self) -> bool {
        !self.changed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_once_by_its_own_topic_and_by_no_other() {
        let until = Moment::START;
        let of = |name: &str| Followed::Type(name.into());
        let mut waits = Waits::default();
        waits.add(1, of("a"), until);
        waits.add(2, of("b"), until);
        waits.add(3, of("a"), until);
        waits.add(4, Followed::All, until);
        let woken = |waits: &mut Waits, followed: &Followed| -> Vec<usize> {
            waits.change(followed);
            std::iter::from_fn(|| waits.next_changed()).collect()
        };
        assert!(woken(&mut waits, &of("c")).is_empty());
        assert!(woken(&mut waits, &Followed::Names).is_empty());
        assert_eq!(woken(&mut waits, &of("a")), [1, 3]);
        assert!(woken(&mut waits, &of("a")).is_empty());
        waits.change(&Followed::All);
        assert!(waits.have_changed());
        assert!(waits.take(4).is_some());
        assert_eq!(waits.next_changed(), None);
        assert!(waits.are_asleep());
        waits.end(2);
        assert!(waits.take(2).is_some_and(|wait| wait.is_over));
        assert!(waits.take(1).is_some_and(|wait| !wait.is_over));
        assert!(!waits.are_asleep());
        assert!(waits.take(3).is_some());
        assert!(waits.take(3).is_none());
        assert!(waits.by_session.is_empty());
    }

    #[test]
    fn nothing_is_kept_of_who_has_waited_for_readiness() {
        let mut waits = Waits::default();
        waits.add(1, Followed::Readiness, Moment::START);
        waits.add(2, Followed::Readiness, Moment::START);
        waits.end(2);
        waits.change(&Followed::Readiness);
        assert_eq!(waits.next_changed(), Some(1));
        assert_eq!(waits.next_changed(), Some(2));
        assert!(waits.by_session.is_empty() && !waits.are_asleep());
    }
}
