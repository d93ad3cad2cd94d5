//! What those must see who follow answers by their index: an index moves with its own body and with
//! nothing else, and a request waits exactly as long as nothing has changed.

use std::collections::{BTreeMap, BTreeSet};

use discovery_service::limits::WAIT_JITTER_ONE_IN;
use discovery_service::message::After;
use discovery_service::time::Moment;

/// Turns after which a request that waited for a change, or for its time, must be tried again.
const TURNS_MAX: u32 = 4;

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Nothing,
    All,
    Names,
    Type(String),
}

/// The names of all types, with their tags.
pub type Names = BTreeMap<String, BTreeSet<String>>;

/// The state of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// So many changes of it.
    Changes(u64),
    Names(Names),
}

#[derive(Default)]
pub struct Follow {
    changes: BTreeMap<String, u64>,
    all: u64,
    /// The last index that was told of each topic, and the state of then.
    told: BTreeMap<Topic, (u64, State)>,
    /// The requests that wait, by client.
    waits: BTreeMap<usize, Wait>,
    /// From now on nobody may wait.
    is_over: bool,
}

struct Wait {
    topic: Topic,
    state: State,
    until: Moment,
    /// Turns since it had to end.
    overdue: u32,
}

impl Follow {
    /// A registration of this type has come, gone or changed.
    pub fn change(&mut self, service_type: &str) {
        self.all += 1;
        match self.changes.get_mut(service_type) {
            Some(count) => *count += 1,
            None => drop(self.changes.insert(service_type.to_owned(), 1)),
        }
    }

    /// The state of a topic; `names` are those of now.
    fn state(&self, topic: &Topic, names: impl FnOnce() -> Names) -> State {
        State::Changes(match topic {
            Topic::Nothing => 0,
            Topic::All => self.all,
            Topic::Names => return State::Names(names()),
            Topic::Type(name) => self.changes.get(name).copied().unwrap_or(0),
        })
    }

    /// Checks the index of an answer.
    pub fn tell(&mut self, topic: Topic, index: u64, names: impl FnOnce() -> Names) {
        assert!(index > 0, "the index of {topic:?} is 0");
        let state = self.state(&topic, names);
        if let Some((before, old)) = self.told.get(&topic) {
            if old != &state {
                assert!(
                    *before < index,
                    "{topic:?} changed behind {before}: {index}"
                );
            } else if topic != Topic::Names {
                assert_eq!(*before, index, "nothing of {topic:?} has changed");
            }
            assert!(*before <= index, "the index of {topic:?} went back");
        }
        self.told.insert(topic, (index, state));
    }

    /// The client's request is tried again, or its client has gone. Returns until when it waited.
    pub fn end(&mut self, client: usize) -> Option<Moment> {
        self.waits.remove(&client).map(|wait| wait.until)
    }

    /// The client's request waits.
    pub fn wait(
        &mut self,
        client: usize,
        (topic, after): (Topic, After),
        (earlier, until, uptime): (Option<Moment>, Moment, Moment),
        names: impl FnOnce() -> Names,
    ) {
        assert!(!self.is_over, "a request waits while the service stops");
        let state = self.state(&topic, names);
        if let Some((index, told)) = self.told.get(&topic) {
            let is_present = *told != state || *index == after.index;
            assert!(
                is_present,
                "it waits although it is not at {index}: {after:?}"
            );
        }
        match earlier {
            Some(earlier) => assert_eq!(earlier, until, "a wait goes on until the same moment"),
            None => {
                let longest = after.wait_ms + after.wait_ms / WAIT_JITTER_ONE_IN;
                let least = uptime.plus_millis(after.wait_ms);
                assert!(least <= until && until <= uptime.plus_millis(longest));
            }
        }
        let overdue = 0;
        let wait = Wait {
            topic,
            state,
            until,
            overdue,
        };
        self.waits.insert(client, wait);
    }

    /// Whether the client's request waits.
    pub fn is_waiting(&self, client: usize) -> bool {
        self.waits.contains_key(&client)
    }

    pub fn stop(&mut self) {
        self.is_over = true;
    }

    /// Checks after a turn that no wait goes on that is over. `timers_at` is the last turn in which time
    /// limits did not stand still.
    pub fn nobody_is_forgotten(&mut self, timers_at: Moment, names: impl Fn() -> Names) {
        let mut waits = std::mem::take(&mut self.waits);
        for (client, wait) in &mut waits {
            let has_changed = self.state(&wait.topic, &names) != wait.state;
            let is_over = has_changed || wait.until <= timers_at || self.is_over;
            wait.overdue = if is_over { wait.overdue + 1 } else { 0 };
            assert!(
                wait.overdue <= TURNS_MAX,
                "client {client} was not told that {:?} has changed: {has_changed}",
                wait.topic
            );
        }
        self.waits = waits;
    }
}
