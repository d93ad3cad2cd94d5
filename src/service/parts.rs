//! Makes the parts of long answers and snapshots, each when the peer has been sent the one before.
//!
//! So a long answer costs the service one part for each peer that reads it, and a turn a bounded
//! number of parts, whatever the registry holds.

use std::hash::BuildHasher;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use super::catalog::{name, service};
use super::streams::What;
use super::watchers::News;
use super::{Deliver, Selection, Service};
use crate::limits::{
    ANSWER_COPY_LEN_MAX, PART_DELIVERY_WORK, PART_LEN_MAX, PART_RECORDS_MIN, TYPE_LEN_MAX,
};
use crate::message::{
    Delivery, Labels, Name, Part, Rendered, Rows, Share, Snapshot, TypeCount, Update,
};
use crate::registry::{Cursor, Record};

/// A part of a snapshot that was made in this turn, for other watchers that need the same.
struct Made {
    watched: Option<Arc<str>>,
    number: u32,
    from: Option<Cursor>,
    to: Cursor,
    snapshot: Rc<Rendered<Snapshot>>,
}

impl<S: BuildHasher> Service<S> {
    /// Rows of an answer that is made at once: usually `usual`, and while there is no room for parts as
    /// many of this length as make a short one.
    pub(super) fn at_once_max(&self, usual: usize, row_len_max: usize) -> usize {
        if self.has_room {
            usual
        } else {
            ANSWER_COPY_LEN_MAX / row_len_max
        }
    }

    /// Makes parts for the sessions that need one, in their order, as long as this turn's budget and
    /// `room` bytes last. Without room, whose whole answer is short still gets a beginning of it that is no
    /// longer than an answer that is made at once.
    pub(super) fn deliver_parts(&mut self, room: usize, deliver: &mut Deliver<'_>) {
        self.budget.begin_parts();
        let mut room = room;
        let mut made = Vec::new();
        for _ in 0..self.streams.waiting() {
            if self.budget.parts < PART_RECORDS_MIN {
                break;
            }
            let (next, len) = if room >= PART_LEN_MAX {
                (self.streams.next(), PART_LEN_MAX - ROW_LEN_MAX)
            } else {
                (
                    self.streams.next_short(),
                    ANSWER_COPY_LEN_MAX - PLAIN_ROW_LEN_MAX,
                )
            };
            let Some(session) = next else {
                break;
            };
            self.budget.part_len = len;
            self.budget.part(PART_DELIVERY_WORK);
            let news = self.watchers.tell_first(session, deliver);
            if news != News::UpToDate {
                if news == News::Lagged {
                    self.begin_snapshot(session);
                }
                self.queue_for_part(session);
                continue;
            }
            match self.make_part(session, &mut made) {
                Some((delivery, len)) => {
                    room = room.saturating_sub(len);
                    deliver(session, &delivery);
                }
                None if self.draws(session) => self.streams.put_back(session),
                None => self.queue_for_part(session),
            }
        }
        self.budget.end_parts();
        for Made { from, to, .. } in made {
            from.into_iter()
                .chain([to])
                .for_each(|cursor| self.registry.drop_cursor(cursor));
        }
    }

    /// Whether the session's answer is drawn from all that is selected.
    fn draws(&self, session: usize) -> bool {
        let stream = self.streams.by_session.get(&session);
        stream.is_some_and(|stream| stream.draw.is_some())
    }

    /// The session's next part, and about how many bytes it takes. `None` when it has to wait.
    fn make_part(&mut self, session: usize, made: &mut Vec<Made>) -> Option<(Delivery, usize)> {
        let stream = self.streams.by_session.get_mut(&session)?;
        let what = stream.what.clone();
        match what {
            What::Snapshot(watched) => self.make_snapshot(session, watched, made),
            What::Types(behind) => self.make_types(session, behind.as_deref()),
            What::Names(behind, index) => self.make_names(session, behind.as_deref(), index),
            What::Query(name, selection) => self.make_query(session, &name, &selection),
            What::Catalog(name, selection, index) => {
                let (now, mut len) = (self.turn.now, 0);
                let mut services = Vec::new();
                let last = self.walk_on(session, name.as_ref(), |record| {
                    if selection.admits(record, now) {
                        let service = service(record);
                        len += CATALOG_HEAD_LEN_MAX + 3 * service.line_len_max();
                        services.push(service);
                    }
                    len
                });
                self.answer_part(session, Rows::Services { index, services }, last)
            }
            What::List(name, selection) => {
                let (now, wall) = (self.turn.now, self.turn.wall);
                let (mut rows, mut owners, mut len) = (Vec::new(), Vec::new(), 0);
                let last = self.walk_on(session, name.as_ref(), |record| {
                    if !selection.admits(record, now) {
                        return len;
                    }
                    rows.push(super::report::record(*record, now, wall, None));
                    owners.push(record.owner);
                    let labels = record.labels.map_or(0, |labels| labels.line_len_max());
                    len += RECORD_LEN_MAX + 2 * record.service_type.len() + labels;
                    len
                });
                for (row, owner) in rows.iter_mut().zip(owners) {
                    row.node = self.node_name(owner);
                }
                self.answer_part(session, Rows::Records(rows), last)
            }
        }
    }

