//! The documents that `types`, `list`, `why` and `stats` answer, as values.
//!
//! The service makes them, [`crate::wire`] writes them, and the Rust client returns them. The order
//! of the fields is the order on the wire. The client reads a field that an older service does not
//! send as 0, and ignores a field that it does not know.

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::close_reason::CloseReason;
use super::cluster_stats::ClusterStats;
use super::tally::Tally;
use super::{DnsStats, Id, Labels, ServiceAddress, StateStats, Verb};
use crate::time::WallTime;

/// One of the documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "a reply holds it in a box")]
pub enum Document {
    /// All types, sorted by name.
    Types(Vec<TypeCount>),
    /// Registrations by type, oldest first.
    List(Vec<Record>),
    /// The state of a registration.
    Why(Why),
    /// The statistics of the service.
    Stats(Stats),
    /// What a monitor is told.
    Metrics(Metrics),
}

/// The statistics of the service and of its process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// Those of the service.
    pub stats: Stats,
    /// Those of the process, as far as the system tells them.
    pub process: Process,
    /// The live registrations of each type, where they are asked for.
    pub types: Vec<TypeCount>,
}

/// What the system tells of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Processor time that it has used.
    pub cpu: Option<Duration>,
    /// Bytes of memory that are resident.
    pub resident_len: Option<u64>,
    /// Bytes of its address space.
    pub virtual_len: Option<u64>,
    /// Descriptors that it has open.
    pub fds: Option<u64>,
    /// Descriptors that it may have open.
    pub fds_max: Option<u64>,
    /// When it started, in milliseconds since 1970.
    pub started_ms: Option<u64>,
}

/// A type, and how many live registrations it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCount {
    /// The type's name.
    #[serde(rename = "type")]
    pub service_type: Arc<str>,
    /// Its live registrations.
    pub count: u64,
}

/// One live registration, without its UUID, which stays secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its public name.
    #[serde(default)]
    pub id: Id,
    /// Its type.
    #[serde(rename = "type")]
    pub service_type: Arc<str>,
    /// The address at which the service can be reached.
    pub ip: IpAddr,
    /// The port at which the service can be reached.
    pub port: NonZeroU16,
    /// Its last heartbeat; for a held one, the present moment. Nothing where another node of the cluster
    /// owns it: only that one knows.
    pub heartbeat: Option<WallTime>,
    /// Milliseconds since its last heartbeat, likewise.
    pub age_ms: Option<u64>,
    /// Milliseconds that it lives without a heartbeat or, if held, without its connection.
    pub ttl_ms: u64,
    /// Whether a connection holds it.
    pub held: bool,
    /// The name of the node that owns it, where there is a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// Its tags and metadata.
    #[serde(flatten)]
    pub labels: Arc<Labels>,
}

impl Record {
    /// Where the service can be reached.
    #[must_use]
    pub fn address(&self) -> ServiceAddress {
        ServiceAddress {
            ip: self.ip,
            port: self.port,
        }
    }
}

/// The state of a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Why {
    /// It is live.
    Live(Record),
    /// It was removed recently.
    Gone(Gone),
}

/// A registration that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The reason for the removal.
    pub reason: Reason,
    /// The time of removal; for one that expired, the end of its TTL.
    pub at: WallTime,
    /// Its last heartbeat; for one that was held, the time of removal.
    pub last_heartbeat: WallTime,
}

/// Why a registration was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its last heartbeat reached the age of its TTL.
    Expired,
    /// A peer that knew its UUID asked for the removal.
    Deregistered,
    /// Another registration took its place.
    Replaced,
    /// The connection that held it ended.
    #[serde(rename = "connection closed")]
    ConnectionClosed,
}

impl Reason {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Expired => "expired",
            Reason::Deregistered => "deregistered",
            Reason::Replaced => "replaced",
            Reason::ConnectionClosed => "connection closed",
        }
    }
}

