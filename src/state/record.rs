//! One record of the state file.

use std::borrow::Cow;

use uuid::Uuid;

use super::payload::{Reader, put_labels};
use crate::limits::STATE_PAYLOAD_LEN_MAX;
use crate::message::{Change, ChangeKind, Labels, ServiceAddress};

/// Bytes of a record before its payload: crc32, length, kind.
pub(super) const FRAME_LEN: usize = 7;
/// Kinds from here on are none: what looks like one is no record.
const KINDS_END: u8 = 32;

const UP: u8 = 1;
const DOWN: u8 = 2;
const UPDATE: u8 = 3;
const ADOPTED: u8 = 4;
const INDEX: u8 = 5;

/// A change of the registry, as the state file keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A registration was made.
    Up(Up<'a>),
    /// It was removed.
    Down(Uuid),
    /// Its tags and metadata were replaced.
    Update {
        /// The registration.
        uuid: Uuid,
        /// All that it has from now on.
        labels: Option<Cow<'a, Labels>>,
    },
    /// A connection holds it that did not make it.
    Adopted {
        /// The registration.
        uuid: Uuid,
        /// The UUID that is the right to change it from now on.
        right: Uuid,
        /// Milliseconds that it lives without its connection.
        ttl_ms: u32,
    },
    /// The registry's count of changes is at least this.
    Index(u64),
}

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up<'a> {
    /// The UUID under which it was made.
    pub uuid: Uuid,
    /// The UUID that is the right to change it: another one where it was adopted.
    pub right: Uuid,
    /// Milliseconds that it lives without a heartbeat.
    pub ttl_ms: u32,
    /// Whether a connection holds it.
    pub held: bool,
    /// Where the service can be reached.
    pub address: ServiceAddress,
    /// Its type.
    pub service_type: Cow<'a, str>,
    /// Its tags and metadata, if it has any.
    pub labels: Option<Cow<'a, Labels>>,
}

/// The beginning of some bytes as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A record of this length, whose checksum is right.
    Whole(usize),
    /// It may become one with more bytes.
    Short,
    /// It is none.
    Wrong,
}

/// Looks for a record at the beginning of `bytes`.
pub(super) fn framing(bytes: &[u8]) -> Framing {
    let Some(head) = bytes.first_chunk::<FRAME_LEN>() else {
        return Framing::Short;
    };
    let len = usize::from(u16::from_le_bytes([head[4], head[5]]));
    if len == 0 || len > STATE_PAYLOAD_LEN_MAX || !(1..KINDS_END).contains(&head[6]) {
        return Framing::Wrong;
    }
    let Some(checked) = bytes.get(4..FRAME_LEN + len) else {
        return Framing::Short;
    };
    if crc32fast::hash(checked).to_le_bytes() == head[..4] {
        Framing::Whole(FRAME_LEN + len)
    } else {
        Framing::Wrong
    }
}

impl<'a> Record<'a> {
    /// The record of a change.
    #[must_use]
    pub fn of(change: &'a Change) -> Self {
        let uuid = change.uuid;
        match change.kind {
            ChangeKind::Up | ChangeKind::TakenOver => Record::Up(Up::of(change, uuid)),
            ChangeKind::Updated => Record::Update {
                uuid,
                labels: change.labels.as_deref().map(Cow::Borrowed),
            },
            ChangeKind::Adopted { right } => Record::Adopted {
                uuid,
                right,
                ttl_ms: change.ttl_ms,
            },
            ChangeKind::Down { .. } | ChangeKind::Yielded => Record::Down(uuid),
        }
    }

