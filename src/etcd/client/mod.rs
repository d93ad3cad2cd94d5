//! The client: three conversations with a cluster of etcd.
//!
//! - The *watch* is one stream of all changes below a prefix.
//! - *Calls* are sent one at a time, so that their order is kept.
//! - *Leases* are prolonged apart, for a call may hang for longer than a lease lasts.
//!
//! The client reaches a member, asks for its version, reads one key from a quorum, loads all keys
//! at one revision, and watches from the next. When anything fails it is *away*, goes to the next
//! member after a pause, and goes on from the last change that it was told.

mod calls;
mod conversation;
mod leases;
mod members;
mod phases;
mod report;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::VecDeque;
use std::net::SocketAddr;

use calls::Calls;
use conversation::{Conversation, Garbled};
use leases::Leases;
pub use members::Member;
use members::Members;
pub use report::{Cause, Report, Trouble};
use watch::Watch;

use super::answers::{Event, Header, KeyValue};
use super::messages::{Answer, Call, Envelope, Order, prolong};
use super::pauses::Pauses;
pub use super::pauses::Random;
use crate::message::{LinkCommand, LinkEnd, LinkEvent};
use crate::time::Moment;

/// Links that a client uses: their numbers are below.
pub const LINKS: usize = 3;
const WATCH: usize = 0;
const CALLS: usize = 1;
const LEASES: usize = 2;

/// What a client is for.
pub struct Config {
    /// The members of etcd that may be asked; at least one.
    pub members: Vec<Member>,
    /// The first of the keys that are loaded and watched.
    pub from: Vec<u8>,
    /// The key behind the last of them.
    pub end: Vec<u8>,
    /// The key that is read from a quorum whenever a member was reached.
    pub checked_key: Vec<u8>,
    /// Who asks, where etcd wants to know.
    pub user: Option<User>,
}

/// A user of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// A client of etcd. Whoever uses it passes on the events of the links `0..`[`LINKS`], calls
/// [`look`](Self::look) when the time has come, and takes the commands and the reports after each
/// of both.
pub struct Client {
    config: Config,
    random: Random,
    members: Members,
    pauses: Pauses,
    phase: Phase,
    /// The version of the member.
    version: String,
    token: Option<String>,
    /// When a token may be asked for again.
    token_after: Moment,
    /// The cluster, with the latest term and revision that were seen.
    history: Option<Header>,
    /// The revision from which the watch goes on; `None` before all keys were loaded.
    resume: Option<u64>,
    /// The watch began at a revision before the last one seen: its member lags, or etcd was
    /// restored.
    is_in_doubt: bool,
    calls: Calls,
    watch: Watch,
    leases: Leases,
    /// The checked key, as it was read.
    checked: Option<KeyValue>,
    /// What is called and not yet answered.
    call: Option<Call>,
    /// Whether its writes are asked for one by one: a guard of them has failed.
    is_apart: bool,
    commands: VecDeque<LinkCommand>,
    reports: VecDeque<Report>,
}

/// How far the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits until it tries again.
    Away {
        until: Moment,
    },
    Connecting,
    /// It asks for the version.
    Version,
    /// It reads the checked key.
    Check,
    Load(Load),
    Watch,
}

/// Pages of all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Load {
    /// The first key of the next page.
    from: Vec<u8>,
    /// The revision of all pages, which the first one tells; 0 before.
    revision: u64,
    /// Whether the page that is being read has no key yet.
    is_empty: bool,
    /// The order of the keys; `None` before they are counted.
    order: Option<Order>,
}

impl Client {
    /// A client that begins when it first [looks](Self::look).
    #[must_use]
    pub fn new(config: Config, mut random: Random) -> Self {
        let members = Members::new(config.members.clone(), &mut random);
        Client {
            config,
            random,
            members: members.clone(),
            pauses: Pauses::default(),
            phase: Phase::Away {
                until: Moment::START,
            },
            version: String::new(),
            token: None,
            token_after: Moment::START,
            history: None,
            resume: None,
            is_in_doubt: false,
            calls: Calls::new(CALLS),
            watch: Watch::new(WATCH),
            leases: Leases::new(LEASES, members),
            checked: None,
            call: None,
            is_apart: false,
            commands: VecDeque::new(),
            reports: VecDeque::new(),
        }
    }

    /// The next command to a link.
    pub fn next_command(&mut self) -> Option<LinkCommand> {
        self.commands.pop_front()
    }

    /// What has happened next. There are as many as the input of one event can tell. A deletion waits for
    /// what stands behind it in its line: what takes its place is told together with it.
    pub fn next_report(&mut self) -> Option<Report> {
        let is_deletion = |report| matches!(report, &Report::Changed(Event::Delete(_)));
        let is_last = |reports: &VecDeque<Report>| !reports.iter().skip(1).any(Report::is_of_watch);
        if self.reports.front().is_some_and(is_deletion) && is_last(&self.reports) {
            return None;
        }
        self.reports.pop_front()
    }

    /// What was put at this revision, if it is what the watch tells next.
    #[must_use]
    pub fn put_next(&self, revision: u64) -> Option<&KeyValue> {
        let next = self.reports.iter().find(|report| report.is_of_watch());
        match next {
            Some(Report::Changed(Event::Put(pair))) if pair.mod_revision == revision => Some(pair),
            _ => None,
        }
    }