/// What the service holds at the moment, and what it has done since it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The version of the service.
    pub version: Cow<'static, str>,
    /// Time since the service started.
    #[serde(rename = "uptime_seconds", with = "seconds")]
    pub uptime: Duration,
    /// Registrations held.
    pub registrations: u64,
    /// Types that have registrations.
    pub types: u64,
    /// Connections held.
    pub connections: u64,
    /// Watchers.
    pub watchers: u64,
    /// Commands that were run, by verb.
    pub commands: Tally<Verb, { Verb::ALL.len() }>,
    /// Commands that were refused.
    pub errors: u64,
    /// Registrations that expired.
    pub expirations: u64,
    /// Connections that were refused at the limit of `--max-connections`.
    pub refused_connections: u64,
    /// Bytes read from all connections.
    pub bytes_in: u64,
    /// Bytes written to all connections.
    pub bytes_out: u64,
    /// Time for which the process was paused; it aged no registration.
    #[serde(rename = "stalled_seconds", with = "seconds")]
    pub stalled: Duration,
    /// The longest turn of the loop.
    #[serde(rename = "worst_turn_us", with = "micros")]
    pub worst_turn: Duration,
    /// Connections that were closed, by reason.
    #[serde(default)]
    pub connections_closed: Tally<CloseReason, { CloseReason::ALL.len() }>,
    /// Log lines that were dropped because standard error could not take them at once.
    #[serde(default)]
    pub log_lines_dropped: u64,
    /// The counters of DNS, where it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsStats>,
    /// How the state file is.
    #[serde(flatten)]
    pub state: StateStats,
    /// The figures of the cluster, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStats>,
}

/// A time as seconds, to the millisecond.
mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_millis() as f64 / 1000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

/// A time as whole microseconds.
mod micros {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_as_the_contract_has_it_and_read_back() {
        let mut labels = Labels::default();
        labels.add_tag("a").unwrap();
        labels.add_pair("version", "2").unwrap();
        let record = Record {
            id: Id::of(&uuid::Uuid::nil()),
            service_type: "hive".into(),
            ip: "127.0.0.1".parse().unwrap(),
            port: NonZeroU16::new(65_433).unwrap(),
            heartbeat: Some(WallTime::from_unix_millis(1_795_796_415_123)),
            age_ms: Some(1234),
            ttl_ms: 30_000,
            held: false,
            node: None,
            labels: Arc::new(labels),
        };
        let text = r#"{"id":"374708fff7719dd5","type":"hive","ip":"127.0.0.1","port":65433,"heartbeat":"2026-11-27T16:20:15.123Z","age_ms":1234,"ttl_ms":30000,"held":false,"tags":["a"],"meta":{"version":"2"}}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert_eq!(serde_json::from_str::<Record>(text).unwrap(), record);
        let live = format!(r#"{{"state":"live",{}"#, &text[1..]);
        assert_eq!(
            serde_json::to_string(&Why::Live(record.clone())).unwrap(),
            live
        );
        assert_eq!(
            serde_json::from_str::<Why>(&live).unwrap(),
            Why::Live(record)
        );
    }

    #[test]
    fn why_tells_a_departure_by_its_reason_and_times() {
        let time = WallTime::from_unix_millis(0);
        let gone = |reason| {
            Why::Gone(Gone {
                reason,
                at: time,
                last_heartbeat: time,
            })
        };
        for reason in [
            Reason::Expired,
            Reason::Deregistered,
            Reason::Replaced,
            Reason::ConnectionClosed,
        ] {
            let text = serde_json::to_string(&gone(reason)).unwrap();
            let said = reason.as_str();
            let epoch = "1970-01-01T00:00:00.000Z";
            assert_eq!(
                text,
                format!(
                    r#"{{"state":"gone","reason":"{said}","at":"{epoch}","last_heartbeat":"{epoch}"}}"#
                )
            );
            assert_eq!(serde_json::from_str::<Why>(&text).unwrap(), gone(reason));
        }
    }

    #[test]
    fn stats_of_another_version_are_read_as_far_as_they_are_known() {
        let text = r#"{"version":"9","uptime_seconds":1.25,"registrations":1,"types":1,"connections":1,
            "watchers":0,"commands":{"ping":7,"dance":3},"errors":0,"expirations":0,
            "refused_connections":0,"bytes_in":1,"bytes_out":2,"stalled_seconds":0.5,
            "worst_turn_us":99,"moods":{}}"#;
        let stats: Stats = serde_json::from_str(text).unwrap();
        assert_eq!(stats.uptime, Duration::from_millis(1_250));
        assert_eq!(stats.commands.get(Verb::Ping), 7);
        assert_eq!(stats.commands.get(Verb::Query), 0);
        assert_eq!(stats.connections_closed.get(CloseReason::Idle), 0);
        let again: Stats = serde_json::from_str(&serde_json::to_string(&stats).unwrap()).unwrap();
        assert_eq!(again, stats);
    }
}
