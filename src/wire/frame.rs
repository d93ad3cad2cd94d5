//! Length-prefixed JSON frames, as the Python message classes send them: a 2-byte big-endian length,
//! a JSON header of that length, and the content whose length the header gives. One frame each way.

mod collector;

pub use collector::Collector;

use super::object::Object;
use super::{Decoded, Step, content, json};
use crate::limits::{FRAME_CONTENT_LEN_MAX, FRAME_HEADER_LEN_MAX, FRAME_PREFIX_LEN};
use crate::message::{Command, Credential, Refusal, Reply, Request, Verb};
use crate::wire::output::Output;

/// Decodes the single frame in the input of a connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The position of the content, once the header has been read.
    content: Option<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

impl Decoder {
    /// Decodes the frame at the front of `input`.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match self.try_decode(input) {
            Ok(Some((consumed, command))) => Step {
                consumed,
                decoded: Decoded::Command(command),
            },
            Ok(None) => Step {
                consumed: 0,
                decoded: Decoded::Incomplete,
            },
            // The end of a bad frame is unknown, so all input is consumed.
            Err(refusal) => Step {
                consumed: input.len(),
                decoded: Decoded::Refused(refusal),
            },
        }
    }

    /// Decodes the rest at the end of input, which is an incomplete frame.
    pub fn finish<'a>(&mut self, rest: &'a [u8]) -> Decoded<'a> {
        if rest.is_empty() {
            Decoded::Incomplete
        } else {
            Decoded::Refused(Refusal::Frame("the input ended inside a frame"))
        }
    }

    fn try_decode<'a>(&mut self, input: &'a [u8]) -> Result<Option<(usize, Command<'a>)>, Refusal> {
        let span = match self.content {
            Some(span) => span,
            None => match header(input)? {
                Some(span) => *self.content.insert(span),
                None => return Ok(None),
            },
        };
        let Some(content) = input.get(span.start..span.end) else {
            return Ok(None);
        };
        Ok(Some((span.end, command(content)?)))
    }
}

/// Reads the length and the header, once all of it has arrived.
fn header(input: &[u8]) -> Result<Option<Span>, Refusal> {
    let Some((&prefix, rest)) = input.split_first_chunk::<FRAME_PREFIX_LEN>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes(prefix));
    if len == 0 {
        return Err(Refusal::Frame("the header is empty"));
    }
    if len > FRAME_HEADER_LEN_MAX {
        return Err(Refusal::FrameTooLong(
            "the header is longer than 2047 bytes",
        ));
    }
    let Some(header) = rest.get(..len) else {
        return Ok(None);
    };
    let content_len = content_len(header)?;
    let start = FRAME_PREFIX_LEN + len;
    Ok(Some(Span {
        start,
        end: start + content_len,
    }))
}

/// Checks the header; returns the length of the content. `byteorder` may be left out, and its value is
/// ignored, because it does not matter for JSON in UTF-8.
fn content_len(header: &[u8]) -> Result<usize, Refusal> {
    let mut header = Object::parse(header, "the header is not a JSON object")?;
    header.text("byteorder", "the byteorder is not a string")?;
    let content_type = header
        .text("content-type", "the content-type is not a string")?
        .ok_or(Refusal::Frame("the header has no content-type"))?;
    let content_encoding = header
        .text("content-encoding", "the content-encoding is not a string")?
        .ok_or(Refusal::Frame("the header has no content-encoding"))?;
    let len = header
        .integer(
            "content-length",
            Refusal::Frame("the content-length is not an integer of 0 or more"),
        )?
        .ok_or(Refusal::Frame("the header has no content-length"))?;
    if content_type != "text/json" {
        return Err(Refusal::FrameFormat("the content-type is not text/json"));
    }
    let is_utf8 = ["utf-8", "utf8"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&content_encoding));
    if !is_utf8 {
        return Err(Refusal::FrameFormat("the content-encoding is not utf-8"));
    }
    match usize::try_from(len) {
        Ok(len) if len <= FRAME_CONTENT_LEN_MAX => Ok(len),
        _ => Err(Refusal::FrameTooLong(
            "the content is longer than 4096 bytes",
        )),
    }
}

