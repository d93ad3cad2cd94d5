//! A model of the registry: a plain `Vec`, scanned from front to back at every request.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use discovery_service::message::{
    After, Document, Id, Labels, Offer, Peer, Refusal, Reply, Request, ServiceAddress, ServiceType,
    Ttl,
};
use discovery_service::registry::{Record, Registration};
use discovery_service::time::Moment;
use discovery_service::wire::Codec;
use discovery_service::wire::output::Output;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::follow::{Follow, Names, Topic};

pub struct Model {
    entries: Vec<Entry>,
    /// Removed registrations with their reasons; the latest last.
    departures: Vec<(Uuid, &'static str)>,
    services_max: usize,
    ttl: Duration,
    /// The token that clients must present, if one is required.
    token: Option<&'static str>,
    /// The clients that have presented it.
    admitted: BTreeSet<usize>,
    /// The clients that show a token with each request, or none.
    of_messages: BTreeSet<usize>,
    /// The connections that watch.
    watching: BTreeSet<usize>,
    /// The indexes that answers are followed by.
    pub follow: Follow,
    /// When what had expired was last removed.
    swept: Moment,
    /// When what is heard in this turn counts as heard.
    pub heard: Moment,
}

struct Entry {
    uuid: Uuid,
    service_type: String,
    address: ServiceAddress,
    heartbeat: Moment,
    ttl: Duration,
    /// The connection that holds it.
    holder: Option<usize>,
    labels: Labels,
}

impl Entry {
    fn is_live(&self, now: Moment) -> bool {
        self.holder.is_some() || now.since(self.heartbeat) < self.ttl
    }

    fn age(&self, now: Moment) -> Duration {
        if self.holder.is_some() {
            Duration::ZERO
        } else {
            now.since(self.heartbeat)
        }
    }

    fn object(&self) -> String {
        format!(
            r#"{{"ip":"{}","port":{}}}"#,
            self.address.ip, self.address.port
        )
    }
}

/// A live registration without its UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub service_type: String,
    pub address: ServiceAddress,
    pub ttl_ms: u32,
    pub held: bool,
    pub labels: Labels,
}

impl Live {
    pub fn of(record: &Record<'_>) -> Self {
        Live {
            service_type: record.service_type.to_string(),
            address: record.address,
            ttl_ms: record.ttl_ms,
            held: record.held,
            labels: record
                .labels
                .map(|labels| (**labels).clone())
                .unwrap_or_default(),
        }
    }
}

/// A watcher's picture: the type, ip, port, tags and metadata of each registration, by its public name.
pub type Picture = BTreeMap<String, (String, IpAddr, u64, Value)>;

impl Model {
    pub fn new(services_max: usize, ttl: Duration, token: Option<&'static str>) -> Self {
        Model {
            entries: Vec::new(),
            departures: Vec::new(),
            services_max,
            ttl,
            token,
            admitted: BTreeSet::new(),
            of_messages: BTreeSet::new(),
            watching: BTreeSet::new(),
            follow: Follow::default(),
            swept: Moment::START,
            heard: Moment::START,
        }
    }

    /// Adds a registration that the registry has from its start.
    pub fn begin_with(&mut self, registration: &Registration<'_>) {
        self.entries.push(Entry {
            uuid: registration.uuid,
            service_type: registration.service_type.to_owned(),
            address: registration.address,
            heartbeat: Moment::START,
            ttl: registration.ttl,
            holder: None,
            labels: registration.labels.cloned().unwrap_or_default(),
        });
    }

    /// The number of registrations that are live at `now`.
    pub fn live(&mut self, now: Moment) -> usize {
        // Within a turn time stands still, and nothing more expires.
        if std::mem::replace(&mut self.swept, now) != now {
            self.remove("expired", |entry| !entry.is_live(now));
        }
        self.entries.len()
    }

    /// The live registrations at `now`, by UUID.
    pub fn registrations(&mut self, now: Moment) -> BTreeMap<Uuid, Live> {
        self.live(now);
        let live = |entry: &Entry| Live {
            service_type: entry.service_type.clone(),
            address: entry.address,
            ttl_ms: entry.ttl.as_millis() as u32,
            held: entry.holder.is_some(),
            labels: entry.labels.clone(),
        };
        let entries = self.entries.iter();
        entries.map(|entry| (entry.uuid, live(entry))).collect()
    }

