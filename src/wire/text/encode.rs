//! Encodes replies, each as a line.

use crate::message::{Part, Reply, Verb};
use crate::wire::json;
use crate::wire::output::Output;

/// Appends a reply as a line.
pub fn encode(reply: &Reply, output: &mut Output) {
    match reply {
        Reply::Registered(uuid) | Reply::Adopted(uuid, _) => {
            let mut text = uuid::Uuid::encode_buffer();
            output.push(uuid.hyphenated().encode_lower(&mut text).as_bytes());
        }
        Reply::Ok => return output.push(b"OK\n"),
        Reply::NotFound => return output.push(b"NOT FOUND\n"),
        Reply::Services(services) => output.push_shared(json::array(services)),
        Reply::Document(document) => output.push_owned(json::document(&**document)),
        Reply::Pong => return output.push(b"PONG\n"),
        Reply::Help => push_help(output),
        Reply::Refused(refusal) => {
            output.push(b"ERROR ");
            output.push(refusal.reason().as_bytes());
        }
        // Text has no request for these.
        Reply::Catalog(_) | Reply::Names(_) | Reply::Constant { .. } => return,
        Reply::Endpoints { .. } | Reply::Bye => return,
    }
    output.push(b"\n");
}

/// Appends a part of an answer; the parts are one line together.
pub fn encode_part(part: &Part, output: &mut Output) {
    let mut text = Vec::new();
    if part.is_first {
        text.push(b'[');
    } else if !part.rows.is_empty() {
        text.push(b',');
    }
    json::push_rows(&mut text, &part.rows);
    if part.is_last {
        text.extend_from_slice(b"]\n");
    }
    text.shrink_to_fit();
    output.push_owned(text);
}

/// Appends the line that lists the commands.
fn push_help(output: &mut Output) {
    output.push(b"commands:");
    for (position, verb) in Verb::ALL.into_iter().enumerate() {
        output.push(if position == 0 { b" " } else { b", " });
        output.push(verb.usage().as_bytes());
    }
}
