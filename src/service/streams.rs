//! The answers and snapshots that are made in parts, and the order in which their parts are made.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use super::draw::Draw;
use super::{Selection, Service};
use crate::limits::PART_RECORDS_MIN;
use crate::message::{Outcome, Peer, Refusal, Reply, Verb};
use crate::registry::Cursor;

/// The answers and snapshots of which parts are still to be made.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) by_session: HashMap<usize, Stream>,
    /// Sessions that need their next part, with the numbers of their streams, in the order in which they
    /// asked: first those whose whole answer is short, so that they do not wait for the long ones.
    short: VecDeque<(usize, u64)>,
    long: VecDeque<(usize, u64)>,
    /// Answers that are collected whole before they are sent, and wait until another one is: many of
    /// them at once would take all the room, and none would come to its end.
    collected: VecDeque<(usize, u64)>,
    /// The number of the one that is being collected.
    collecting: Option<u64>,
    last_number: u64,
}

/// One answer or snapshot.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its number: the keys of sessions are used again.
    number: u64,
    pub(super) what: What,
    /// Where it goes on, once it has begun.
    pub(super) cursor: Option<Cursor>,
    /// What was drawn so far, where the answer is drawn from all.
    pub(super) draw: Option<Draw>,
    /// Parts that were made.
    pub(super) made: u32,
    /// Whether its session is queued.
    queued: bool,
    /// Whether its parts are collected, and sent with the last.
    collects: bool,
}

/// What is made in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// What a watcher watches: a type, or all.
    Snapshot(Option<Arc<str>>),
    /// Some or all services of a type.
    Query(Arc<str>, Rc<Selection>),
    /// The records of a type, or of all.
    List(Option<Arc<str>>, Rc<Selection>),
    /// The types, behind the one that was told last.
    Types(Option<Arc<str>>),
    /// Some or all services of a type, or of all; the index is that of the answer.
    Catalog(Option<Arc<str>>, Rc<Selection>, u64),
    /// The names of the types with their tags, as `Types`; the index is that of the answer.
    Names(Option<Arc<str>>, u64),
}

impl What {
    /// The type that a walk over the registry is confined to, if it is.
    fn service_type(&self) -> Option<&Arc<str>> {
        match self {
            What::Query(name, _) => Some(name),
            What::Snapshot(name) | What::List(name, _) | What::Catalog(name, ..) => name.as_ref(),
            What::Types(_) | What::Names(..) => None,
        }
    }
}

impl Streams {
    /// Whether any session needs a part.
    pub(super) fn are_waited_for(&self) -> bool {
        !self.short.is_empty() || !self.long.is_empty()
    }

    /// Sessions that wait for a part, with some that have ended.
    pub(super) fn waiting(&self) -> usize {
        self.short.len() + self.long.len()
    }

    /// Puts the session that was [taken](Self::next) back to the front: what it draws from takes memory
    /// until the draw ends.
    pub(super) fn put_back(&mut self, session: usize) {
        if let Some(stream) = self.by_session.get_mut(&session) {
            stream.queued = true;
            self.long.push_front((session, stream.number));
        }
    }

    /// Whether the stream of this number may be collected now.
    fn may_collect(&mut self, number: u64) -> bool {
        *self.collecting.get_or_insert(number) == number
    }

    /// Goes on to the next answer that waits to be collected.
    fn collect_next(&mut self) {
        self.collecting = None;
        while let Some((session, number)) = self.collected.pop_front() {
            let stream = self.by_session.get(&session);
            if stream.is_some_and(|stream| stream.number == number) {
                self.collecting = Some(number);
                self.long.push_back((session, number));
                return;
            }
        }
    }

    /// Whether a session whose whole answer is short needs its first part.
    pub(super) fn have_short(&self) -> bool {
        !self.short.is_empty()
    }

    /// Takes the session whose part is made next.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.next_short().or_else(|| {
            let Streams {
                long, by_session, ..
            } = self;
            take(long, by_session)
        })
    }

    /// Takes the session whose part is made next, if its whole answer is short.
    pub(super) fn next_short(&mut self) -> Option<usize> {
        let Streams {
            short, by_session, ..
        } = self;
        take(short, by_session)
    }
}

/// Takes the first session of a queue whose stream has not ended.
fn take(queue: &mut VecDeque<(usize, u64)>, streams: &mut HashMap<usize, Stream>) -> Option<usize> {
    while let Some((session, number)) = queue.pop_front() {
        let stream = streams.get_mut(&session);
        if let Some(stream) = stream.filter(|stream| stream.number == number) {
            stream.queued = false;
            return Some(session);
        }
    }
    None
}

impl<S: BuildHasher> Service<S> {
    /// Begins to answer the request of this peer in parts. Parts need a session.
    pub(super) fn answer_in_parts(&mut self, what: What, verb: Verb, peer: &Peer) -> Outcome {
        if !peer.has_session() {
            // Less may be left of it when what has expired is swept.
            if !self.is_settled() {
                return Outcome::Retry;
            }
            return Outcome::Done(Reply::Refused(Refusal::NeedsSession(verb)));
        }
        self.begin_stream(what, peer.session).collects = peer.collects;
        Outcome::Parts
    }

    /// Begins a stream of parts. Where the session has one already, it begins anew.
    pub(super) fn begin_stream(&mut self, what: What, session: usize) -> &mut Stream {
        let (number, queued) = match self.end_stream(session) {
            Some(Stream { number, queued, .. }) => (number, queued),
            None => {
                self.streams.last_number += 1;
                (self.streams.last_number, false)
            }
        };
        let stream = Stream {
            number,
            what,
            cursor: None,
            draw: None,
            made: 0,
            queued,
            collects: false,
        };
        let place = self.streams.by_session.entry(session);
        place.insert_entry(stream).into_mut()
    }

    /// Ends the session's stream, if it has one.
    pub(super) fn end_stream(&mut self, session: usize) -> Option<Stream> {
        let mut stream = self.streams.by_session.remove(&session)?;
        if let Some(cursor) = stream.cursor.take() {
            self.registry.drop_cursor(cursor);
        }
        if self.streams.collecting == Some(stream.number) {
            self.streams.collect_next();
        }
        Some(stream)
    }

    /// The session needs its next part.
    pub(super) fn queue_for_part(&mut self, session: usize) {
        let Some(stream) = self.streams.by_session.get_mut(&session) else {
            return;
        };
        if std::mem::replace(&mut stream.queued, true) {
            return;
        }
        let (number, collects) = (stream.number, stream.collects);
        let is_new = stream.made == 0 && !matches!(stream.what, What::Types(_) | What::Names(..));
        let name = stream.what.service_type().cloned();
        let queue = if is_new && self.len_of(name.as_deref()) <= PART_RECORDS_MIN {
            &mut self.streams.short
        } else if collects && !self.streams.may_collect(number) {
            &mut self.streams.collected
        } else {
            &mut self.streams.long
        };
        queue.push_back((session, number));
    }

    /// Registrations of the type, or of all.
    pub(super) fn len_of(&self, service_type: Option<&str>) -> usize {
        match service_type {
            Some(name) => self
                .registry
                .service_type(name)
                .map_or(0, |view| view.len()),
            None => self.registry.len(),
        }
    }
}
