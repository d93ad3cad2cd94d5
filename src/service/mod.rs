//! The verbs: what each request does to the registry and what it is answered.
//!
//! Owns the registry, the source of UUIDs, the answers kept for the next asker, and who holds and
//! who watches. Knows no bytes of a format, no socket and no clock.

mod answers;
mod departures;
mod handler;
mod holds;
mod notices;
mod report;
mod watchers;

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use log::debug;
use uuid::Uuid;

use crate::auth::Tokens;
use crate::limits::{RECORD_LEN, TURN_BUILD_LEN_MAX, TURN_REMOVALS_MAX, TURN_SWEEP_MAX};
use crate::message::{
    Change, ChangeKind, Gone, Offer, Reason, Refusal, Reply, Request, ServiceType, Services, Ttl,
    Update,
};
use crate::registry::{Heartbeat, RegisterError, Registration, Registry};
use crate::time::Moment;

use answers::Answers;
use departures::Departures;
pub use handler::{Handler, Meter, Peer, Turn};
use holds::Holds;
use notices::Notices;
use report::Counts;
use watchers::Watchers;

/// Where new UUIDs come from. They are capabilities, so they must be unpredictable.
pub type UuidSource = Box<dyn FnMut() -> Uuid>;

/// The registry behind its verbs.
pub struct Service<S = RandomState> {
    registry: Registry<S>,
    answers: Answers,
    departures: Departures,
    holds: Holds,
    watchers: Watchers,
    counts: Counts,
    notices: Notices,
    uuids: UuidSource,
    ttl: Duration,
    tokens: Option<Tokens>,
    turn: Turn,
    /// How many of this turn's changes are noted in `holds` and `departures`.
    noted: usize,
    /// Whether everything that had expired by this turn's moment is swept.
    swept: bool,
    /// Bytes of answers that may still be built in this turn.
    build_len_left: usize,
    /// Registrations that may still be removed in this turn, beside those that have expired.
    removals_left: usize,
}

impl<S: BuildHasher> Service<S> {
    /// A service over `registry` whose registrations live for `ttl` without a heartbeat.
    pub fn new(registry: Registry<S>, uuids: UuidSource, ttl: Duration) -> Self {
        Service {
            registry,
            answers: Answers::default(),
            departures: Departures::default(),
            holds: Holds::default(),
            watchers: Watchers::default(),
            counts: Counts::default(),
            notices: Notices::default(),
            uuids,
            ttl,
            tokens: None,
            turn: Turn::default(),
            noted: 0,
            swept: true,
            build_len_left: TURN_BUILD_LEN_MAX,
            removals_left: TURN_REMOVALS_MAX,
        }
    }

    /// Sets the tokens of which connections must show one; those that have shown one stay admitted.
    pub fn set_tokens(&mut self, tokens: Tokens) {
        self.tokens = Some(tokens);
    }

    /// The registry behind the verbs.
    #[must_use]
    pub fn registry(&self) -> &Registry<S> {
        &self.registry
    }

    fn admits(&self, peer: &Peer) -> bool {
        self.tokens.is_none() || peer.authenticated
    }

    /// Whether the registry holds what it should and nothing else.
    fn is_settled(&self) -> bool {
        self.swept && !self.holds.are_leaving()
    }

    #[inline]
    fn heartbeat(&mut self, uuid: Option<&Uuid>) -> Reply {
        match uuid.map(|uuid| (uuid, self.registry.heartbeat(self.turn.now, uuid))) {
            Some((_, Heartbeat::InTime)) => Reply::Ok,
            Some((uuid, Heartbeat::Late)) => {
                self.warn_of_late_heartbeat(uuid);
                Reply::Ok
            }
            Some((_, Heartbeat::Unknown)) | None => Reply::NotFound,
        }
    }

    /// Runs a request of any peer.
    fn apply_any(&mut self, request: &Request<'_>, peer: &mut Peer) -> Option<Reply> {
        let reply = match request {
            Request::Ping => self.run(request, peer)?,
            Request::Quit if peer.watches => self.run(request, peer)?,
            _ if peer.watches => Reply::Refused(Refusal::Watching),
            Request::Auth { .. } => self.run(request, peer)?,
            _ if !self.admits(peer) => Reply::Refused(Refusal::AuthenticationRequired),
            _ => self.run(request, peer)?,
        };
        Some(reply)
    }

    /// Runs a request of a peer that may make it.
    fn run(&mut self, request: &Request<'_>, peer: &mut Peer) -> Option<Reply> {
        let now = self.turn.now;
        match request {
            Request::Auth { token } => Some(self.authenticate(token, peer)),
            Request::Register {
                offer,
                ttl,
                replace,
            } => self.register(offer, *ttl, *replace, peer),
            Request::Hold { offer } => self.hold(offer, peer),
            Request::Heartbeat { uuid } => Some(self.heartbeat(uuid.as_ref())),
            Request::Revive { uuid, offer, ttl } => self.revive(*uuid, offer, *ttl, peer),
            Request::Deregister { uuid } => {
                let live = uuid
                    .is_some_and(|uuid| self.registry.deregister(now, &uuid, Reason::Deregistered));
                Some(if live { Reply::Ok } else { Reply::NotFound })
            }
            Request::Query {
                service_type,
                max_age,
            } => self.query(service_type, *max_age),
            Request::Types => self.types(),
            Request::List { service_type } => self.list(service_type.as_ref()),
            Request::Why { uuid } => self.why(uuid.as_ref()),
            Request::Watch { service_type } => {
                self.watchers
                    .add(peer.session, service_type.as_ref().map(ServiceType::as_str));
                peer.watches = true;
                Some(Reply::Watching)
            }
            Request::Stats => Some(self.stats()),
            Request::Ping => Some(Reply::Pong),
            Request::Help => Some(Reply::Help),
            Request::Quit => Some(Reply::Bye),
        }
    }

