//! The verbs: the effect of each request on the registry, and its reply.
//!
//! Owns the registry, the source of UUIDs, the cached answers, the holders and the watchers. Has no
//! knowledge of wire formats, sockets or clocks.

mod answers;
mod awaited;
mod budget;
mod by_uuid;
mod catalog;
mod departures;
mod draw;
mod handler;
mod holds;
mod membership;
mod notices;
mod parts;
mod query;
mod reach;
mod register;
mod report;
mod resolve;
mod restoring;
mod rights;
mod streams;
mod topic;
mod turn;
mod waits;
mod watchers;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use log::debug;
use uuid::Uuid;

use crate::auth::Tokens;
use crate::limits::{RECORDS_A_UNIT, REMOVAL_WORK, SWEPT_ALONE_MAX};
use crate::message::{
    Catalog, DnsStats, Document, Endpoints, Frequent, Heartbeats, Outcome, Peer, Process, Refusal,
    Rendered, Reply, Request, Responder, ServiceType, Services, Verb,
};
use crate::registry::{KeyedHash, Registry};

use answers::Answers;
use awaited::Awaited;
use budget::Budget;
use catalog::Latest;
use departures::Departures;
pub use handler::{Deliver, Handler, Meter, Turn};
use holds::Holds;
use membership::Membership;
use notices::Notices;
use query::Selection;
use reach::Reach;
use register::Terms;
use report::Counts;
use rights::Rights;
use streams::{Streams, What};
use waits::Waits;
use watchers::Watchers;

/// The source of new UUIDs. They are capabilities, so they must be unpredictable.
pub type UuidSource = Box<dyn FnMut() -> Uuid>;

/// The source of what the system tells of the process.
pub type ProcessSource = Box<dyn FnMut() -> Process>;

/// The source of the counters of DNS.
pub type DnsSource = Box<dyn Fn() -> DnsStats>;

/// The registry with its verbs.
pub struct Service<S = KeyedHash> {
    registry: Registry<S>,
    answers: Answers<Services>,
    catalogs: Answers<Rendered<Catalog>>,
    endpoints: Answers<Rendered<Endpoints>>,
    latest: Latest,
    waits: Waits,
    departures: Departures,
    holds: Holds,
    awaited: Awaited,
    rights: Rights,
    watchers: Watchers,
    streams: Streams,
    counts: Counts,
    notices: Notices,
    uuids: UuidSource,
    process: ProcessSource,
    dns: Option<DnsSource>,
    ttl: Duration,
    tokens: Option<Tokens>,
    reach: Reach,
    /// What it needs as a node of a cluster.
    membership: Option<Box<Membership>>,
    turn: Turn,
    budget: Budget,
    /// How many of this turn's changes `holds` and `departures` have taken over.
    recorded: usize,
    /// Whether all registrations that have expired by this turn's moment are swept.
    swept: bool,
    /// Whether the last turn had room for the parts of long answers.
    has_room: bool,
    /// Whether no request may wait any more.
    is_stopping: bool,
}

impl<S: BuildHasher> Service<S> {
    /// A service over `registry` whose registrations live for `ttl` without a heartbeat.
    pub fn new(registry: Registry<S>, uuids: UuidSource, ttl: Duration) -> Self {
        Service {
            registry,
            answers: Answers::default(),
            catalogs: Answers::default(),
            endpoints: Answers::default(),
            latest: Latest::default(),
            waits: Waits::default(),
            departures: Departures::default(),
            holds: Holds::default(),
            awaited: Awaited::default(),
            rights: Rights::default(),
            watchers: Watchers::default(),
            streams: Streams::default(),
            counts: Counts::default(),
            notices: Notices::default(),
            uuids,
            process: Box::new(Process::default),
            dns: None,
            ttl,
            tokens: None,
            reach: Reach::default(),
            membership: None,
            turn: Turn::default(),
            budget: Budget::default(),
            recorded: 0,
            swept: true,
            has_room: true,
            is_stopping: false,
        }
    }

    /// Takes from here what [`Request::Metrics`] tells of the process.
    pub fn set_process_source(&mut self, source: ProcessSource) {
        self.process = source;
    }

    /// Takes from here what [`Request::Stats`] tells of DNS.
    pub fn set_dns_source(&mut self, source: DnsSource) {
        self.dns = Some(source);
    }

