//! HTTP/1.1 (RFC 9112), for browsers, monitors, proxies, and what reads Consul.
//!
//! One request is read and answered at a time; what the peer sends behind it waits. The strict reader of
//! heads and bodies is in `head` and `body`, what there is in `route`, and the answers in `answer`. What is
//! asked again and again is known in `frequent`.

mod access;
mod answer;
mod api;
mod body;
mod consul;
mod events;
mod frequent;
mod head;
mod host;
mod metrics;
mod page;
mod params;
mod response;
mod route;
mod site;
mod status;
mod targets;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use super::{Decoded, Step};
use crate::message::{Command, Credential, Frequent, HttpRefusal, Refusal, Request};

use body::Body;
use events::Style;
use frequent::UsualFields;
use head::{BodyLen, Head, Search, Version};
use response::Framing;
use route::Route;
pub use site::{DATACENTER_DEFAULT, Site};

/// The requests of one connection, and the answer to the present one.
#[derive(Debug)]
pub struct Exchange {
    site: Rc<Site>,
    state: State,
    asked: Asked,
    usual: UsualFields,
}

/// Where the reading of requests has come to.
#[derive(Debug)]
enum State {
    /// At a head.
    Head(Search),
    /// In a body that did not arrive with its head; whole, it stays until its request is answered.
    Body(Box<Pending>),
    /// Nothing is read any more: the answer goes on until the connection ends.
    Stream {
        /// Whether it tells that a registration is held, and no changes.
        is_lease: bool,
    },
}

/// A request whose body is still to come.
#[derive(Debug)]
struct Pending {
    /// The head, to be read again.
    head: Box<[u8]>,
    body: Body,
    /// Bytes of input that belonged to the request when its body became whole.
    last: usize,
}

/// What the present request asks for, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    route: Route,
    framing: Framing,
    style: Style,
    /// Whether a filter leaves nothing of the answer.
    shows_none: bool,
    /// Whether the peer has what is asked for already.
    is_known: bool,
    /// Whether the script of a page asks, and not the browser itself.
    is_of_script: bool,
}

impl Asked {
    /// A query in its usual form.
    const QUERY: Asked = Asked {
        route: Route::Query,
        framing: Framing::USUAL,
        ..Asked::NOTHING
    };

    /// Before a head was read.
    const NOTHING: Asked = Asked {
        route: Route::Nothing,
        framing: Framing {
            version: Version::Http11,
            keep_alive: false,
            is_head: false,
        },
        style: Style::Lines,
        shows_none: false,
        is_known: false,
        is_of_script: false,
    };
}

impl Exchange {
    /// A connection at its first request.
    pub(super) fn new(site: Rc<Site>) -> Self {
        Exchange {
            site,
            state: State::Head(Search::default()),
            asked: Asked::NOTHING,
            usual: UsualFields::default(),
        }
    }

    /// Whether a head was consumed, and the rest of its request is still to come.
    pub(super) fn is_amid_request(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// Bytes of a request that are kept here.
    pub(super) fn collected_len(&self) -> usize {
        match &self.state {
            State::Body(pending) => pending.head.len() + pending.body.memory_len(),
            _ => 0,
        }
    }

    /// The command at the front of the input, with the bytes that it takes, if it is a frequent one in its
    /// usual form.
    #[inline]
    pub(super) fn frequent<'a>(&mut self, input: &'a [u8]) -> Option<(Frequent<'a>, usize)> {
        let query = match self.state {
            State::Head(search) if !search.has_begun() => self.usual.query(input)?,
            _ => return None,
        };
        self.asked = Asked::QUERY;
        Some(query)
    }