    /// The picture that a watcher of this type, or of all, must have.
    pub fn picture(&mut self, service_type: Option<&str>, now: Moment) -> Picture {
        self.live(now);
        let mut picture = Picture::new();
        for entry in self
            .entries
            .iter()
            .filter(|entry| service_type.is_none_or(|name| name == entry.service_type))
        {
            let service = (
                entry.service_type.clone(),
                entry.address.ip,
                u64::from(entry.address.port.get()),
                json!(entry.labels),
            );
            picture.insert(Id::of(&entry.uuid).to_string(), service);
        }
        picture
    }

    /// The connection has ended.
    pub fn leave(&mut self, connection: usize, now: Moment) {
        self.live(now);
        self.watching.remove(&connection);
        self.remove("connection closed", |entry| {
            entry.holder == Some(connection)
        });
    }

    fn remove(&mut self, reason: &'static str, goes: impl Fn(&Entry) -> bool) -> usize {
        let before = self.entries.len();
        for entry in self.entries.iter().filter(|entry| goes(entry)) {
            self.departures.push((entry.uuid, reason));
            self.follow.change(&entry.service_type);
        }
        self.entries.retain(|entry| !goes(entry));
        before - self.entries.len()
    }

    fn add(
        &mut self,
        uuid: Uuid,
        offer: &Offer<'_>,
        (ttl, labels): (Option<Ttl>, &Option<Box<Labels>>),
        peer: &Peer,
        held: bool,
    ) {
        assert!(
            self.entries.len() < self.services_max,
            "registered beyond --max-services"
        );
        assert!(
            self.entries.iter().all(|entry| entry.uuid != uuid),
            "a UUID was given twice"
        );
        self.follow.change(offer.service_type.as_str());
        self.entries.push(Entry {
            uuid,
            service_type: offer.service_type.as_str().to_owned(),
            address: offer.address(peer.ip()),
            heartbeat: self.heard,
            ttl: ttl.map_or(self.ttl, Ttl::duration),
            holder: held.then_some(peer.session),
            labels: labels.as_deref().cloned().unwrap_or_default(),
        });
    }

