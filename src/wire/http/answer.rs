//! The answers: each reply as the present request asks for it.

use super::consul;
use super::events::{self, Style};
use super::page::Asset;
use super::response::{Body, Content, Framing, body_start, chunk, index_fields};
use super::route::{Consul, Route};
use super::status::Status;
use super::{Asked, Exchange, Search, State, metrics, targets};
use crate::message::{
    Bytes, Catalog, CloseReason, Document, Form, Id, Names, Part, Peer, Refusal, Rendered, Reply,
    Rows, Update,
};
use crate::wire::json;
use crate::wire::output::Output;

const OK: &[u8] = br#"{"ok":true}"#;
const NOT_FOUND: &[u8] = br#"{"error":"no live registration has this UUID","code":"not_found"}"#;
const NO_KEYS: &[u8] = b"there are no keys here\n";
/// A line of a lease.
const STILL: &[u8] = b"{}\n";

impl Exchange {
    /// Appends the answer to the present request.
    pub(in crate::wire) fn encode(&mut self, reply: &Reply, output: &mut Output) {
        self.end_request();
        let json = Content::Json;
        match reply {
            Reply::Registered(uuid) => self.encode_registered(uuid, Id::of(uuid), output),
            Reply::Adopted(uuid, id) => self.encode_registered(uuid, *id, output),
            Reply::Ok => self.push(Status::Ok, json, OK, output),
            Reply::NotFound => self.push(Status::NotFound, json, NOT_FOUND, output),
            Reply::Services(services) => {
                let body = Body::Shared(json::array(services), 0);
                self.asked.framing.push(Status::Ok, json, &[], body, output);
            }
            Reply::Document(document) => match &**document {
                Document::Metrics(of) => {
                    let text = metrics::text(of);
                    self.push(Status::Ok, Content::Metrics, &text, output);
                }
                document => self.push(Status::Ok, json, &json::document(document), output),
            },
            Reply::Catalog(catalog) => self.encode_catalog(catalog, output),
            Reply::Names(names) => self.encode_names(names, output),
            &Reply::Constant { index } => self.encode_followed_constant(index, output),
            Reply::Pong if self.asked.route == Route::Health => {
                self.push(Status::Ok, Content::Text, b"OK\n", output);
            }
            Reply::Pong => self.push(Status::Ok, json, OK, output),
            Reply::Help => self.encode_constant(output),
            Reply::Refused(refusal) => self.encode_refusal(refusal, output),
            // HTTP has no such request.
            Reply::Endpoints { .. } | Reply::Bye => {}
        }
    }

    /// The next input is that of another request.
    fn end_request(&mut self) {
        if let State::Body(_) = self.state {
            self.state = State::Head(Search::default());
        }
    }

    fn push(&self, status: Status, content: Content, body: &[u8], output: &mut Output) {
        let body = Body::Bytes(body);
        self.asked.framing.push(status, content, &[], body, output);
    }

    /// `{"uuid":"…","id":"…"}`, which begins a lease where the registration is held.
    fn encode_registered(&mut self, uuid: &uuid::Uuid, id: Id, output: &mut Output) {
        let mut buffer = uuid::Uuid::encode_buffer();
        let uuid_digits = uuid.hyphenated().encode_lower(&mut buffer);
        let mut body = Vec::with_capacity(80);
        for part in [
            br#"{"uuid":""#,
            uuid_digits.as_bytes(),
            br#"","id":""#,
            &id.digits(),
            br#""}"#,
        ] {
            body.extend_from_slice(part);
        }
        if self.asked.route != Route::Hold {
            return self.push(Status::Ok, Content::Json, &body, output);
        }
        body.push(b'\n');
        let framing = self.asked.framing;
        framing.push_head(Status::Ok, Content::Lines, &[], None, output);
        framing.push_piece(body, output);
        self.state = State::Stream { is_lease: true };
    }

    fn encode_constant(&self, output: &mut Output) {
        let framing = self.asked.framing;
        match self.asked.route {
            Route::Consul(route) => {
                let body = consul::constant(route, &self.site);
                self.push(Status::Ok, Content::Json, &body, output);
            }
            Route::Watch => {
                framing.push_head(Status::Ok, self.asked.stream_content(), &[], None, output);
            }
            route => {
                let Some(file) = Asset::of(route) else { return };
                let etag = [b"ETag: ", &file.etag[..], b"\r\n"].concat();
                let (status, bytes): (Status, &[u8]) = if self.asked.is_known {
                    (Status::NotModified, b"")
                } else {
                    (Status::Ok, file.bytes)
                };
                let body = Body::Bytes(bytes);
                framing.push(status, file.content, &[&etag], body, output);
            }
        }
    }

