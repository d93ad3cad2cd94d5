//! What the client does in each of its phases.

use super::calls::{Asked, Told};
use super::watch::Told as Watched;
use super::{Answer, Call, Cause, Client, Load, Phase, Report};
use crate::etcd::answers::{Document, Header, KeyValue};
use crate::etcd::failure::FailureKind;
use crate::etcd::messages::{self, Order};
use crate::etcd::pauses::Pauses;
use crate::limits::{ETCD_PAGE_KEYS, ETCD_TOKENS_APART_MS};
use crate::time::Moment;

impl Client {
    /// Sends the request that the phase needs next, where none is under way.
    pub(super) fn ask_next(&mut self, now: Moment) {
        if !self.calls.is_idle() {
            return;
        }
        let asked = match &self.phase {
            Phase::Away { .. } | Phase::Connecting => return,
            Phase::Version => Asked::Version,
            _ if self.wants_token() && now < self.token_after => return,
            _ if self.wants_token() => Asked::Token,
            Phase::Check => Asked::Check,
            Phase::Load(Load { order: None, .. }) => Asked::Size,
            Phase::Load(_) => Asked::Page,
            Phase::Watch if self.is_in_doubt => Asked::Check,
            Phase::Watch if self.call.is_some() && self.is_apart => Asked::Apart,
            Phase::Watch if self.call.is_some() => Asked::Call,
            Phase::Watch => return,
        };
        if asked == Asked::Token {
            let apart_ms = ETCD_TOKENS_APART_MS + (self.random)() % ETCD_TOKENS_APART_MS;
            self.token_after = now.plus_millis(apart_ms);
        }
        self.checked = None;
        let request = self.request(asked);
        let command = self.calls.ask(asked, request, now);
        self.commands.push_back(command);
    }

    fn request(&self, asked: Asked) -> Vec<u8> {
        let envelope = self.envelope();
        match asked {
            Asked::Version => envelope.version(),
            Asked::Token => {
                let user = self.config.user.as_ref();
                let (name, password) = user.map_or(("", ""), |user| (&user.name, &user.password));
                let body = messages::authenticate(name, password);
                envelope.post("/v3/auth/authenticate", &body)
            }
            Asked::Check => {
                let body = messages::single(&self.config.checked_key);
                envelope.post("/v3/kv/range", &body)
            }
            Asked::Size => {
                let body = messages::count(&self.config.from, &self.config.end, 0);
                envelope.post("/v3/kv/range", &body.to_string())
            }
            Asked::Page => {
                let (from, revision, order) = match &self.phase {
                    Phase::Load(load) => (&load.from, load.revision, load.order),
                    _ => (&self.config.from, 0, None),
                };
                let order = order.unwrap_or(Order::Key);
                let body = messages::page(from, &self.config.end, revision, order);
                envelope.post("/v3/kv/range", &body)
            }
            Asked::Call => {
                let (path, body) = self.call.as_ref().map(Call::request).unwrap_or_default();
                envelope.post(path, &body)
            }
            Asked::Apart => {
                let apart = self.call.as_ref().and_then(Call::apart);
                let (path, body) = apart.unwrap_or_default();
                envelope.post(path, &body)
            }
        }
    }

    pub(super) fn hear_calls(&mut self, mut input: &[u8], now: Moment) {
        self.calls.on_bytes(now);
        while !self.calls.conversation.is_closed() {
            match self.calls.hear(&mut input) {
                Ok(None) => return,
                Ok(Some(Told::LeftOut)) => self.reports.push_back(Report::LeftOut),
                Ok(Some(Told::Key(Asked::Page, pair))) => self.on_loaded(pair),
                Ok(Some(Told::Key(_, pair))) => self.checked = Some(pair),
                Ok(Some(Told::Whole(asked, Ok(document)))) => {
                    self.on_answer(asked, document, now);
                    self.ask_next(now);
                }
                Ok(Some(Told::Whole(asked, Err(cause)))) => {
                    self.on_failure(asked, cause, now);
                    self.ask_next(now);
                }
                Err(garbled) => self.fail_as_garbled(garbled, now),
            }
        }
    }

    fn on_loaded(&mut self, pair: KeyValue) {
        if let Phase::Load(load) = &mut self.phase {
            load.from.clone_from(&pair.key);
            load.from.push(0);
            load.is_empty = false;
            self.reports.push_back(Report::Loaded(pair));
        }
    }

    fn on_answer(&mut self, asked: Asked, document: Document, now: Moment) {
        match asked {
            Asked::Version if is_recent(&document.version) => {
                self.version = document.version;
                self.phase = Phase::Check;
            }
            Asked::Version => self.fail(Cause::Version(document.version), now),
            Asked::Token => self.token = Some(document.token),
            Asked::Check => self.on_checked(document.header),
            Asked::Size => self.on_size(document.count),
            Asked::Page => self.on_page(&document, now),
            Asked::Call if self.has_failed_together(&document) => self.is_apart = true,
            Asked::Call | Asked::Apart => self.on_called(&document, now),
        }
    }

    fn on_checked(&mut self, header: Header) {
        let checked = self.checked.take();
        if self.phase == Phase::Check {
            self.reports.push_back(Report::Reached {
                member: self.member(),
                version: self.version.clone(),
                revision: header.revision,
                checked,
            });
        }
        self.is_in_doubt = false;
        let is_other = self.history.is_some_and(|seen| {
            header.cluster_id != seen.cluster_id
                || header.raft_term < seen.raft_term
                || header.revision < seen.revision
        });
        self.history = Some(header);
        if is_other {
            self.reports.push_back(Report::OtherHistory);
            self.resume = None;
        }
        if self.resume.is_none() {
            self.load();
        } else if self.phase == Phase::Check {
            self.open_watch();
        }
    }