    fn make_query(
        &mut self,
        session: usize,
        name: &Arc<str>,
        selection: &Selection,
    ) -> Option<(Delivery, usize)> {
        let now = self.turn.now;
        let stream = self.streams.by_session.get_mut(&session)?;
        let mut draw = stream.draw.take();
        if draw.is_none() && stream.made == 0 {
            draw = self.draw(selection);
        }
        let mut rows = Vec::new();
        let is_last = self.walk_on(session, Some(name), |record| {
            match &mut draw {
                _ if !selection.admits(record, now) => {}
                Some(draw) => draw.offer(record.address),
                None => rows.push(record.address),
            }
            rows.len() * ADDRESS_LEN_MAX
        });
        match draw {
            Some(draw) if is_last => rows = draw.finish(),
            draw => self.streams.by_session.get_mut(&session)?.draw = draw,
        }
        self.answer_part(session, Rows::Addresses(rows), is_last)
    }

    fn make_types(&mut self, session: usize, behind: Option<&str>) -> Option<(Delivery, usize)> {
        // What has expired and is not swept must not count.
        if !self.is_settled() {
            return None;
        }
        let most = (PART_LEN_MAX / TYPE_COUNT_LEN_MAX).min(self.budget.parts);
        let count = |view: crate::registry::TypeView<'_, S>| TypeCount {
            service_type: Arc::clone(view.name()),
            count: view.len() as u64,
        };
        let mut types = self.registry.types_behind(behind).map(count);
        let rows: Vec<TypeCount> = types.by_ref().take(most).collect();
        let is_last = types.next().is_none();
        drop(types);
        self.budget.part(rows.len());
        let told = rows.last().map(|row| Arc::clone(&row.service_type));
        if let Some(stream) = self.streams.by_session.get_mut(&session) {
            stream.what = What::Types(told);
        }
        self.answer_part(session, Rows::Types(rows), is_last)
    }

    fn make_names(
        &mut self,
        session: usize,
        behind: Option<&str>,
        index: u64,
    ) -> Option<(Delivery, usize)> {
        // What has expired and is not swept must not count.
        if !self.is_settled() {
            return None;
        }
        let most = self.budget.parts;
        let mut names: Vec<Name> = Vec::new();
        let (mut len, mut looked_at) = (0, 0);
        let mut types = self.registry.types_behind(behind).peekable();
        while looked_at < most && len < PART_LEN_MAX / 2 {
            let Some(view) = types.next() else { break };
            let name = name(view);
            let tags = name.tags.iter().map(|tag| 2 * tag.len() + 3);
            len += 2 * name.service_type.len() + 8 + tags.sum::<usize>();
            looked_at += 1 + name.tags.len();
            names.push(name);
        }
        let is_last = types.peek().is_none();
        drop(types);
        self.budget.part(looked_at);
        let told = names.last().map(|name| Arc::clone(&name.service_type));
        if let Some(stream) = self.streams.by_session.get_mut(&session) {
            stream.what = What::Names(told, index);
        }
        self.answer_part(session, Rows::Names { index, names }, is_last)
    }

    /// The part of an answer; its stream ends with the last one.
    fn answer_part(
        &mut self,
        session: usize,
        rows: Rows,
        is_last: bool,
    ) -> Option<(Delivery, usize)> {
        let stream = self.streams.by_session.get_mut(&session)?;
        if rows.is_empty() && !is_last {
            return None;
        }
        let is_first = stream.made == 0;
        stream.made += 1;
        if is_last {
            self.end_stream(session);
        }
        let part = Part {
            rows,
            is_first,
            is_last,
        };
        Some((Delivery::Part(part), PART_LEN_MAX))
    }

    /// The next part of a watcher's snapshot; made once a turn for all who need the same.
    fn make_snapshot(
        &mut self,
        session: usize,
        watched: Option<Arc<str>>,
        made: &mut Vec<Made>,
    ) -> Option<(Delivery, usize)> {
        let stream = self.streams.by_session.get_mut(&session)?;
        let number = stream.made + 1;
        let same = |part: &&Made| {
            (&part.watched, part.number, &part.from) == (&watched, number, &stream.cursor)
        };
        if let Some(part) = made.iter().find(same) {
            let to = self.registry.copy_cursor(&part.to);
            let snapshot = Rc::clone(&part.snapshot);
            self.snapshot_made(session, to, &snapshot);
            return Some((Delivery::Update(Update::Snapshot(snapshot)), 0));
        }
        let from = stream.cursor.as_ref();
        let from = from.map(|cursor| self.registry.copy_cursor(cursor));
        let (mut services, mut len) = (Vec::new(), SNAPSHOT_HEAD_LEN_MAX);
        let is_last = self.walk_on(session, watched.as_ref(), |record| {
            let service = service(record);
            len += service.line_len_max();
            services.push(service);
            len
        });
        if services.is_empty() && !is_last {
            from.into_iter()
                .for_each(|cursor| self.registry.drop_cursor(cursor));
            return None;
        }
        let share = if number == 1 && is_last {
            Share::Whole
        } else {
            let more = !is_last;
            Share::Part { number, more }
        };
        let index = self.registry.index();
        let snapshot = Snapshot {
            index,
            share,
            services,
        };
        let snapshot = Rc::new(Rendered::new(snapshot));
        let cursor = self.streams.by_session.get_mut(&session)?.cursor.take()?;
        let to = self.registry.copy_cursor(&cursor);
        made.push(Made {
            watched,
            number,
            from,
            to,
            snapshot: Rc::clone(&snapshot),
        });
        self.snapshot_made(session, cursor, &snapshot);
        Some((Delivery::Update(Update::Snapshot(snapshot)), len))
    }

    /// The session's stream goes on from `to`, or ends with the last part.
    fn snapshot_made(&mut self, session: usize, to: Cursor, part: &Snapshot) {
        if let Some(stream) = self.streams.by_session.get_mut(&session) {
            stream.made += 1;
            if let Some(from) = stream.cursor.replace(to) {
                self.registry.drop_cursor(from);
            }
        }
        if !part.share.has_more() {
            self.end_stream(session);
        }
    }

    /// Walks on in the session's stream and shows `visit` what is live, until that returns so many bytes
    /// that one more registration might not fit into a part. Returns whether the walk has ended.
    fn walk_on(
        &mut self,
        session: usize,
        service_type: Option<&Arc<str>>,
        mut visit: impl FnMut(&Record<'_>) -> usize,
    ) -> bool {
        if self.holds.are_leaving() {
            self.record_changes();
        }
        let Some(stream) = self.streams.by_session.get_mut(&session) else {
            return true;
        };
        let begin = || self.registry.cursor(service_type.map(|name| &**name));
        let mut cursor = stream.cursor.take().unwrap_or_else(begin);
        let holds = &self.holds;
        let part_len = self.budget.part_len;
        let step = |record: &Record<'_>| {
            // What its holder has left is not live, although it is not removed yet.
            let is_leaving = holds.are_leaving() && holds.is_leaving(&record.uuid);
            if !is_leaving && visit(record) > part_len {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let (now, budget) = (self.turn.now, &mut self.budget.parts);
        self.registry.walk(&mut cursor, now, budget, step);
        let is_last = cursor.is_at_end();
        stream.cursor = Some(cursor);
        is_last
    }
}

/// Bytes of an address in an array, at most, with what stands between two.
pub(super) const ADDRESS_LEN_MAX: usize = 80;
/// Bytes of a record without its type, at most, with what stands between two.
const RECORD_LEN_MAX: usize = 256;
/// Bytes of a record with its type and without tags and metadata, at most.
const PLAIN_ROW_LEN_MAX: usize = RECORD_LEN_MAX + 2 * TYPE_LEN_MAX;
/// Bytes of a record with its type, at most.
pub(super) const ROW_LEN_MAX: usize = PLAIN_ROW_LEN_MAX + Labels::LINE_LEN_MAX;
/// Bytes of an entry of a catalog beside what is the registration's own, at most.
const CATALOG_HEAD_LEN_MAX: usize = 1024;
/// Bytes of a type and its count, at most, with what stands between two.
pub(super) const TYPE_COUNT_LEN_MAX: usize = 192;
/// Bytes of a line of a snapshot without its services, at most.
const SNAPSHOT_HEAD_LEN_MAX: usize = 128;
