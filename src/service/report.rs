//! The documents that `types`, `list`, `why` and `stats` answer.

use std::fmt::{self, Write as _};
use std::hash::BuildHasher;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use uuid::Uuid;

use super::departures::Gone;
use super::{Meter, Service, Turn, spend};
use crate::limits::{LISTED_MAX, RECORD_LEN};
use crate::message::{Refusal, Reply, Request, ServiceType, Verb, json};
use crate::registry::Record;
use crate::time::{Moment, WallTime};

impl<S: BuildHasher> Service<S> {
    pub(super) fn types(&mut self) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        if self.registry.types_len() > LISTED_MAX {
            return Some(Reply::Refused(Refusal::TooMany(
                "more than 65536 types, too many for one answer",
            )));
        }
        self.build_len_left = spend(self.build_len_left, self.registry.types_len() * RECORD_LEN)?;
        let mut types: Vec<_> = self
            .registry
            .types()
            .map(|view| (&**view.name(), view.len()))
            .collect();
        types.sort_unstable();
        Some(Reply::Document(Rc::new(types_document(types.into_iter()))))
    }

    pub(super) fn list(&mut self, service_type: Option<&ServiceType<'_>>) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        let view = service_type.map(|name| self.registry.service_type(name.as_str()));
        let (len, advice) = match &view {
            None => (
                self.registry.len(),
                "more than 65536 registrations, too many for one list: name a type",
            ),
            Some(None) => (0, ""),
            Some(Some(view)) => (
                view.len(),
                "more than 65536 registrations, too many for one list: use query",
            ),
        };
        if len > LISTED_MAX {
            return Some(Reply::Refused(Refusal::TooMany(advice)));
        }
        self.build_len_left = spend(self.build_len_left, len * 2 * RECORD_LEN)?;
        let mut types: Vec<_> = match view {
            None => self.registry.types().collect(),
            Some(view) => view.into_iter().collect(),
        };
        types.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        let Turn { now, wall, .. } = self.turn;
        let list = list_document(types.iter().flat_map(|view| view.records(now)), now, wall);
        Some(Reply::Document(Rc::new(list)))
    }

    pub(super) fn why(&mut self, uuid: Option<&Uuid>) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        let Turn { now, wall, .. } = self.turn;
        let Some(uuid) = uuid else {
            return Some(Reply::NotFound);
        };
        let document = match (self.registry.get(now, uuid), self.departures.find(uuid)) {
            (Some(record), _) => live_document(record, now, wall),
            (None, Some(gone)) => gone_document(gone),
            (None, None) => return Some(Reply::NotFound),
        };
        Some(Reply::Document(Rc::new(document)))
    }

    pub(super) fn stats(&self) -> Reply {
        let held = Held {
            registrations: self.registry.len(),
            types: self.registry.types_len(),
            watchers: self.watchers.len(),
        };
        Reply::Document(Rc::new(stats_document(
            &self.counts,
            &held,
            &self.turn.meter,
        )))
    }
}

/// `[{"type":"hive","count":2},…]`
fn types_document<'a>(types: impl Iterator<Item = (&'a str, usize)>) -> Vec<u8> {
    let mut text = vec![b'['];
    for (name, count) in types {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(br#"{"type":"#);
        json::push_string(&mut text, name);
        text.extend_from_slice(br#","count":"#);
        json::push_number(&mut text, count);
        text.push(b'}');
    }
    text.push(b']');
    text
}

/// `[{"type":"hive","ip":"127.0.0.1","port":65433,"heartbeat":"…","age_ms":…,…},…]`
fn list_document<'a>(
    records: impl Iterator<Item = Record<'a>>,
    now: Moment,
    wall: WallTime,
) -> Vec<u8> {
    let mut text = vec![b'['];
    for record in records {
        if text.len() > 1 {
            text.push(b',');
        }
        text.push(b'{');
        push_record(&mut text, record, now, wall);
        text.push(b'}');
    }
    text.push(b']');
    text
}

/// `{"state":"live","type":"hive",…}`
fn live_document(record: Record<'_>, now: Moment, wall: WallTime) -> Vec<u8> {
    let mut text = br#"{"state":"live","#.to_vec();
    push_record(&mut text, record, now, wall);
    text.push(b'}');
    text
}

/// `{"state":"gone","reason":"expired","at":"…","last_heartbeat":"…"}`
fn gone_document(gone: &Gone) -> Vec<u8> {
    let Gone {
        reason,
        at,
        last_heartbeat,
        ..
    } = gone;
    let reason = reason.as_str();
    format!(
        r#"{{"state":"gone","reason":"{reason}","at":"{at}","last_heartbeat":"{last_heartbeat}"}}"#
    )
    .into_bytes()
}

fn push_record(text: &mut Vec<u8>, record: Record<'_>, now: Moment, wall: WallTime) {
    json::push_service(text, record.service_type, record.address);
    // A Vec takes every write.
    let _ = write!(
        text,
        r#","heartbeat":"{}","age_ms":{},"ttl_ms":{},"held":{}"#,
        wall.at(record.heartbeat, now),
        now.millis_since(record.heartbeat),
        record.ttl_ms,
        record.held
    );
}

/// How many commands were run, by verb, and what else is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    commands: [u64; Verb::ALL.len()],
    pub(super) errors: u64,
    pub(super) expirations: u64,
}

impl Counts {
    /// Counts a command that was run.
    pub(super) fn count(&mut self, request: &Request<'_>) {
        self.commands[request.verb() as usize] += 1;
    }
}

/// What `stats` tells of the registry.
struct Held {
    registrations: usize,
    types: usize,
    watchers: usize,
}

/// `{"version":"0.1.0","uptime_seconds":…,…}`
fn stats_document(counts: &Counts, held: &Held, meter: &Meter) -> Vec<u8> {
    let mut commands = String::new();
    for (verb, count) in Verb::ALL.into_iter().zip(counts.commands) {
        let comma = if commands.is_empty() { "" } else { "," };
        // A String takes every write.
        let _ = write!(commands, r#"{comma}"{}":{count}"#, verb.name());
    }
    let Held {
        registrations,
        types,
        watchers,
    } = held;
    let Counts {
        errors,
        expirations,
        ..
    } = counts;
    let Meter {
        connections,
        refused_connections,
        bytes_in,
        bytes_out,
        ..
    } = meter;
    format!(
        "{{\"version\":\"{}\",\"uptime_seconds\":{},\"registrations\":{registrations},\"types\":{types},\
         \"connections\":{connections},\"watchers\":{watchers},\"commands\":{{{commands}}},\"errors\":{errors},\
         \"expirations\":{expirations},\"refused_connections\":{refused_connections},\"bytes_in\":{bytes_in},\
         \"bytes_out\":{bytes_out},\"stalled_seconds\":{},\"worst_turn_us\":{}}}",
        env!("CARGO_PKG_VERSION"),
        Seconds(meter.uptime),
        Seconds(meter.stalled),
        meter.worst_turn.as_micros(),
    )
    .into_bytes()
}

/// Seconds with three digits behind the point.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}