/// Reads the content: a request, and `"token": <string>` beside its `action`.
fn command(content: &[u8]) -> Result<Command<'_>, Refusal> {
    let mut content = Object::parse(content, "the content is not a JSON object")?;
    let action = content
        .text("action", "the action is not a string")?
        .ok_or(Refusal::Frame("the content has no action"))?;
    let token = content.text("token", "the token is not a string")?;
    let request = match Verb::named(action.as_bytes()) {
        Some(Verb::Register) => content::register(content),
        Some(Verb::Heartbeat) => content::heartbeat(content),
        Some(Verb::Query) => content::query(content),
        Some(Verb::Deregister) => content::deregister(content),
        Some(Verb::Update) => content::update(content),
        Some(Verb::Types) => Ok(Request::Types),
        Some(Verb::List) => content::list(content),
        Some(Verb::Why) => content::why(content),
        Some(Verb::Stats) => Ok(Request::Stats),
        Some(Verb::Ping) => Ok(Request::Ping),
        // Both need a session, and a frame is answered only once.
        Some(verb @ (Verb::Hold | Verb::Watch)) => Err(Refusal::NeedsSession(verb)),
        Some(Verb::Auth | Verb::Help | Verb::Quit) | None => Err(Refusal::UnknownAction),
    }?;
    let credential = Credential::OfMessage(token);
    Ok(Command {
        credential,
        request,
    })
}

/// Appends an answer as a frame.
pub fn encode(reply: &Reply, output: &mut Output) {
    match reply {
        Reply::Registered(uuid) | Reply::Adopted(uuid, _) => {
            let mut text = uuid::Uuid::encode_buffer();
            push_plain(
                output,
                uuid.hyphenated().encode_lower(&mut text).as_bytes(),
                None,
            );
        }
        Reply::Ok => push_plain(output, b"OK", None),
        Reply::NotFound => push_plain(output, b"NOT FOUND", None),
        Reply::Services(services) => {
            let string = json::array_in_string(services);
            push_header(output, "text/json", string.len(), None);
            output.push_shared(string);
        }
        Reply::Document(document) => {
            let document = json::document(&**document);
            push_header(output, "text/json", document.len(), None);
            output.push_owned(document);
        }
        Reply::Pong => push_plain(output, b"PONG", None),
        Reply::Refused(refusal) => push_plain(output, b"ERROR", Some(refusal)),
        // Frames have no request for these.
        Reply::Catalog(_) | Reply::Names(_) | Reply::Constant { .. } => {}
        Reply::Endpoints { .. } => {}
        Reply::Help | Reply::Bye => {}
    }
}

fn push_plain(output: &mut Output, content: &[u8], refusal: Option<&Refusal>) {
    push_header(output, "text/plain", content.len(), refusal);
    output.push(content);
}

/// Appends the length and the header, formatted as by Python's `json.dumps`. The reasons of this
/// service contain no character that JSON escapes.
fn push_header(
    output: &mut Output,
    content_type: &str,
    content_len: usize,
    refusal: Option<&Refusal>,
) {
    let mut digits = itoa::Buffer::new();
    let error = refusal.map(|refusal| {
        let (reason, code) = (refusal.reason(), refusal.code().name());
        format!(r#", "error": "{reason}", "code": "{code}""#)
    });
    let parts = [
        r#"{"byteorder": "little", "content-type": ""#,
        content_type,
        r#"", "content-encoding": "utf-8", "content-length": "#,
        digits.format(content_len),
        error.as_deref().unwrap_or_default(),
        "}",
    ];
    let len: usize = parts.iter().map(|part| part.len()).sum();
    // A header of this service is far below the maximum length.
    output.push(&(len as u16).to_be_bytes());
    for part in parts {
        output.push(part.as_bytes());
    }
}