    /// Applies the request, and panics when `reply` is not the right answer. The model adopts the UUID
    /// that the service chose for a new registration.
    pub fn check(
        &mut self,
        client: usize,
        peer: &Peer,
        request: &Request<'_>,
        reply: &Reply,
        now: Moment,
    ) {
        let live = self.live(now);
        if self.watching.contains(&peer.session)
            && !matches!(request, Request::Ping | Request::Quit)
        {
            assert!(
                matches!(reply, Reply::Refused(Refusal::Watching)),
                "{request:?} was answered {reply:?}"
            );
            return;
        }
        let open = matches!(request, Request::Auth { .. } | Request::Ping);
        if self.token.is_some() && !self.admitted.contains(&client) && !open {
            let refused = matches!(reply, Reply::Refused(Refusal::AuthenticationRequired));
            assert!(refused, "a client without a token was answered {reply:?}");
            return;
        }
        match (request, reply) {
            (Request::Auth { token }, _) => {
                let right = self.token.is_none_or(|right| right == token);
                if right {
                    self.admitted.insert(client);
                }
                match reply {
                    Reply::Ok => assert!(right, "a wrong token was accepted"),
                    Reply::Refused(Refusal::AuthenticationFailed) => {
                        assert!(!right, "the token was refused")
                    }
                    other => panic!("auth was answered {other:?}"),
                }
            }
            (
                Request::Register {
                    offer,
                    ttl,
                    replace,
                    labels,
                }
                | Request::Hold {
                    offer,
                    ttl,
                    replace,
                    labels,
                },
                _,
            ) => {
                let address = offer.address(peer.ip());
                let name = offer.service_type.as_str();
                let held = matches!(request, Request::Hold { .. });
                let replaced = if *replace {
                    self.remove("replaced", |entry| {
                        entry.service_type == name && entry.address == address
                    })
                } else {
                    0
                };
                match reply {
                    Reply::Registered(uuid) => self.add(*uuid, offer, (*ttl, labels), peer, held),
                    Reply::Refused(Refusal::RegistryFull) => {
                        assert_eq!(
                            (live, replaced),
                            (self.services_max, 0),
                            "refused below --max-services"
                        );
                    }
                    other => panic!("register was answered {other:?}"),
                }
            }
            (Request::Revive { .. }, Reply::Refused(Refusal::RegistryFull)) => {
                assert_eq!(live, self.services_max, "refused below --max-services");
            }
            (
                Request::Revive {
                    uuid,
                    offer,
                    ttl,
                    labels,
                },
                _,
            ) => {
                let name = offer.service_type.as_str();
                let address = offer.address(peer.ip());
                let live = self.entries.iter_mut().find(|entry| entry.uuid == *uuid);
                let same = live
                    .as_ref()
                    .map(|entry| entry.service_type == name && entry.address == address);
                match (live, same, reply) {
                    (Some(entry), Some(true), Reply::Ok) => entry.heartbeat = self.heard,
                    (_, Some(false), Reply::Refused(Refusal::UuidTaken)) => {}
                    (None, None, Reply::Ok) => self.add(*uuid, offer, (*ttl, labels), peer, false),
                    (_, _, other) => panic!("the long heartbeat was answered {other:?}"),
                }
            }
            (Request::Heartbeat { uuid }, _) => {
                let mut entries = self.entries.iter_mut();
                let entry = uuid.and_then(|uuid| entries.find(|entry| entry.uuid == uuid));
                match (entry, reply) {
                    (Some(entry), Reply::Ok) => entry.heartbeat = self.heard,
                    (None, Reply::NotFound) => {}
                    (entry, other) => panic!(
                        "heartbeat was answered {other:?}, live: {}",
                        entry.is_some()
                    ),
                }
            }
            (Request::Update { uuid, labels }, _) => {
                let mut entries = self.entries.iter_mut();
                let entry = entries.find(|entry| Some(entry.uuid) == *uuid);
                match (entry, reply) {
                    (Some(entry), Reply::Ok) => {
                        let labels = labels.as_deref().cloned().unwrap_or_default();
                        if std::mem::replace(&mut entry.labels, labels) != entry.labels {
                            self.follow.change(&entry.service_type);
                        }
                    }
                    (None, Reply::NotFound) => {}
                    (entry, other) => {
                        panic!("update was answered {other:?}, live: {}", entry.is_some())
                    }
                }
            }
            (Request::Deregister { uuid }, _) => {
                match (
                    self.remove("deregistered", |entry| Some(entry.uuid) == *uuid),
                    reply,
                ) {
                    (1, Reply::Ok) | (0, Reply::NotFound) => {}
                    (count, other) => panic!("deregister was answered {other:?}, live: {count}"),
                }
            }
            (
                Request::Query {
                    service_type,
                    max_age,
                    labels,
                    limit,
                },
                Reply::Services(_),
            ) => {
                let of_type = |entry: &&Entry| entry.service_type == service_type.as_str();
                let young =
                    |entry: &&Entry| max_age.is_none_or(|max| entry.age(now) < max.duration());
                let objects: Vec<String> = self
                    .entries
                    .iter()
                    .filter(of_type)
                    .filter(young)
                    .filter(|entry| {
                        let wanted = labels.as_deref();
                        wanted.is_none_or(|wanted| entry.labels.contains(wanted))
                    })
                    .map(Entry::object)
                    .collect();
                let most = limit.map_or(usize::MAX, |limit| limit as usize);
                if objects.len() <= most {
                    assert_eq!(written(reply), format!("[{}]", objects.join(",")));
                    return;
                }
                let told = parse(reply);
                let told = told.as_array().expect("an array");
                assert_eq!(told.len(), most);
                let mut expected = objects.iter();
                for service in told {
                    let is_told = |object: &String| parse_text(object) == *service;
                    assert!(expected.any(is_told), "some of them, in their order");
                }
            }
            (Request::Types, Reply::Document(_)) => {
                let mut types: BTreeMap<&str, u64> = BTreeMap::new();
                for entry in &self.entries {
                    *types.entry(&entry.service_type).or_default() += 1;
                }
                let types: Vec<Value> = types
                    .iter()
                    .map(|(name, n)| json!({"type": name, "count": n}))
                    .collect();
                assert_eq!(parse(reply), Value::from(types));
            }
            (Request::List { service_type, .. }, Reply::Document(_)) => {
                let name = service_type.as_ref().map(|name| name.as_str());
                let of_type = |entry: &&Entry| name.is_none_or(|name| name == entry.service_type);
                let mut entries: Vec<&Entry> = self.entries.iter().filter(of_type).collect();
                entries.sort_by(|a, b| a.service_type.cmp(&b.service_type));
                let list: Vec<Value> = entries
                    .into_iter()
                    .map(|entry| listed(entry, now))
                    .collect();
                let mut told = parse(reply);
                for row in told.as_array_mut().expect("an array") {
                    row.as_object_mut()
                        .expect("objects")
                        .remove("heartbeat")
                        .expect("a time");
                }
                assert_eq!(told, Value::from(list));
            }
            (Request::Why { uuid }, _) => self.check_why(*uuid, reply, now),
            (Request::Stats, Reply::Document(document)) => {
                let Document::Stats(stats) = &**document else {
                    panic!("stats was answered {document:?}");
                };
                assert_eq!(stats.registrations, live as u64);
                assert_eq!(stats.watchers, self.watching.len() as u64);
            }
            (
                Request::Catalog {
                    service_type,
                    labels,
                    ..
                },
                Reply::Catalog(catalog),
            ) => {
                let name = service_type.as_ref().map(|name| name.as_str());
                let labels = labels.as_deref();
                let mut entries: Vec<&Entry> = self
                    .entries
                    .iter()
                    .filter(|entry| name.is_none_or(|name| name == entry.service_type))
                    .filter(|entry| labels.is_none_or(|wanted| entry.labels.contains(wanted)))
                    .collect();
                entries.sort_by(|a, b| a.service_type.cmp(&b.service_type));
                let ids: Vec<Id> = entries.iter().map(|entry| Id::of(&entry.uuid)).collect();
                let told: Vec<Id> = catalog.services.iter().map(|service| service.id).collect();
                assert_eq!(told, ids, "{request:?}");
                for (entry, service) in entries.into_iter().zip(&catalog.services) {
                    assert_eq!(service.address, entry.address);
                    let labels = service.labels.as_deref().cloned().unwrap_or_default();
                    assert_eq!(labels, entry.labels);
                }
                self.tell(request, catalog.index);
            }
            (Request::Names { .. }, Reply::Names(names)) => {
                let told = names.names.iter().map(|name| {
                    let tags = name.tags.iter().map(|tag| tag.to_string());
                    (name.service_type.to_string(), tags.collect())
                });
                assert_eq!(told.collect::<Names>(), self.names());
                self.tell(request, names.index);
            }
            (Request::Constant { .. }, Reply::Constant { index }) => self.tell(request, *index),
            (Request::Ping, Reply::Pong)
            | (Request::Help, Reply::Help)
            | (Request::Quit, Reply::Bye) => {}
            (request, reply) => panic!("{request:?} was answered {reply:?}"),
        }
    }