    /// The one node, or that there are no keys.
    fn encode_followed_constant(&self, index: u64, output: &mut Output) {
        let nodes;
        let (status, content, body) = match self.asked.route {
            Route::Consul(route @ Consul::Nodes) => {
                nodes = if self.asked.shows_none {
                    self.asked.whole(|_| ())
                } else {
                    consul::constant(route, &self.site)
                };
                (Status::Ok, Content::Json, &nodes[..])
            }
            _ => (Status::NotFound, Content::Text, NO_KEYS),
        };
        let (fields, body) = (index_fields(index), Body::Bytes(body));
        self.asked
            .framing
            .push(status, content, &[&fields], body, output);
    }

    fn encode_catalog(&self, catalog: &Rendered<Catalog>, output: &mut Output) {
        let form = match self.asked.route {
            Route::Consul(route) => consul::form(route),
            _ => Form::Targets,
        };
        let services = |text: &mut Vec<u8>, of: &Catalog| self.push_services(text, &of.services);
        self.push_followed(catalog, form, catalog.index, services, output);
    }

    fn encode_names(&self, names: &Rendered<Names>, output: &mut Output) {
        let all = |text: &mut Vec<u8>, of: &Names| push_names(text, &of.names);
        self.push_followed(names, Form::ConsulNames, names.index, all, output);
    }