    /// Loads all keys anew.
    fn load(&mut self) {
        self.commands.extend(self.watch.conversation.close());
        self.resume = None;
        self.phase = Phase::Load(Load {
            from: self.config.from.clone(),
            revision: 0,
            is_empty: true,
            order: None,
        });
        self.reports.push_back(Report::LoadBegins);
    }

    /// What fits into one page comes by its age. etcd sorts so only what it has read whole, so more comes
    /// by its keys, page by page.
    fn on_size(&mut self, count: u64) {
        if let Phase::Load(load) = &mut self.phase {
            load.order = Some(if count <= ETCD_PAGE_KEYS as u64 {
                Order::Age
            } else {
                Order::Key
            });
        }
    }

    fn on_page(&mut self, document: &Document, now: Moment) {
        let Phase::Load(load) = &mut self.phase else {
            return;
        };
        if load.revision == 0 {
            load.revision = document.header.revision;
        }
        let (revision, is_empty) = (load.revision, load.is_empty);
        load.is_empty = true;
        if document.more && load.order == Some(Order::Age) {
            // There are more than were counted.
            self.load();
        } else if document.more && is_empty {
            self.fail(
                Cause::Garbled(200, "a page without a key is not the last"),
                now,
            );
        } else if !document.more {
            self.saw(revision);
            self.resume = Some(revision + 1);
            self.reports.push_back(Report::LoadEnds(revision));
            self.open_watch();
        }
    }

    /// Whether a guard of several writes has failed, so that none was applied.
    fn has_failed_together(&self, document: &Document) -> bool {
        matches!(self.call, Some(Call::Apply(_))) && !document.succeeded
    }

    fn on_called(&mut self, document: &Document, now: Moment) {
        let outcomes = self.calls.outcomes();
        let mut is_amiss = false;
        let answer = match &self.call {
            None => return,
            Some(Call::Apply(writes)) if writes.len() != outcomes.len() => {
                let cause = Cause::Garbled(200, "there are fewer answers than writes");
                return self.fail(cause, now);
            }
            Some(Call::Apply(_)) => Answer::Applied(document.header.revision, outcomes),
            Some(Call::Remove(_)) => Answer::Removed(document.header.revision),
            Some(Call::Grant(_)) => Answer::Granted(document.lease, document.ttl),
            Some(Call::Revoke(_)) => Answer::Revoked,
            Some(Call::Count(count)) => {
                is_amiss = document.count != count.expected;
                Answer::Counted(document.count)
            }
        };
        self.call = None;
        self.saw(document.header.revision);
        self.reports.push_back(Report::Answered(answer));
        if is_amiss {
            self.load();
        }
    }

    fn on_failure(&mut self, asked: Asked, cause: Cause, now: Moment) {
        let Cause::Failed(failure) = cause else {
            return self.fail(cause, now);
        };
        match (asked, failure.kind()) {
            (_, FailureKind::Credentials) if asked != Asked::Token && self.token.is_some() => {
                self.token = None;
            }
            (Asked::Page, FailureKind::Compacted) => self.load(),
            (_, FailureKind::Unavailable) => self.fail(Cause::Failed(failure), now),
            (Asked::Call | Asked::Apart, _) => {
                self.call = None;
                self.reports
                    .push_back(Report::Answered(Answer::Failed(failure)));
            }
            _ => self.fail(Cause::Failed(failure), now),
        }
    }

    fn open_watch(&mut self) {
        self.phase = Phase::Watch;
        let address = self.member();
        self.commands
            .push_back(self.watch.conversation.open(address));
    }

    pub(super) fn begin_watch(&mut self, now: Moment) {
        self.watch.conversation.on_opened();
        self.watch.begin(now);
        let revision = self.resume.unwrap_or_default();
        let body = messages::watch(&self.config.from, &self.config.end, revision);
        let request = self.envelope().open("/v3/watch", &body);
        self.commands
            .push_back(self.watch.conversation.send(request));
    }

    pub(super) fn hear_watch(&mut self, mut input: &[u8], now: Moment) {
        self.watch.on_bytes(now);
        while !self.watch.conversation.is_closed() {
            match self.watch.hear(&mut input) {
                Ok(None) => return,
                Ok(Some(told)) => self.on_watched(told, now),
                Err(garbled) => self.fail_as_garbled(garbled, now),
            }
        }
    }

    fn on_watched(&mut self, told: Watched, now: Moment) {
        match told {
            Watched::Change(event) => self.reports.push_back(Report::Changed(event)),
            Watched::LeftOut => self.reports.push_back(Report::LeftOut),
            Watched::Alive => {}
            Watched::Created(header) => {
                self.pauses = Pauses::default();
                self.is_in_doubt = self.resume.is_some_and(|next| header.revision + 1 < next);
                self.reports.push_back(Report::Watching);
                self.ask_next(now);
            }
            Watched::LineEnds(revision) => {
                self.saw(revision);
                self.resume = Some(revision + 1);
                self.reports.push_back(Report::LineEnds(revision));
            }
            Watched::Compacted => {
                self.load();
                self.ask_next(now);
            }
            Watched::Over(cause) => self.fail(cause, now),
        }
    }

    fn saw(&mut self, revision: u64) {
        if let Some(history) = &mut self.history {
            history.revision = history.revision.max(revision);
        }
    }
}

/// Whether the version is 3.4 or later.
fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    matches!(
        (numbers.next(), numbers.next()),
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (3, 4)
    )
}
