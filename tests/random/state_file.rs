//! The state file: whatever is done to it, what can be read of it is the same before and after it was
//! made short, in one piece and in any pieces.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use discovery_service::message::{Change, ChangeKind, Labels, Reason, ServiceAddress};
use discovery_service::state::{
    Beginning, Compaction, Counts, Found, Header, Pending, Record, Replay, Source, Up,
};
use discovery_service::time::Moment;
use uuid::Uuid;

/// The registrations that a file has, oldest first.
pub type Picture = Vec<Up<'static>>;

/// What a record does to a plain list.
pub fn apply(picture: &mut Picture, record: Record<'_>) {
    match record {
        Record::Up(up) => {
            picture.retain(|other| other.uuid != up.uuid);
            picture.push(owned(up));
        }
        Record::Down(uuid) => picture.retain(|other| other.uuid != uuid),
        Record::Update { uuid, labels } => {
            let labels = labels.map(|labels| Cow::Owned(labels.into_owned()));
            if let Some(up) = picture.iter_mut().find(|up| up.uuid == uuid) {
                up.labels = labels;
            }
        }
        Record::Adopted {
            uuid,
            right,
            ttl_ms,
        } => {
            if let Some(up) = picture.iter_mut().find(|up| up.uuid == uuid) {
                (up.right, up.ttl_ms) = (right, ttl_ms);
            }
        }
        Record::Index(_) => {}
    }
}

fn owned(up: Up<'_>) -> Up<'static> {
    Up {
        service_type: Cow::Owned(up.service_type.into_owned()),
        labels: up.labels.map(|labels| Cow::Owned(labels.into_owned())),
        ..up
    }
}

/// Reads a file in pieces of this length.
pub fn replay(file: &[u8], piece_len: usize) -> (Picture, Found) {
    let mut picture = Picture::new();
    let mut replay = Replay::default();
    for piece in file.chunks(piece_len.max(1)) {
        replay.piece(piece, &mut |record| apply(&mut picture, record));
    }
    let found = replay.end(&mut |record| apply(&mut picture, record));
    (picture, found)
}

/// A file in memory.
pub struct Memory<'a>(pub &'a [u8]);

impl Source for Memory<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

pub fn compact(file: &[u8]) -> (Vec<u8>, Counts) {
    let mut compaction = Compaction::new(file.len() as u64);
    let mut short = Vec::new();
    while !compaction.step(&Memory(file), &mut short) {}
    assert_eq!(compaction.written_len(), short.len() as u64);
    (short, compaction.written())
}

pub fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number))
}

pub fn labels(number: u8) -> Option<Labels> {
    let mut labels = Labels::default();
    for tag in 0..number % 4 {
        labels.add_tag(&format!("t{tag}")).unwrap();
    }
    if number % 3 == 1 {
        labels.add_pair("k", &"v".repeat(number.into())).unwrap();
    }
    (!labels.is_empty()).then_some(labels)
}

pub fn up(number: u8, other: u8) -> Up<'static> {
    let ip = if other.is_multiple_of(5) {
        "::1"
    } else {
        "10.0.0.1"
    };
    Up {
        uuid: uuid(number),
        right: uuid(number),
        ttl_ms: 1000 * (1 + u32::from(other)),
        held: other.is_multiple_of(3),
        address: ServiceAddress::new(ip, 1 + u64::from(other)).unwrap(),
        service_type: Cow::Owned(format!("type-{}", other % 7)),
        labels: labels(other / 2).map(Cow::Owned),
    }
}

/// The record that three bytes stand for.
fn record(kind: u8, number: u8, other: u8) -> Record<'static> {
    let number = number % 16;
    match kind % 8 {
        0..=3 => Record::Up(up(number, other)),
        4 => Record::Update {
            uuid: uuid(number),
            labels: labels(other).map(Cow::Owned),
        },
        5 => Record::Adopted {
            uuid: uuid(number),
            right: uuid(other),
            ttl_ms: 1000 * (1 + u32::from(other)),
        },
        6 => Record::Index(other.into()),
        _ => Record::Down(uuid(number)),
    }
}

/// A file of records, each from three bytes.
pub fn file(steps: &[u8]) -> Vec<u8> {
    let mut file = Header { index: 5 }.encode().to_vec();
    for step in steps.chunks_exact(3) {
        record(step[0], step[1], step[2]).encode(&mut file);
    }
    file
}

/// Damages a file, as four bytes say.
fn damage(file: &mut Vec<u8>, how: &[u8]) {
    let place = usize::from(u16::from_le_bytes([how[1], how[2]])) * (file.len() + 1) / 65_536;
    let end = (place + usize::from(how[3])).min(file.len());
    match how[0] % 5 {
        0 if place < file.len() => file[place] ^= 1 << (how[3] % 8),
        1 => file[place..end].fill(0),
        2 => drop(file.drain(place..end)),
        3 => drop(file.splice(place..place, how.repeat(how[3].into()))),
        _ => file.truncate(place),
    }
}