    /// Without tokens every token is as good as none, so a client may always send its own.
    fn authenticate(&self, token: &str, peer: &mut Peer) -> Reply {
        if self
            .tokens
            .as_ref()
            .is_none_or(|tokens| tokens.accept(token))
        {
            peer.authenticated = true;
            Reply::Ok
        } else {
            debug!("{}: authentication failed", peer.ip);
            Reply::Refused(Refusal::AuthenticationFailed)
        }
    }

    fn register(
        &mut self,
        offer: &Offer<'_>,
        ttl: Option<Ttl>,
        replace: bool,
        peer: &Peer,
    ) -> Option<Reply> {
        let address = offer.address(peer.ip);
        let name = offer.service_type.as_str();
        if replace
            && !self
                .registry
                .replace(self.turn.now, name, address, &mut self.removals_left)
        {
            return None;
        }
        self.add(offer, ttl, peer, Registry::register)
    }

    fn hold(&mut self, offer: &Offer<'_>, peer: &mut Peer) -> Option<Reply> {
        self.note_changes();
        if !self.holds.has_room(peer.session) {
            return Some(Reply::Refused(Refusal::TooManyHolds));
        }
        let reply = self.add(offer, None, peer, Registry::hold)?;
        if let Reply::Registered(uuid) = reply {
            self.holds.add(peer.session, uuid);
            peer.holds = true;
        }
        Some(reply)
    }

    fn revive(
        &mut self,
        uuid: Uuid,
        offer: &Offer<'_>,
        ttl: Option<Ttl>,
        peer: &Peer,
    ) -> Option<Reply> {
        if let Reply::Ok = self.heartbeat(Some(&uuid)) {
            return Some(Reply::Ok);
        }
        match self.add_as(uuid, offer, ttl, peer, Registry::register) {
            Ok(()) => Some(Reply::Ok),
            Err(error) => self.not_registered(error),
        }
    }

    /// Adds a registration under a new UUID, with `how`.
    fn add(
        &mut self,
        offer: &Offer<'_>,
        ttl: Option<Ttl>,
        peer: &Peer,
        how: Add<S>,
    ) -> Option<Reply> {
        loop {
            let uuid = (self.uuids)();
            return match self.add_as(uuid, offer, ttl, peer, how) {
                Ok(()) => Some(Reply::Registered(uuid)),
                Err(RegisterError::UuidTaken) => continue,
                Err(error) => self.not_registered(error),
            };
        }
    }

    fn add_as(
        &mut self,
        uuid: Uuid,
        offer: &Offer<'_>,
        ttl: Option<Ttl>,
        peer: &Peer,
        how: Add<S>,
    ) -> Result<(), RegisterError> {
        let (service_type, address) = (offer.service_type.as_str(), offer.address(peer.ip));
        let ttl = ttl.map_or(self.ttl, Ttl::duration);
        how(
            &mut self.registry,
            self.turn.now,
            Registration {
                uuid,
                service_type,
                address,
                ttl,
            },
        )?;
        // A UUID is the right to change a registration: the log gets a part of it.
        let part = uuid.as_fields().0;
        debug!(
            "{}: registered {service_type:?} at {} {} as {part:08x}…",
            peer.ip, address.ip, address.port
        );
        Ok(())
    }

    fn not_registered(&mut self, error: RegisterError) -> Option<Reply> {
        debug_assert_eq!(
            error,
            RegisterError::Full,
            "who is not known has not taken a UUID"
        );
        // Room may come from what has expired or is leaving.
        if !self.is_settled() {
            return None;
        }
        self.notices
            .registry_full(self.turn.now, self.registry.services_max());
        Some(Reply::Refused(Refusal::RegistryFull))
    }

    fn query(&mut self, service_type: &ServiceType<'_>, max_age: Option<Ttl>) -> Option<Reply> {
        if !self.is_settled() {
            return None;
        }
        let Some(view) = self.registry.service_type(service_type.as_str()) else {
            return Some(Reply::Services(self.answers.none()));
        };
        let now = self.turn.now;
        if let Some(max_age) = max_age {
            self.build_len_left = spend(self.build_len_left, view.len() * RECORD_LEN)?;
            let young = view
                .records(now)
                .filter(|record| now.since(record.heartbeat) < max_age.duration());
            let addresses = young.map(|record| record.address).collect();
            return Some(Reply::Services(Rc::new(Services::new(addresses))));
        }
        if let Some(services) = self.answers.get(view.slot(), view.version()) {
            return Some(Reply::Services(services));
        }
        if self.build_len_left == 0 {
            return None;
        }
        let services = Rc::new(Services::new(view.addresses().collect()));
        self.build_len_left = self
            .build_len_left
            .saturating_sub(services.len() * RECORD_LEN);
        self.answers.keep(view.slot(), view.version(), &services);
        Some(Reply::Services(services))
    }