    /// Appends an answer that clients of Consul may follow by its index. Many are sent it at the same time,
    /// so what most of them ask for is rendered with its head, and one write sends it. The others share its
    /// body.
    fn push_followed<T>(
        &self,
        value: &Rendered<T>,
        form: Form,
        index: u64,
        push_entries: impl FnOnce(&mut Vec<u8>, &T),
        output: &mut Output,
    ) {
        let framing = self.asked.framing;
        let fields = self.index_fields(index);
        let push = |framing: Framing, body: Body<'_>, output: &mut Output| {
            framing.push(Status::Ok, Content::Json, &[&fields], body, output);
        };
        if self.asked.shows_none {
            let none = self.asked.whole(|_| ());
            return push(framing, Body::Bytes(&none), output);
        }
        let response = value.render(form, |value| {
            let body = self.asked.whole(|text| push_entries(text, value));
            let mut response = Output::default();
            push(Framing::USUAL, Body::Bytes(&body), &mut response);
            response.take()
        });
        if framing == Framing::USUAL {
            output.push_shared(response);
        } else {
            push(
                framing,
                Body::Shared(response, body_start(response)),
                output,
            );
        }
    }

    fn index_fields(&self, index: u64) -> Vec<u8> {
        match self.asked.route {
            Route::Consul(Consul::AgentServices) | Route::Targets => Vec::new(),
            _ => index_fields(index),
        }
    }

    fn push_services(&self, text: &mut Vec<u8>, services: &[crate::message::Service]) {
        match self.asked.route {
            Route::Consul(route) => consul::push_services(text, route, services, &self.site),
            _ => targets::push_groups(text, services),
        }
    }

    fn encode_refusal(&mut self, refusal: &Refusal, output: &mut Output) {
        if closes(refusal).is_some() {
            self.asked.framing.keep_alive = false;
        }
        let is_consul = self.asked.route.is_consul();
        let status = match Status::of(refusal) {
            // Clients of Consul take the other one for a server that knows no tokens.
            Status::Unauthorized if is_consul => Status::Forbidden,
            status => status,
        };
        let reason = refusal.reason();
        let (content, body) = if is_consul {
            (Content::Text, [reason.as_bytes(), b"\n"].concat())
        } else {
            (Content::Json, error(&reason, refusal.code().name()))
        };
        let allow;
        let field: &[u8] = match (status, refusal) {
            // A browser would ask for a password over the page that asks for a token.
            (Status::Unauthorized, _) if self.asked.is_of_script => {
                b"WWW-Authenticate: Bearer realm=\"discovery\"\r\n"
            }
            (Status::Unauthorized, _) => {
                b"WWW-Authenticate: Basic realm=\"discovery\", charset=\"UTF-8\"\r\n"
            }
            (_, Refusal::Http(crate::message::HttpRefusal::Method(methods))) => {
                allow = [b"Allow: ", methods.join(", ").as_bytes(), b"\r\n"].concat();
                &allow
            }
            _ => b"",
        };
        let body = Body::Bytes(&body);
        self.asked
            .framing
            .push(status, content, &[field], body, output);
    }

    /// Appends a part of an answer. Returns why the session ends after it, if it does.
    pub(in crate::wire) fn encode_part(
        &mut self,
        part: &Part,
        output: &mut Output,
    ) -> Option<CloseReason> {
        self.end_request();
        let framing = self.asked.framing;
        let (open, close) = self.asked.brackets();
        let mut text = Vec::new();
        if part.is_first {
            let fields = match &part.rows {
                Rows::Services { index, .. } | Rows::Names { index, .. } => {
                    self.index_fields(*index)
                }
                _ => Vec::new(),
            };
            framing.push_head(Status::Ok, Content::Json, &[&fields], None, output);
            text.extend_from_slice(open);
        } else if !part.rows.is_empty() && !self.asked.shows_none {
            text.push(b',');
        }
        if !self.asked.shows_none {
            match &part.rows {
                Rows::Services { services, .. } => self.push_services(&mut text, services),
                Rows::Names { names, .. } => push_names(&mut text, names),
                rows => json::push_rows(&mut text, rows),
            }
        }
        if part.is_last {
            text.extend_from_slice(close);
        }
        text.shrink_to_fit();
        framing.push_piece(text, output);
        if part.is_last {
            framing.push_end(output);
        }
        let ends = part.is_last && !framing.keep_alive;
        ends.then_some(CloseReason::Done)
    }

    /// Appends the interim response that asks for the body.
    pub(in crate::wire) fn encode_interim(&mut self, output: &mut Output) {
        output.push(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Begins the answer to a watcher. The time after which a browser comes back after a loss differs
    /// from one to the next, by their ports, so that not all come back at once.
    pub(in crate::wire) fn open_stream(&mut self, peer: &Peer, output: &mut Output) {
        const RETRY_MS_MIN: u32 = 1_000;
        const RETRY_MS_SPREAD: u32 = 4_000;
        let framing = self.asked.framing;
        let content = self.asked.stream_content();
        framing.push_head(Status::Ok, content, &[], None, output);
        if self.asked.style == Style::Events {
            let spread = u32::from(peer.address.port()).wrapping_mul(2_654_435_761) >> 8;
            let retry = RETRY_MS_MIN + spread % RETRY_MS_SPREAD;
            let line = format!("retry: {retry}\n\n").into_bytes();
            framing.push_piece(line, output);
        }
        self.state = State::Stream { is_lease: false };
    }

    /// Ends the answer to a watcher or a holder, where it has begun.
    pub(in crate::wire) fn close_stream(&mut self, output: &mut Output) {
        if let State::Stream { .. } = self.state {
            self.asked.framing.push_end(output);
            // Once.
            self.state = State::Head(Search::default());
        }
    }

    pub(in crate::wire) fn is_lease(&self) -> bool {
        matches!(self.state, State::Stream { is_lease: true })
    }

    /// Calls `take` with each piece of an update.
    pub(in crate::wire) fn render(&self, update: &Update, mut take: impl FnMut(&Bytes)) {
        let is_chunked = self.asked.framing.is_chunked();
        if self.is_lease() {
            let line = if is_chunked {
                chunk(STILL)
            } else {
                STILL.to_vec()
            };
            take(&Bytes::new(line));
        } else {
            events::for_each_piece(update, self.asked.style, is_chunked, take);
        }
    }

    /// Why the session ends after this reply, if it does.
    pub(in crate::wire) fn ends_with(&self, reply: &Reply) -> Option<CloseReason> {
        let refused = match reply {
            Reply::Refused(refusal) => closes(refusal),
            _ => None,
        };
        let goes_on = self.asked.framing.keep_alive || self.is_lease();
        refused.or((!goes_on).then_some(CloseReason::Done))
    }
}

/// Why the connection closes with this refusal, if it does. Otherwise the next request can be found.
fn closes(refusal: &Refusal) -> Option<CloseReason> {
    match refusal {
        Refusal::Http(_) | Refusal::AuthenticationFailed => refusal.close_reason(),
        _ => None,
    }
}

fn error(reason: &str, code: &str) -> Vec<u8> {
    let mut body = br#"{"error":"#.to_vec();
    json::push_string(&mut body, reason);
    body.extend_from_slice(br#","code":""#);
    body.extend_from_slice(code.as_bytes());
    body.extend_from_slice(b"\"}");
    body
}

fn push_names(text: &mut Vec<u8>, names: &[crate::message::Name]) {
    for (position, name) in names.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        consul::push_name(text, name);
    }
}

impl Asked {
    /// What stands around the entries of an answer.
    fn brackets(&self) -> (&'static [u8], &'static [u8]) {
        match self.route {
            Route::Consul(route) => consul::brackets(route),
            _ => (b"[", b"]"),
        }
    }

    /// A whole answer with the entries that `push` appends.
    fn whole(&self, push: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let (open, close) = self.brackets();
        let mut text = open.to_vec();
        push(&mut text);
        text.extend_from_slice(close);
        text.shrink_to_fit();
        text
    }

    fn stream_content(&self) -> Content {
        match self.style {
            Style::Lines => Content::Lines,
            Style::Events => Content::Events,
        }
    }
}
