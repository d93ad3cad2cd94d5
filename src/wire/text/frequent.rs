//! The lines that nearly all are, in their usual form: in lower case, with single blanks and without options.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::words::{plain_line, plain_word, text};
use crate::message::{Frequent, Offer};

/// The front of a heartbeat in its usual form.
pub(super) const HEARTBEAT: &[u8] = b"heartbeat ";
/// Bytes of a heartbeat in its usual form, with its line feed.
pub const HEARTBEAT_LEN: usize = HEARTBEAT.len() + Hyphenated::LENGTH + 1;

/// Parsing the UUID checks all its bytes, so the line needs no other check.
#[inline]
pub(super) fn plain_heartbeat(line: &[u8]) -> Option<Uuid> {
    let word = line.strip_prefix(HEARTBEAT)?.strip_suffix(b"\n")?;
    Uuid::try_parse_ascii(word).ok()
}

/// The front of a query in its usual form.
const QUERY: &[u8] = b"query ";

/// What no type can be called is not found, so the name needs no other check.
#[inline]
pub(super) fn plain_query(input: &[u8]) -> Option<(Frequent<'_>, usize)> {
    let (name, rest) = plain_word(input.strip_prefix(QUERY)?);
    let is_all = rest.first() == Some(&b'\n');
    is_all.then_some((Frequent::Query(name), QUERY.len() + name.len() + 1))
}

/// The front of a registration in its usual form.
const REGISTER: &[u8] = b"register ";

#[inline(never)]
pub(super) fn plain_register(input: &[u8]) -> Option<(Frequent<'_>, usize)> {
    let (line, len) = plain_line(input.strip_prefix(REGISTER)?)?;
    let line = text(line);
    let (service_type, rest) = line.split_at(plain_word(line.as_bytes()).0.len());
    let rest = rest.strip_prefix(' ')?;
    let (ip, rest) = rest.split_at(plain_word(rest.as_bytes()).0.len());
    let port = rest.strip_prefix(' ')?;
    let offer = Offer::parse(service_type, ip, port.as_bytes()).ok()?;
    Some((Frequent::Register(offer), REGISTER.len() + len))
}