    /// The names of all types, with their tags.
    fn names(&self) -> Names {
        names_of(&self.entries)
    }

    fn tell(&mut self, request: &Request<'_>, index: u64) {
        let (topic, _) = followed(request).expect("it can be followed");
        let entries = &self.entries;
        self.follow.tell(topic, index, || names_of(entries));
    }

    /// Checks that this request may wait for a change. `moments` are until when it has waited before, until
    /// when it waits, and now.
    pub fn check_wait(
        &mut self,
        client: usize,
        request: &Request<'_>,
        moments: (Option<Moment>, Moment, Moment),
        now: Moment,
    ) {
        self.live(now);
        let (topic, after) = followed(request).expect("it can be followed");
        let after = after.expect("only who has an answer waits");
        let entries = &self.entries;
        self.follow
            .wait(client, (topic, after), moments, || names_of(entries));
    }

    /// Checks after a turn that no request waits any more for what has happened.
    pub fn nobody_is_forgotten(&mut self, timers_at: Moment, now: Moment) {
        self.live(now);
        let entries = &self.entries;
        self.follow
            .nobody_is_forgotten(timers_at, || names_of(entries));
    }

    /// This client shows a token with each request, or none.
    pub fn shows_each_time(&mut self, client: usize) {
        self.of_messages.insert(client);
    }