    /// Requires peers to present one of these tokens. Peers whose token is not among them any more have
    /// [lost their access](Handler::has_lost_access), but the service does not ask at each request.
    pub fn set_tokens(&mut self, tokens: Tokens) {
        self.tokens = Some(match &self.tokens {
            Some(old) => tokens.succeed(old),
            None => tokens,
        });
    }

    /// Lets peers on other hosts register, hold, revive and replace at their own address only.
    pub fn require_own_address(&mut self) {
        self.reach.require_own();
    }

    /// Lets `-` mean `ip` for peers on this host, where it means the address that they come from otherwise.
    pub fn advertise(&mut self, ip: IpAddr) {
        self.reach.advertise(ip);
    }

    /// Warns of each registration at a loopback address: there are clients on other hosts.
    pub fn warn_of_loopback(&mut self) {
        self.reach.warn_of_loopback();
    }

    /// The registry behind the verbs.
    #[must_use]
    pub fn registry(&self) -> &Registry<S> {
        &self.registry
    }

    /// Makes sure that nothing of this type is stored that has expired: an answer about one type needs
    /// no sweep of the others, unless the type is large. `None` when that has to wait for the next turn.
    fn settle_type(&mut self, service_type: &str) -> Option<()> {
        if self.is_settled() {
            return Some(());
        }
        let view = self.registry.service_type(service_type);
        let len = view.map_or(0, |view| view.len());
        if len > SWEPT_ALONE_MAX {
            return None;
        }
        self.budget.build(len * REMOVAL_WORK * RECORDS_A_UNIT)?;
        let expired = self.registry.sweep_type(self.turn.now, service_type);
        self.counts.expirations += expired as u64;
        self.remove_left_of(service_type);
        Some(())
    }

    fn admits(&self, peer: &Peer) -> bool {
        self.tokens.is_none() || peer.token.is_some()
    }

    /// Whether the registry contains only live registrations.
    fn is_settled(&self) -> bool {
        self.swept && !self.holds.are_leaving()
    }

    /// Runs a request of any peer.
    fn apply_any(&mut self, request: &Request<'_>, peer: &mut Peer) -> Outcome {
        let refusal = match request {
            // DNS knows no tokens.
            Request::Ping | Request::Health | Request::Resolve { .. } => None,
            Request::Quit if peer.watches => None,
            _ if peer.watches => Some(Refusal::Watching),
            Request::Auth { .. } => None,
            _ if !self.admits(peer) => Some(Refusal::AuthenticationRequired),
            _ => self.reach.refuse(request, peer),
        };
        match refusal {
            Some(refusal) => Outcome::Done(Reply::Refused(refusal)),
            None => self.run(request, peer),
        }
    }

    /// Runs a request of a peer that is allowed to make it.
    fn run(&mut self, request: &Request<'_>, peer: &mut Peer) -> Outcome {
        if !self.is_ready()
            && let Some(outcome) = self.hold_back(request, peer)
        {
            return outcome;
        }
        let reply = match request {
            Request::Auth { token } => Some(self.authenticate(token, peer)),
            Request::Register {
                offer,
                ttl,
                replace,
                labels,
            } => self.register(offer, Terms::new(*ttl, labels), *replace, peer),
            Request::Hold {
                offer,
                ttl,
                replace,
                labels,
            } => self.hold(offer, Terms::new(*ttl, labels), *replace, peer),
            Request::Heartbeat { uuid } => return self.heartbeat(uuid.as_ref(), peer),
            Request::Revive {
                uuid,
                offer,
                ttl,
                labels,
            } => self.revive(*uuid, offer, Terms::new(*ttl, labels), peer),
            Request::Update { uuid, labels } => {
                return self.update(uuid.as_ref(), labels.as_deref(), peer);
            }
            Request::Deregister { uuid } => return self.deregister(uuid.as_ref(), peer),
            Request::Query {
                service_type,
                max_age,
                labels,
                limit,
            } => {
                let selection = Selection::new(*max_age, labels.as_deref(), *limit);
                return self.query(service_type, selection, peer);
            }
            Request::Resolve { service_type } => self.resolve(service_type.as_ref()),
            Request::Types => return self.types(peer),
            Request::List {
                service_type,
                labels,
            } => {
                let selection = Selection::new(None, labels.as_deref(), None);
                return self.list(service_type.as_ref(), selection, peer);
            }
            Request::Catalog {
                service_type,
                labels,
                after,
            } => return self.catalog(service_type.as_ref(), labels.as_deref(), *after, peer),
            Request::Names { after } => return self.names(*after, peer),
            Request::Constant { after } => return self.constant(*after, peer),
            Request::Why { uuid } => self.why(uuid.as_ref()),
            Request::Watch { service_type } => return self.watch(service_type.as_ref(), peer),
            Request::Stats => self.stats().map(|stats| Document::Stats(stats).into()),
            Request::Metrics { types } => self.metrics(*types),
            Request::Ping | Request::Health => Some(Reply::Pong),
            Request::Help => Some(Reply::Help),
            Request::Quit => Some(Reply::Bye),
        };
        reply.map_or(Outcome::Retry, Outcome::Done)
    }

