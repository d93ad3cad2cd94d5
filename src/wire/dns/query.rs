//! Reads queries.

use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::opt::Opt;
use domain::base::{Header, Message, ParsedRecord};

/// Bytes of the header of a message.
pub(super) const HEADER_LEN: usize = 12;

/// What an answer repeats from its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u16,
    pub(super) opcode: Opcode,
    pub(super) recursion_desired: bool,
}

impl From<Header> for Head {
    fn from(header: Header) -> Self {
        Head {
            id: header.id(),
            opcode: header.opcode(),
            recursion_desired: header.rd(),
        }
    }
}

/// What the client's OPT record says (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    /// Bytes of the longest datagram that it takes.
    pub(super) payload_len: u16,
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
}

/// The question of a query; its name is not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    /// As it stands in the message: the name, the type and the class.
    pub(super) bytes: &'a [u8],
    pub(super) rtype: Rtype,
    pub(super) class: Class,
}

impl<'a> Question<'a> {
    /// The name as it stands in the message, with the empty label at its end.
    pub(super) fn name(&self) -> &'a [u8] {
        &self.bytes[..self.bytes.len() - 4]
    }
}

/// A message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// It must not be answered: it is no message, or an answer itself.
    Silence,
    /// It is no query.
    OtherOpcode(Head),
    /// It is malformed; its OPT record may have been understood.
    Malformed(Head, Option<Edns>),
    /// A query with one question.
    Query(Head, Option<Edns>, Question<'a>),
}

/// Reads one message.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Ok(message) = Message::from_slice(bytes) else {
        return Parsed::Silence;
    };
    let header = message.header();
    if header.qr() {
        return Parsed::Silence;
    }
    let head = Head::from(header);
    if header.opcode() != Opcode::QUERY {
        return Parsed::OtherOpcode(head);
    }
    let Some(edns) = edns(message) else {
        return Parsed::Malformed(head, None);
    };
    let counts = message.header_counts();
    let is_query = counts.qdcount() == 1 && counts.ancount() == 0 && counts.nscount() == 0;
    match question(message) {
        Some(question) if is_query => Parsed::Query(head, edns, question),
        _ => Parsed::Malformed(head, edns),
    }
}

fn question(message: &Message<[u8]>) -> Option<Question<'_>> {
    let question = message.question().next()?.ok()?;
    let bytes = message.as_slice().get(HEADER_LEN..)?;
    let len = plain_name_len(bytes)? + 4;
    Some(Question {
        bytes: bytes.get(..len)?,
        rtype: question.qtype(),
        class: question.qclass(),
    })
}

/// Bytes of the name that stands here, with the empty label at its end; `None` where it is compressed.
fn plain_name_len(bytes: &[u8]) -> Option<usize> {
    const LABEL_LEN_MAX: u8 = 63;
    let mut at = 0;
    loop {
        let len = *bytes.get(at)?;
        at += 1 + usize::from(len);
        match len {
            0 => return Some(at),
            1..=LABEL_LEN_MAX => {}
            _ => return None,
        }
    }
}

/// The OPT record, if there is one; `None` when the additional section is malformed.
fn edns(message: &Message<[u8]>) -> Option<Option<Edns>> {
    let mut found = None;
    for record in message.additional().ok()? {
        let record = record.ok()?;
        if record.rtype() != Rtype::OPT {
            continue;
        }
        let edns = read_edns(&record)?;
        if found.replace(edns).is_some() {
            return None;
        }
    }
    Some(found)
}

fn read_edns(record: &ParsedRecord<'_, [u8]>) -> Option<Edns> {
    if !record.owner().is_root() {
        return None;
    }
    // The options are ignored, but they must be well-formed.
    record.to_record::<Opt<_>>().ok()??;
    let [_, version, flags, _] = record.ttl().as_secs().to_be_bytes();
    Some(Edns {
        payload_len: record.class().to_int(),
        version,
        dnssec_ok: flags & 0x80 != 0,
    })
}