    /// A message of this client was answered.
    pub fn end_message(&mut self, client: usize) {
        if self.of_messages.contains(&client) {
            self.admitted.remove(&client);
        }
    }

    /// Checks a request that is answered in parts: in a small world that is `watch` alone.
    pub fn check_watch(&mut self, client: usize, peer: &Peer, request: &Request<'_>) {
        assert!(
            matches!(request, Request::Watch { .. }),
            "{request:?} is answered in parts"
        );
        assert!(self.token.is_none() || self.admitted.contains(&client));
        assert!(self.watching.insert(peer.session), "it watches already");
    }

    fn check_why(&self, uuid: Option<Uuid>, reply: &Reply, now: Moment) {
        let live = |uuid| self.entries.iter().find(|entry| entry.uuid == uuid);
        let gone = |uuid| self.departures.iter().rev().find(|(gone, _)| *gone == uuid);
        let entry = uuid.and_then(live);
        let reason = uuid.and_then(gone).map(|(_, reason)| reason);
        match (entry, reason, reply) {
            (Some(entry), _, Reply::Document(_)) => {
                let mut told = parse(reply);
                assert_eq!(told["state"], "live");
                for key in ["state", "heartbeat"] {
                    told.as_object_mut()
                        .expect("an object")
                        .remove(key)
                        .expect(key);
                }
                assert_eq!(told, listed(entry, now));
            }
            (None, Some(reason), Reply::Document(_)) => {
                let told = parse(reply);
                assert_eq!(
                    (&told["state"], &told["reason"]),
                    (&json!("gone"), &json!(reason))
                );
                assert!(
                    told["last_heartbeat"].as_str() <= told["at"].as_str(),
                    "{told}"
                );
            }
            (None, None, Reply::NotFound) => {}
            (_, reason, other) => {
                panic!("why was answered {other:?}, but the reason was {reason:?}")
            }
        }
    }
}

/// What a request follows, and the answer that its client has.
fn followed(request: &Request<'_>) -> Option<(Topic, Option<After>)> {
    Some(match request {
        Request::Catalog {
            service_type,
            after,
            ..
        } => {
            let of = |name: &ServiceType<'_>| Topic::Type(name.as_str().to_owned());
            (service_type.as_ref().map_or(Topic::All, of), *after)
        }
        Request::Names { after } => (Topic::Names, *after),
        Request::Constant { after } => (Topic::Nothing, *after),
        _ => return None,
    })
}

fn names_of(entries: &[Entry]) -> Names {
    let mut names = Names::new();
    for entry in entries {
        let tags = names.entry(entry.service_type.clone()).or_default();
        tags.extend(entry.labels.tags().iter().map(|tag| tag.to_string()));
    }
    names
}

fn listed(entry: &Entry, now: Moment) -> Value {
    json!({
        "id": Id::of(&entry.uuid),
        "tags": entry.labels.tags(),
        "meta": json!(entry.labels)["meta"],
        "type": entry.service_type,
        "ip": entry.address.ip.to_string(),
        "port": entry.address.port.get(),
        "age_ms": entry.age(now).as_millis() as u64,
        "ttl_ms": entry.ttl.as_millis() as u64,
        "held": entry.holder.is_some(),
    })
}

fn parse(reply: &Reply) -> Value {
    parse_text(&written(reply))
}

fn parse_text(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// A reply as a line of text.
pub fn written(reply: &Reply) -> String {
    let mut output = Output::default();
    Codec::default().encode(reply, &mut output);
    let mut line = Vec::new();
    while !output.is_empty() {
        let front = output.front();
        line.extend_from_slice(front);
        output.advance(front.len());
    }
    String::from_utf8(line).expect("text").trim_end().to_owned()
}