    /// Brings up to date what follows from the changes of this turn: who holds what, and what
    /// `why` knows. Called before either is asked for, and at the end of the turn.
    fn note_changes(&mut self) {
        let Turn { now, wall, .. } = self.turn;
        for change in &self.registry.changes()[self.noted..] {
            if let ChangeKind::Down { reason, at } = change.kind {
                if change.held {
                    self.holds.forget(&change.uuid);
                }
                let gone = Gone {
                    reason,
                    at: wall.at(at, now),
                    last_heartbeat: wall.at(change.heartbeat, now),
                };
                self.departures.note(change.uuid, gone);
            }
        }
        self.noted = self.registry.changes().len();
    }

    fn warn_of_late_heartbeat(&mut self, uuid: &Uuid) {
        let now = self.turn.now;
        if let Some(record) = self.registry.get(now, uuid) {
            self.notices
                .late(now, record.service_type, record.address, record.ttl_ms);
        }
    }

    /// Removes what connections held that have ended.
    fn remove_leaving(&mut self) {
        while self.removals_left > 0
            && let Some(uuid) = self.holds.next_leaving()
        {
            self.removals_left -= 1;
            self.registry
                .deregister(self.turn.now, &uuid, Reason::ConnectionClosed);
        }
    }
}

/// One of the ways to add a registration.
type Add<S> = fn(&mut Registry<S>, Moment, Registration<'_>) -> Result<(), RegisterError>;

/// What is left of a turn's budget after a piece of work, which may pass it if it is the first to;
/// `None` when nothing was left.
fn spend(left: usize, len: usize) -> Option<usize> {
    (left > 0).then(|| left.saturating_sub(len))
}

impl<S: BuildHasher> Handler for Service<S> {
    /// Sweeps a bounded slice of what has expired.
    fn begin_turn(&mut self, turn: Turn) {
        self.turn = turn;
        self.registry.clear_changes();
        self.noted = 0;
        self.build_len_left = TURN_BUILD_LEN_MAX;
        self.removals_left = TURN_REMOVALS_MAX;
        let sweep = self.registry.sweep(turn.now, TURN_SWEEP_MAX);
        self.swept = sweep.caught_up;
        self.counts.expirations += sweep.expired as u64;
        if sweep.expired > 0 {
            debug!("{} registrations expired", sweep.expired);
        }
        self.remove_leaving();
        if self.registry.is_empty() {
            self.answers.clear();
        }
    }

    /// `None` when the answer depends on registrations that the sweep has not reached, or this turn
    /// has built its share of long answers. So neither a million entries that expire at once nor a
    /// flood of queries for a large type that keeps changing make a turn long.
    fn apply(&mut self, request: &Request<'_>, peer: &mut Peer) -> Option<Reply> {
        let reply = match request {
            // Most requests are heartbeats: they take the short way, and change nothing that is told.
            Request::Heartbeat { uuid } if !peer.watches && self.admits(peer) => {
                self.heartbeat(uuid.as_ref())
            }
            _ => self.apply_any(request, peer)?,
        };
        self.counts.commands.add(request.verb());
        self.counts.errors += u64::from(matches!(reply, Reply::Refused(_)));
        Some(reply)
    }

    /// Who may not ask learns nothing from asking wrongly.
    fn refuse(&mut self, refusal: Refusal, peer: &Peer) -> Reply {
        self.counts.errors += 1;
        let told = refusal.ends_connection() || self.admits(peer);
        Reply::Refused(if told {
            refusal
        } else {
            Refusal::AuthenticationRequired
        })
    }

    fn leave(&mut self, peer: &mut Peer) {
        if std::mem::take(&mut peer.watches) {
            self.watchers.remove(peer.session);
        }
        if std::mem::take(&mut peer.holds) {
            self.note_changes();
            self.holds.end(peer.session);
            self.remove_leaving();
        }
    }

    fn publish(&mut self, tell: &mut dyn FnMut(usize, &Update)) {
        self.note_changes();
        self.watchers.forget_snapshots();
        self.watchers
            .publish(self.registry.index(), self.registry.changes(), tell);
    }

    fn snapshot(&mut self, connection: usize) -> Option<Update> {
        if !self.is_settled() {
            return None;
        }
        self.watchers
            .snapshot(connection, &self.registry, &mut self.build_len_left)
    }

    fn keepalive(&mut self) -> Update {
        Update::Keepalive(self.registry.index())
    }

    fn changes(&self) -> &[Change] {
        self.registry.changes()
    }

    fn has_backlog(&self) -> bool {
        !self.is_settled()
    }

    fn needs_ticks(&self) -> bool {
        !self.registry.is_empty()
    }
}