    /// Appends the record to `to`.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend([0; FRAME_LEN]);
        let kind = match self {
            Record::Up(up) => {
                up.encode(to);
                UP
            }
            Record::Down(uuid) => {
                to.extend(uuid.as_bytes());
                DOWN
            }
            Record::Update { uuid, labels } => {
                to.extend(uuid.as_bytes());
                put_labels(labels.as_deref(), to);
                UPDATE
            }
            Record::Adopted {
                uuid,
                right,
                ttl_ms,
            } => {
                to.extend(uuid.as_bytes());
                to.extend(right.as_bytes());
                to.extend(ttl_ms.to_le_bytes());
                ADOPTED
            }
            Record::Index(index) => {
                to.extend(index.to_le_bytes());
                INDEX
            }
        };
        let len = to.len() - start - FRAME_LEN;
        debug_assert!(len <= STATE_PAYLOAD_LEN_MAX, "a record of {len} bytes");
        to[start + 4..start + 6].copy_from_slice(&(len as u16).to_le_bytes());
        to[start + 6] = kind;
        let sum = crc32fast::hash(&to[start + 4..]).to_le_bytes();
        to[start..start + 4].copy_from_slice(&sum);
    }

    /// Reads the whole record `bytes`. `None` where this program does not know its kind, or what it says
    /// breaks a rule.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (head, payload) = bytes.split_at_checked(FRAME_LEN)?;
        let mut reader = Reader::new(payload);
        Some(match head[6] {
            UP => Record::Up(Up::decode(&mut reader)?),
            DOWN => Record::Down(reader.uuid()?),
            UPDATE => Record::Update {
                uuid: reader.uuid()?,
                labels: reader.labels()?.map(Cow::Owned),
            },
            ADOPTED => Record::Adopted {
                uuid: reader.uuid()?,
                right: reader.uuid()?,
                ttl_ms: reader.ttl_ms()?,
            },
            INDEX => Record::Index(reader.u64()?),
            _ => return None,
        })
    }

    /// The registry's count of changes after the record, where it was `index` before.
    pub(super) fn index_after(&self, index: u64) -> u64 {
        match *self {
            Record::Up(_) | Record::Down(_) | Record::Update { .. } => index.saturating_add(1),
            Record::Adopted { .. } => index,
            Record::Index(least) => index.max(least),
        }
    }
}

impl<'a> Up<'a> {
    const HELD: u8 = 1;
    const V6: u8 = 2;
    const ADOPTED: u8 = 4;
    const LABELLED: u8 = 8;

    /// The registration after `change`, which `right` may change.
    #[must_use]
    pub fn of(change: &'a Change, right: Uuid) -> Self {
        Up {
            uuid: change.uuid,
            right,
            ttl_ms: change.ttl_ms,
            held: change.held,
            address: change.address,
            service_type: Cow::Borrowed(&change.service_type),
            labels: change.labels.as_deref().map(Cow::Borrowed),
        }
    }

    fn encode(&self, to: &mut Vec<u8>) {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(self.held, Self::HELD)
            | flag(self.address.ip.is_ipv6(), Self::V6)
            | flag(self.right != self.uuid, Self::ADOPTED)
            | flag(self.labels.is_some(), Self::LABELLED);
        to.extend(self.uuid.as_bytes());
        to.extend(self.ttl_ms.to_le_bytes());
        to.extend(self.address.port.get().to_le_bytes());
        to.push(flags);
        match self.address.ip {
            std::net::IpAddr::V4(ip) => to.extend(ip.octets()),
            std::net::IpAddr::V6(ip) => to.extend(ip.octets()),
        }
        to.push(self.service_type.len() as u8);
        to.extend(self.service_type.as_bytes());
        if self.right != self.uuid {
            to.extend(self.right.as_bytes());
        }
        if self.labels.is_some() {
            put_labels(self.labels.as_deref(), to);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let uuid = reader.uuid()?;
        let ttl_ms = reader.ttl_ms()?;
        let port = reader.port()?;
        let flags = reader.u8()?;
        let ip = reader.ip(flags & Self::V6 != 0)?;
        let service_type = reader.service_type()?;
        let right = match flags & Self::ADOPTED {
            0 => uuid,
            _ => reader.uuid()?,
        };
        let labels = match flags & Self::LABELLED {
            0 => None,
            _ => reader.labels()?,
        };
        Some(Up {
            uuid,
            right,
            ttl_ms,
            held: flags & Self::HELD != 0,
            address: ServiceAddress { ip, port },
            service_type: Cow::Borrowed(service_type),
            labels: labels.map(Cow::Owned),
        })
    }
}

/// What records there are in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub records: u64,
    /// Registrations, and the bytes of their records.
    pub ups: u64,
    /// The bytes of the records of registrations.
    pub ups_len: u64,
    /// Removals.
    pub downs: u64,
}

impl Counts {
    /// Counts what was [encoded](Record::encode).
    #[must_use]
    pub fn of(mut bytes: &[u8]) -> Self {
        let mut counts = Counts::default();
        while let Some(head) = bytes.first_chunk::<FRAME_LEN>() {
            let len = FRAME_LEN + usize::from(u16::from_le_bytes([head[4], head[5]]));
            counts.add(head[6], len);
            bytes = bytes.get(len..).unwrap_or_default();
        }
        counts
    }

    /// Counts the record `raw`.
    pub(super) fn count(&mut self, raw: &[u8]) {
        self.add(raw[6], raw.len());
    }

    fn add(&mut self, kind: u8, len: usize) {
        self.records += 1;
        self.ups += u64::from(kind == UP);
        self.downs += u64::from(kind == DOWN);
        if kind == UP {
            self.ups_len += len as u64;
        }
    }
}