    /// Without configured tokens the service accepts any, so a client may always send its own.
    fn authenticate(&self, token: &str, peer: &mut Peer) -> Reply {
        let Some(tokens) = &self.tokens else {
            return Reply::Ok;
        };
        let number = tokens.accept(token);
        if number.is_none() {
            debug!("{}: authentication failed", peer.address);
            return Reply::Refused(Refusal::AuthenticationFailed);
        }
        peer.token = number;
        Reply::Ok
    }

    /// Makes the peer a watcher.
    fn watch(&mut self, service_type: Option<&ServiceType<'_>>, peer: &mut Peer) -> Outcome {
        let service_type = service_type.map(ServiceType::as_str);
        self.watchers.add(peer.session, service_type);
        peer.watches = true;
        self.begin_snapshot(peer.session);
        Outcome::Parts
    }

    /// Begins the snapshot of a watcher.
    fn begin_snapshot(&mut self, session: usize) {
        if let Some(watched) = self.watchers.watched(session).cloned() {
            self.begin_stream(What::Snapshot(watched), session);
        }
    }
}

impl<S: BuildHasher> Responder for Service<S> {
    /// Retries a request in the next turn when its answer depends on registrations that the sweep has
    /// not reached, or when this turn's budget for long answers is used up. This keeps turns short when
    /// a million entries expire at once, or when many clients query a large type that keeps changing.
    fn apply(&mut self, request: &Request<'_>, peer: &mut Peer) -> Outcome {
        let outcome = self.apply_any(request, peer);
        match &outcome {
            Outcome::Retry | Outcome::Blocked { .. } => return outcome,
            Outcome::Done(Reply::Refused(_)) => self.counts.errors += 1,
            Outcome::Done(_) | Outcome::Parked { .. } | Outcome::Parts => {}
        }
        // Queries of DNS are no commands, and are counted where they are answered.
        if !matches!(request, Request::Resolve { .. }) {
            self.counts.commands.add(request.verb());
        }
        outcome
    }

    #[inline]
    fn hear(&mut self, heartbeats: &Heartbeats, peer: &Peer) -> usize {
        if peer.watches || !self.admits(peer) {
            return 0;
        }
        let heard = self.hear_all(heartbeats);
        self.counts.commands.add_many(Verb::Heartbeat, heard as u64);
        heard
    }

    #[inline]
    fn answer_at_once(&mut self, request: &Frequent<'_>, peer: &Peer) -> Option<Reply> {
        if peer.watches || !self.admits(peer) {
            return None;
        }
        let reply = match request {
            Frequent::Query(service_type) => Reply::Services(self.kept_answer(service_type)?),
            Frequent::Register(offer) => self.register_plainly(offer, peer)?,
        };
        self.counts.commands.add(request.verb());
        Some(reply)
    }

    /// A peer that is not authenticated learns nothing from a malformed command.
    fn refuse(&mut self, refusal: Refusal, peer: &Peer) -> Reply {
        if matches!(refusal, Refusal::Dns(_)) {
            return Reply::Refused(refusal);
        }
        self.counts.errors += 1;
        let told =
            refusal.close_reason().is_some() || refusal.is_told_to_strangers() || self.admits(peer);
        Reply::Refused(if told {
            refusal
        } else {
            Refusal::AuthenticationRequired
        })
    }
}