    pub(super) fn decode<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        // Where the next request begins is not known.
        self.try_decode(input).unwrap_or_else(|refusal| Step {
            consumed: input.len(),
            decoded: Decoded::Refused(Refusal::Http(refusal)),
        })
    }

    /// The peer has ended its input; `rest` is a part of a request.
    pub(super) fn finish(&mut self, rest: &[u8]) -> Decoded<'static> {
        if matches!(self.state, State::Stream { .. })
            || (rest.is_empty() && !self.is_amid_request())
        {
            return Decoded::Incomplete;
        }
        let wrong = HttpRefusal::Malformed("the input ended inside a request");
        Decoded::Refused(Refusal::Http(wrong))
    }

    fn try_decode<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, HttpRefusal> {
        match &mut self.state {
            State::Stream { .. } => Ok(incomplete(input.len())),
            State::Body(_) => self.take_body(input),
            State::Head(search) => {
                self.asked = Asked::NOTHING;
                // Some clients end a body with an empty line that does not count.
                let blank = input
                    .chunks_exact(2)
                    .take_while(|pair| *pair == b"\r\n")
                    .count()
                    * 2;
                let rest = &input[blank..];
                if rest == b"\r" {
                    return Ok(incomplete(blank));
                }
                let Some(len) = search.end(rest)? else {
                    return Ok(incomplete(blank));
                };
                self.begin(rest, len).map(|step| Step {
                    consumed: blank + step.consumed,
                    ..step
                })
            }
        }
    }

    /// Reads a request whose head is the first `len` bytes of the input.
    fn begin<'a>(&mut self, input: &'a [u8], len: usize) -> Result<Step<'a>, HttpRefusal> {
        let (bytes, rest) = input.split_at(len);
        let head = Head::parse(bytes)?;
        if let BodyLen::Known(body_len) = head.body
            && let Some(body) = rest.get(..body_len)
        {
            let decoded = match self.understand(&head, body) {
                Ok(command) => Decoded::Command(command),
                Err(decoded) => decoded,
            };
            self.usual.note(&head, bytes, &decoded);
            return Ok(Step {
                consumed: len + body_len,
                decoded,
            });
        }
        self.usual.forget();
        self.state = State::Body(Box::new(Pending {
            head: bytes.into(),
            body: Body::new(head.body),
            last: 0,
        }));
        if head.expects_continue && rest.is_empty() {
            return Ok(Step {
                consumed: len,
                decoded: Decoded::Continue,
            });
        }
        self.take_body(rest).map(|step| Step {
            consumed: len + step.consumed,
            ..step
        })
    }

    fn take_body<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, HttpRefusal> {
        let State::Body(pending) = &mut self.state else {
            return Ok(incomplete(0));
        };
        if !pending.body.is_whole() {
            let (used, is_whole) = pending.body.take(input)?;
            if !is_whole {
                return Ok(incomplete(used));
            }
            pending.last = used;
        }
        let consumed = pending.last;
        // The request outlives this call, and what it is read from does not.
        let state = std::mem::replace(&mut self.state, State::Head(Search::default()));
        let State::Body(pending) = state else {
            return Ok(incomplete(0));
        };
        let head = Head::parse(&pending.head)?;
        let decoded = match self.understand(&head, pending.body.bytes()) {
            Ok(command) => Decoded::Command(command.into_owned()),
            Err(decoded) => decoded.into_owned(),
        };
        self.state = State::Body(pending);
        Ok(Step { consumed, decoded })
    }

    /// What a whole request asks the service for, or else why it is refused.
    fn understand<'a>(
        &mut self,
        head: &Head<'a>,
        body: &'a [u8],
    ) -> Result<Command<'a>, Decoded<'a>> {
        let (route, name) = Route::at(head.path);
        self.asked = Asked {
            route,
            framing: Framing {
                version: head.version,
                keep_alive: head.keep_alive,
                is_head: head.method == "HEAD",
            },
            style: if head.accepts_events {
                Style::Events
            } else {
                Style::Lines
            },
            shows_none: false,
            is_known: false,
            is_of_script: head.is_of_script,
        };
        access::refuse(head, &self.site)
            .map_err(|refusal| Decoded::Refused(Refusal::Http(refusal)))?;
        let credential = Credential::OfMessage(access::token(head, route));
        match self.request(route, name, head, body) {
            Ok(request) => Ok(Command {
                credential,
                request,
            }),
            Err(refusal) => Err(Decoded::Denied(credential, refusal)),
        }
    }

    fn request<'a>(
        &mut self,
        route: Route,
        name: &'a str,
        head: &Head<'a>,
        body: &'a [u8],
    ) -> Result<Request<'a>, Refusal> {
        let is_something = !matches!(
            route,
            Route::Nothing | Route::Consul(route::Consul::Nothing)
        );
        if is_something && !route.takes(head.method) {
            return Err(Refusal::Http(HttpRefusal::Method(route.methods())));
        }
        if let (Some(file), Some(list)) = (page::Asset::of(route), head.if_none_match) {
            self.asked.is_known = file.is_in(list);
        }
        if let Route::Consul(route) = route {
            let asked = consul::request(route, name, head.query)?;
            self.asked.shows_none = asked.shows_none;
            return Ok(asked.request);
        }
        let request = api::request(route, head.query, body, &self.site)?;
        // The head of a stream needs no stream.
        let is_stream = matches!(request, Request::Watch { .. });
        Ok(if is_stream && self.asked.framing.is_head {
            Request::Help
        } else {
            request
        })
    }
}

fn incomplete(consumed: usize) -> Step<'static> {
    Step {
        consumed,
        decoded: Decoded::Incomplete,
    }
}