/// What can be read of a file does not depend on the pieces, and is the same after it was made short.
pub fn is_read_the_same(file: &[u8]) {
    let (picture, found) = replay(file, usize::MAX);
    for piece_len in [1, 7, 4096] {
        assert_eq!(
            replay(file, piece_len),
            (picture.clone(), found),
            "{piece_len}"
        );
    }
    assert_eq!(found.len, file.len() as u64);
    assert!(found.damaged_len + found.torn_len <= found.len);
    if let Beginning::Newer(_) = found.beginning {
        assert!(picture.is_empty());
        return;
    }
    let (short, written) = compact(file);
    let (again, of_short) = replay(&short, usize::MAX);
    assert_eq!(again, picture, "after compaction");
    assert!(matches!(of_short.beginning, Beginning::Right(_)));
    assert_eq!((of_short.damaged_len, of_short.torn_len), (0, 0));
    assert_eq!(of_short.counts.ups, written.ups);
    assert_eq!(of_short.counts.downs, 0);
    assert!(of_short.index >= found.index, "the index goes back");
    let (shorter, _) = compact(&short);
    assert_eq!(shorter.len(), short.len(), "it is short already");
}

/// A file of records with some damage, and any bytes as a file, are read as they should be. The first byte
/// is the number of damages, of four bytes each; the rest is three bytes for each record.
pub fn state_file(input: &[u8]) {
    is_read_the_same(input);
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let (damages, steps) = rest.split_at(rest.len().min(4 * usize::from(count % 4)));
    let mut bytes = file(steps);
    is_read_the_same(&bytes);
    for how in damages.chunks_exact(4) {
        damage(&mut bytes, how);
    }
    is_read_the_same(&bytes);
    are_joined(steps);
}

/// Changes that wait, joined by registration, leave the same registrations as one record for each.
fn are_joined(steps: &[u8]) {
    let (mut plain, mut joined) = (Picture::new(), Picture::new());
    let mut pending = Pending::default();
    for step in steps.chunks_exact(3) {
        let record = record(step[0], step[1], step[2]);
        let Some(change) = change(&plain, &record) else {
            continue;
        };
        apply(&mut plain, Record::of(&change));
        // Some are written at once, as far as none waits, and some wait.
        if pending.is_empty() && step[2].is_multiple_of(2) {
            apply(&mut joined, Record::of(&change));
        } else {
            pending.add(&change);
        }
        if step[1].is_multiple_of(11) {
            flush(&mut pending, 1 + usize::from(step[2] % 5), &mut joined);
        }
    }
    assert!(pending.len() <= 16, "one for each registration");
    flush(&mut pending, usize::MAX, &mut joined);
    assert_eq!(joined, plain);
    assert!(pending.is_empty());
}

fn flush(pending: &mut Pending, most: usize, to: &mut Picture) {
    let mut bytes = Vec::new();
    pending.encode(usize::MAX, most, &mut bytes);
    let file = [&Header::default().encode()[..], &bytes].concat();
    let mut replay = Replay::default();
    replay.piece(&file, &mut |record| apply(to, record));
    replay.end(&mut |record| apply(to, record));
}

/// The change of a registry that has these registrations, if it would make this one.
fn change(live: &Picture, record: &Record<'_>) -> Option<Change> {
    let find = |uuid: &Uuid| live.iter().find(|up| up.uuid == *uuid).cloned();
    let (up, kind) = match record {
        Record::Up(up) if find(&up.uuid).is_none() => (up.clone(), ChangeKind::Up),
        Record::Update { uuid, labels } => {
            let labels = labels.clone().map(|labels| Cow::Owned(labels.into_owned()));
            (
                Up {
                    labels,
                    ..find(uuid)?
                },
                ChangeKind::Updated,
            )
        }
        Record::Adopted {
            uuid,
            right,
            ttl_ms,
        } => {
            let up = Up {
                ttl_ms: *ttl_ms,
                ..find(uuid)?
            };
            (up, ChangeKind::Adopted { right: *right })
        }
        Record::Down(uuid) => {
            let (reason, at) = (Reason::Deregistered, Moment::START);
            (find(uuid)?, ChangeKind::Down { reason, at })
        }
        _ => return None,
    };
    Some(Change {
        uuid: up.uuid,
        owner: None,
        service_type: up.service_type.into_owned().into(),
        address: up.address,
        ttl_ms: up.ttl_ms,
        held: up.held,
        heartbeat: Moment::START,
        labels: up.labels.map(|labels| Arc::new(labels.into_owned())),
        kind,
    })
}
