//! Writes responses: their heads, and bodies in chunks.

use super::head::Version;
use super::status::Status;
use crate::message::Bytes;
use crate::wire::json::push_number;
use crate::wire::output::Output;

/// What the heads of responses have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) version: Version,
    /// Whether the connection goes on after the answer.
    pub(super) keep_alive: bool,
    /// Whether the request asks for the head only.
    pub(super) is_head: bool,
}

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Text,
    Metrics,
    Lines,
    Events,
    Page,
    Style,
    Script,
}

impl Content {
    /// The fields that go with it. What changes all the time is not to be kept; a page is asked for
    /// again, and may use nothing but what is here.
    const fn fields(self) -> &'static str {
        match self {
            Content::Json => "Content-Type: application/json\r\nCache-Control: no-store\r\n",
            Content::Text => {
                "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
            }
            Content::Metrics => {
                "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n"
            }
            Content::Lines => {
                "Content-Type: application/x-ndjson\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
            }
            Content::Events => {
                "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
            }
            Content::Page => {
                "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\n\
                 Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
                 connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n\
                 Cross-Origin-Resource-Policy: same-origin\r\n"
            }
            Content::Style => {
                "Content-Type: text/css; charset=utf-8\r\nCache-Control: no-cache\r\n\
                 Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
            }
            Content::Script => {
                "Content-Type: text/javascript; charset=utf-8\r\nCache-Control: no-cache\r\n\
                 Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
            }
        }
    }
}

/// A body of known length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    Bytes(&'a [u8]),
    /// What others may be sent as well, from this byte on.
    Shared(&'a Bytes, usize),
}

impl Body<'_> {
    fn len(&self) -> usize {
        match self {
            Body::Bytes(bytes) => bytes.len(),
            Body::Shared(bytes, from) => bytes.len() - from,
        }
    }
}

impl Framing {
    /// What most requests ask for.
    pub(super) const USUAL: Framing = Framing {
        version: Version::Http11,
        keep_alive: true,
        is_head: false,
    };

    /// Appends a whole response. `fields` are further fields, each with its line end.
    pub(super) fn push(
        self,
        status: Status,
        content: Content,
        fields: &[&[u8]],
        body: Body<'_>,
        output: &mut Output,
    ) {
        self.push_head(status, content, fields, Some(body.len()), output);
        if self.is_head {
            return;
        }
        match body {
            Body::Bytes(bytes) => output.push(bytes),
            Body::Shared(bytes, from) => output.push_shared_from(bytes, from),
        }
    }

    /// Appends the head of a response; a body of unknown length comes in chunks, or until the end.
    pub(super) fn push_head(
        self,
        status: Status,
        content: Content,
        fields: &[&[u8]],
        len: Option<usize>,
        output: &mut Output,
    ) {
        output.push(status.line().as_bytes());
        output.push(content.fields().as_bytes());
        output.push(b"X-Content-Type-Options: nosniff\r\n");
        fields.iter().for_each(|field| output.push(field));
        match len {
            // It has no body, and the length would be that of the whole answer.
            _ if status == Status::NotModified => {}
            Some(len) => {
                output.push(b"Content-Length: ");
                output.push(itoa::Buffer::new().format(len).as_bytes());
                output.push(b"\r\n");
            }
            None if self.is_chunked() => output.push(b"Transfer-Encoding: chunked\r\n"),
            None => {}
        }
        if !self.keep_alive {
            output.push(b"Connection: close\r\n");
        }
        output.push(b"\r\n");
    }

    /// Whether a body of unknown length comes in chunks.
    pub(super) fn is_chunked(self) -> bool {
        self.version == Version::Http11
    }

    /// Appends a piece of a body of unknown length.
    pub(super) fn push_piece(self, piece: Vec<u8>, output: &mut Output) {
        if self.is_head || piece.is_empty() {
            return;
        }
        if self.is_chunked() {
            output.push(chunk_head(piece.len()).as_bytes());
            output.push_owned(piece);
            output.push(b"\r\n");
        } else {
            output.push_owned(piece);
        }
    }

    /// Appends the end of a body of unknown length.
    pub(super) fn push_end(self, output: &mut Output) {
        if self.is_chunked() && !self.is_head {
            output.push(b"0\r\n\r\n");
        }
    }
}

/// Where the body of a whole response begins.
pub(super) fn body_start(response: &[u8]) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    memchr::memmem::find(response, END).map_or(0, |end| end + END.len())
}

fn chunk_head(len: usize) -> String {
    format!("{len:x}\r\n")
}

/// The bytes as a chunk of a body.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let head = chunk_head(bytes.len());
    let mut chunk = Vec::with_capacity(head.len() + bytes.len() + 2);
    chunk.extend_from_slice(head.as_bytes());
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The field with which Consul's clients follow changes, and those that they look for beside it.
pub(super) fn index_fields(index: u64) -> Vec<u8> {
    let mut fields = b"X-Consul-Index: ".to_vec();
    push_number(&mut fields, index);
    fields.extend_from_slice(b"\r\nX-Consul-KnownLeader: true\r\nX-Consul-LastContact: 0\r\n");
    fields
}