    /// Whether a call is taken and not answered.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.call.is_some()
    }

    /// Takes a call, which is answered by [`Report::Answered`]; it is sent when the client watches.
    /// One call is taken at a time.
    pub fn call(&mut self, call: Call, now: Moment) {
        debug_assert!(!self.is_busy());
        (self.call, self.is_apart) = (Some(call), false);
        self.ask_next(now);
    }

    /// Asks as this user from now on, when a token is next needed.
    pub fn set_user(&mut self, user: User) {
        self.config.user = Some(user);
    }

    /// Prolongs this lease of so many seconds from now on.
    pub fn keep(&mut self, lease: i64, ttl_s: u64, now: Moment) {
        self.leases.add(lease, ttl_s, now);
    }

    /// Prolongs this lease no more.
    pub fn let_go(&mut self, lease: i64) {
        self.leases.remove(lease);
    }

    /// When the client must look next.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let phase = match self.phase {
            Phase::Away { until } => Some(until),
            _ if self.wants_token() && self.calls.is_idle() => Some(self.token_after),
            _ => None,
        };
        let others = [
            self.calls.next_due(),
            self.watch.next_due(),
            self.leases.next_due(),
        ];
        others.into_iter().chain([phase]).flatten().min()
    }

    /// Does what is due.
    pub fn look(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Away { until } if until <= now) {
            self.phase = Phase::Connecting;
            let address = self.members.current().address;
            self.commands
                .push_back(self.calls.conversation.open(address));
        }
        if self.calls.next_due().is_some_and(|due| due <= now) {
            self.fail(Cause::Late, now);
        }
        match self.watch.look(now) {
            Ok(command) => self.commands.extend(command),
            Err(cause) => self.fail(cause, now),
        }
        self.ask_next(now);
        self.look_after_leases(now);
    }

    /// Takes an event of one of the links.
    pub fn link_event(&mut self, link: usize, event: LinkEvent<'_>, now: Moment) {
        match (link, event) {
            (CALLS, LinkEvent::Opened) => {
                self.calls.conversation.on_opened();
                self.phase = Phase::Version;
                self.ask_next(now);
            }
            (WATCH, LinkEvent::Opened) => self.begin_watch(now),
            (LEASES, LinkEvent::Opened) => {
                self.leases.conversation.on_opened();
                self.look_after_leases(now);
            }
            (CALLS, LinkEvent::Received(bytes)) => self.hear_calls(bytes, now),
            (WATCH, LinkEvent::Received(bytes)) => self.hear_watch(bytes, now),
            (LEASES, LinkEvent::Received(bytes)) => self.hear_leases(bytes, now),
            (LEASES, LinkEvent::Closed(_)) => {
                self.leases.conversation.on_closed();
                self.fail_leases(now);
            }
            (CALLS, LinkEvent::Closed(end)) => {
                self.calls.conversation.on_closed();
                self.fail(end.into(), now);
            }
            (WATCH, LinkEvent::Closed(end)) => {
                self.watch.conversation.on_closed();
                self.fail(end.into(), now);
            }
            (_, LinkEvent::Sent | _) => {}
        }
    }

    /// Bytes of memory for what is held of answers.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        let watch_and_calls = [&self.watch.conversation, &self.calls.conversation];
        let all = watch_and_calls
            .into_iter()
            .chain([&self.leases.conversation]);
        all.map(Conversation::memory_len).sum()
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            host: &self.members.current().host,
            token: self.token.as_deref(),
        }
    }

    fn member(&self) -> SocketAddr {
        self.members.current().address
    }

    fn wants_token(&self) -> bool {
        self.config.user.is_some() && self.token.is_none()
    }

    /// Goes away, and to the next member after a pause.
    fn fail(&mut self, cause: Cause, now: Moment) {
        if watch::needs_token(&cause) {
            self.token = None;
        }
        let member = self.member();
        self.commands.extend(self.calls.close());
        self.commands.extend(self.watch.conversation.close());
        if self.call.take().is_some() {
            self.reports.push_back(Report::Answered(Answer::Unknown));
        }
        self.members.advance();
        let until = now.plus_millis(self.pauses.next_ms(&mut self.random));
        self.phase = Phase::Away { until };
        self.reports
            .push_back(Report::Away(Trouble { member, cause }));
    }

    fn fail_as_garbled(&mut self, garbled: Garbled, now: Moment) {
        self.fail(garbled.into(), now);
    }

    fn look_after_leases(&mut self, now: Moment) {
        if self.leases.is_late(now) {
            self.fail_leases(now);
        }
        if !self.leases.is_due(now) {
            return;
        }
        let member = self.leases.members.current();
        let command = if self.leases.conversation.is_closed() {
            let address = member.address;
            self.leases.conversation.open(address)
        } else {
            let envelope = Envelope {
                host: &member.host,
                token: self.token.as_deref(),
            };
            let request = envelope.post("/v3/lease/keepalive", &prolong(self.leases.ids()));
            self.leases.on_asked(now);
            self.leases.conversation.send(request)
        };
        self.commands.push_back(command);
    }

    fn fail_leases(&mut self, now: Moment) {
        let command = self.leases.fail(now, &mut self.random);
        self.commands.extend(command);
    }

    fn hear_leases(&mut self, mut input: &[u8], now: Moment) {
        let cluster_id = self.history.map(|history| history.cluster_id);
        loop {
            match self.leases.hear(&mut input, cluster_id, now) {
                Ok(Some(report)) => self.reports.extend(report),
                Ok(None) => return,
                Err(_) => return self.fail_leases(now),
            }
        }
    }
}

impl From<LinkEnd> for Cause {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Ended => Cause::Ended,
            LinkEnd::TimedOut => Cause::Late,
            LinkEnd::Failed(error) => Cause::Unreachable(error.to_string()),
        }
    }
}

impl From<Garbled> for Cause {
    fn from(garbled: Garbled) -> Self {
        match garbled.status {
            // What Go's server says to who does not speak TLS, and where there is no such path.
            400 => Cause::Tls,
            404 => Cause::NoGateway,
            status => Cause::Garbled(status, garbled.reason),
        }
    }
}
