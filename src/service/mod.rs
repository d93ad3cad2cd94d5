//! The verbs: what each request does to the registry and what it is answered.
//!
//! Owns the registry, the source of UUIDs and the answers kept for the next asker. Knows no bytes
//! of a format, no socket and no clock.

mod answers;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use log::debug;
use uuid::Uuid;

use crate::limits::{TURN_BUILD_LEN_MAX, TURN_SWEEP_MAX};
use crate::message::{Refusal, Reply, Request, ServiceAddress, ServiceType, Services};
use crate::registry::{RegisterError, Registration, Registry};
use crate::time::Moment;
use crate::tokens::Tokens;

use answers::Answers;

/// Who asks: one connection, and what the service knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The connection's key: no other connection has it as long as this one is open.
    pub connection: usize,
    /// The address that the connection comes from.
    pub ip: IpAddr,
    /// Whether the connection has shown a token of the service.
    pub authenticated: bool,
}

impl Caller {
    /// The caller on a new connection.
    #[must_use]
    pub fn new(connection: usize, ip: IpAddr) -> Self {
        Caller { connection, ip, authenticated: false }
    }
}

/// What the connections need of a service.
pub trait Handler {
    /// Starts a turn at `now`, and does the bounded work that needs no request.
    fn begin_turn(&mut self, now: Moment);

    /// Runs one request at the moment of the last [`begin_turn`](Self::begin_turn).
    ///
    /// `None` means not yet: nothing has changed, and the request is to be tried again in the next
    /// turn.
    fn apply(&mut self, request: &Request<'_>, caller: &mut Caller, now: Moment) -> Option<Reply>;

    /// Whether the caller has shown what it must show before it may make requests.
    fn admits(&self, caller: &Caller) -> bool;

    /// Whether the next turn has work that needs no request.
    fn has_backlog(&self) -> bool;

    /// Whether anything ages, so that the loop must wake once a tick.
    fn needs_ticks(&self) -> bool;
}

/// Where new UUIDs come from. They are capabilities, so they must be unpredictable.
pub type UuidSource = Box<dyn FnMut() -> Uuid>;

/// The registry behind its verbs.
pub struct Service<S = RandomState> {
    registry: Registry<S>,
    answers: Answers,
    uuids: UuidSource,
    ttl: Duration,
    tokens: Option<Tokens>,
    /// Whether everything that had expired by this turn's moment is swept.
    swept: bool,
    /// Bytes of answers that may still be built in this turn.
    build_len_left: usize,
}

impl<S: BuildHasher> Service<S> {
    /// A service over `registry` whose registrations live for `ttl` without a heartbeat.
    pub fn new(registry: Registry<S>, uuids: UuidSource, ttl: Duration) -> Self {
        Service {
            registry,
            answers: Answers::default(),
            uuids,
            ttl,
            tokens: None,
            swept: true,
            build_len_left: TURN_BUILD_LEN_MAX,
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

    /// Without tokens every token is as good as none, so a client may always send its own.
    fn authenticate(&self, token: &str, caller: &mut Caller) -> Reply {
        if self.tokens.as_ref().is_none_or(|tokens| tokens.accept(token)) {
            caller.authenticated = true;
            Reply::Ok
        } else {
            debug!("{}: authentication failed", caller.ip);
            Reply::Refused(Refusal::AuthenticationFailed)
        }
    }

    fn register(
        &mut self,
        service_type: &ServiceType<'_>,
        address: ServiceAddress,
        caller: &Caller,
        now: Moment,
    ) -> Option<Reply> {
        loop {
            let uuid = (self.uuids)();
            let registration = Registration { uuid, service_type: service_type.as_str(), address, ttl: self.ttl };
            return match self.registry.register(now, registration) {
                Ok(()) => {
                    let ServiceAddress { ip, port } = address;
                    // A UUID is the right to change a registration: the log gets a part of it.
                    let part = uuid.as_fields().0;
                    debug!("{}: registered {:?} at {ip} {port} as {part:08x}…", caller.ip, service_type.as_str());
                    Some(Reply::Registered(uuid))
                }
                // Room may come from what has expired.
                Err(RegisterError::Full) if !self.swept => None,
                Err(RegisterError::Full) => Some(Reply::Refused(Refusal::RegistryFull)),
                Err(RegisterError::UuidTaken) => continue,
            };
        }
    }

    fn query(&mut self, service_type: &ServiceType<'_>) -> Option<Reply> {
        if !self.swept {
            return None;
        }
        let Some(view) = self.registry.service_type(service_type.as_str()) else {
            return Some(Reply::Services(self.answers.none()));
        };
        if let Some(services) = self.answers.get(view.slot(), view.version()) {
            return Some(Reply::Services(services));
        }
        if self.build_len_left == 0 {
            return None;
        }
        let services = Rc::new(Services::new(view.addresses()));
        self.build_len_left = self.build_len_left.saturating_sub(services.array().len());
        self.answers.keep(view.slot(), view.version(), &services);
        Some(Reply::Services(services))
    }
}

impl<S: BuildHasher> Handler for Service<S> {
    /// Sweeps a bounded slice of what has expired.
    fn begin_turn(&mut self, now: Moment) {
        let sweep = self.registry.sweep(now, TURN_SWEEP_MAX);
        self.swept = sweep.caught_up;
        self.build_len_left = TURN_BUILD_LEN_MAX;
        if sweep.expired > 0 {
            debug!("{} registrations expired", sweep.expired);
        }
        if self.registry.is_empty() {
            self.answers.clear();
        }
    }

    /// `None` when the answer depends on registrations that the sweep has not reached, or this turn
    /// has built its share of long answers. So neither a million entries that expire at once nor a
    /// flood of queries for a large type that keeps changing make a turn long.
    fn apply(&mut self, request: &Request<'_>, caller: &mut Caller, now: Moment) -> Option<Reply> {
        match request {
            Request::Auth { token } => Some(self.authenticate(token, caller)),
            _ if !self.admits(caller) => Some(Reply::Refused(Refusal::AuthenticationRequired)),
            Request::Register { service_type, address } => self.register(service_type, *address, caller, now),
            Request::Heartbeat { uuid } => {
                let live = uuid.is_some_and(|uuid| self.registry.heartbeat(now, &uuid));
                Some(if live { Reply::Ok } else { Reply::NotFound })
            }
            Request::Query { service_type } => self.query(service_type),
        }
    }

    fn admits(&self, caller: &Caller) -> bool {
        self.tokens.is_none() || caller.authenticated
    }

    fn has_backlog(&self) -> bool {
        !self.swept
    }

    fn needs_ticks(&self) -> bool {
        !self.registry.is_empty()
    }
}
