//! One registration, and the storage of all registrations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use uuid::Uuid;

use super::NONE;
use super::slots::Slots;
use crate::limits::TTL_SECONDS;
use crate::message::{NodeNumber, ServiceAddress};
use crate::time::Moment;
use crate::time::wheel::{WheelLink, WheelLinks};

/// A registration: its UUID, type, IP address, port and last heartbeat, and its places in the
/// indexes. It fills one cache line, so a heartbeat touches only one.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) uuid: Uuid,
    /// The last heartbeat; at first, the moment of registration. Of one that another node owns, a moment
    /// that no clock reaches and which says the node.
    pub(super) heartbeat: Moment,
    /// The TTL in milliseconds in the lower bits, the flags in the upper ones.
    ttl_and_flags: u32,
    /// The slot of its type.
    pub(super) service_type: u32,
    /// Neighbours in the type's list, which is in the order of registration.
    pub(super) previous: u32,
    pub(super) next: u32,
    /// The next entry with the same bucket in the index by UUID.
    pub(super) chain: u32,
    /// The next entry with the same bucket in the index by address.
    pub(super) address_chain: u32,
    /// Its place in the timing wheel; a held one has none.
    pub(super) timer: WheelLink,
    ip: PackedIp,
    port: NonZeroU16,
}

/// An IPv4 address, or the key of an IPv6 address in a side table, because most addresses are IPv4. Of an
/// entry with tags or metadata, the key of both in another side table.
type PackedIp = u32;

const _: () = assert!(size_of::<Entry>() == 64, "an entry is one cache line");

/// The bits that the longest TTL needs; those above are flags.
const TTL_BITS: u32 = 27;
const _: () = assert!(*TTL_SECONDS.end() as u64 * 1000 < 1 << TTL_BITS);

/// The lowest number that a heartbeat has which says the node: such an entry never expires.
const ELSEWHERE: u64 = 1 << 62;

/// The flags of an entry.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Flag {
    /// The address is IPv6, and is in the side table.
    V6 = 1 << TTL_BITS,
    /// It is held: it lives as long as its holder, whatever its TTL.
    Held = 1 << (TTL_BITS + 1),
    /// A late heartbeat of it has been reported.
    Late = 1 << (TTL_BITS + 2),
    /// A mark stands before it.
    Marked = 1 << (TTL_BITS + 3),
    /// It has tags or metadata: its address is in the side table of those.
    Labelled = 1 << (TTL_BITS + 4),
}

impl Entry {
    /// Whether the last heartbeat is younger than the TTL, or the entry is held.
    pub(super) fn is_live(&self, now: Moment) -> bool {
        now < self.deadline() || self.is_held()
    }

    /// When it expires, unless it is held.
    pub(super) fn deadline(&self) -> Moment {
        self.heartbeat.plus_millis(u64::from(self.ttl_ms()))
    }

    pub(super) fn ttl_ms(&self) -> u32 {
        self.ttl_and_flags & ((1 << TTL_BITS) - 1)
    }

    /// Gives it another TTL; it must not be in the wheel.
    pub(super) fn set_ttl_ms(&mut self, ttl_ms: u32) {
        self.ttl_and_flags = self.ttl_and_flags & !((1 << TTL_BITS) - 1) | ttl_ms;
    }

    /// Makes it live until it is removed, whatever its TTL; it must not be in the wheel.
    pub(super) fn hold(&mut self) {
        self.ttl_and_flags |= Flag::Held as u32;
    }

    pub(super) fn is_held(&self) -> bool {
        self.has(Flag::Held)
    }

    /// The node that owns it, if that is another one.
    pub(super) fn owner(&self) -> Option<NodeNumber> {
        let number = self.heartbeat.as_millis().checked_sub(ELSEWHERE)?;
        Some(NodeNumber(number as u32))
    }

    /// Another node owns it, of which a connection holds it or not; it must not be in the wheel.
    pub(super) fn give_to(&mut self, owner: NodeNumber, held: bool) {
        self.heartbeat = Moment::from_millis(ELSEWHERE + u64::from(owner.0));
        self.ttl_and_flags &= !(Flag::Held as u32);
        if held {
            self.hold();
        }
    }

    /// Whether a mark stands before it.
    pub(super) fn is_marked(&self) -> bool {
        self.has(Flag::Marked)
    }

    pub(super) fn set_marked(&mut self, marked: bool) {
        if marked {
            self.ttl_and_flags |= Flag::Marked as u32;
        } else {
            self.ttl_and_flags &= !(Flag::Marked as u32);
        }
    }

    /// Records a heartbeat at `now`; `true` when it is the first in the last tenth of the TTL.
    pub(super) fn beat(&mut self, now: Moment) -> bool {
        let age = now.millis_since(self.heartbeat);
        self.heartbeat = now;
        // The fast path: nearly all heartbeats come in the first half of the TTL.
        if age * 2 < u64::from(self.ttl_ms()) || age * 10 < u64::from(self.ttl_ms()) * 9 {
            return false;
        }
        let late = !self.is_held() && !self.has(Flag::Late);
        self.ttl_and_flags |= Flag::Late as u32;
        late
    }

    fn has(&self, flag: Flag) -> bool {
        self.ttl_and_flags & flag as u32 != 0
    }
}

impl Default for Entry {
    /// What a free slot holds.
    fn default() -> Self {
        Entry {
            uuid: Uuid::nil(),
            heartbeat: Moment::START,
            ttl_and_flags: 0,
            service_type: NONE,
            previous: NONE,
            next: NONE,
            chain: NONE,
            address_chain: NONE,
            timer: WheelLink::default(),
            ip: 0,
            port: NonZeroU16::MIN,
        }
    }
}

/// The fields of a new entry, without its places in the indexes.
pub(super) struct NewEntry {
    pub(super) uuid: Uuid,
    pub(super) address: ServiceAddress,
    pub(super) ttl_ms: u32,
    pub(super) service_type: u32,
    pub(super) now: Moment,
}

/// All entries, by slot number.
#[derive(Debug, Default)]
pub(super) struct Entries {
    slots: Slots<Entry>,
    v6: Slots<V6>,
    labelled: Slots<Labelled>,
}

/// What an entry with tags or metadata has in a side table, so that the others pay nothing for it.
#[derive(Debug, Default)]
struct Labelled {
    ip: PackedIp,
    /// The number of its set of tags and metadata.
    set: u32,
}

/// An address of the side table.
#[derive(Debug)]
struct V6(Ipv6Addr);

impl Default for V6 {
    fn default() -> Self {
        V6(Ipv6Addr::UNSPECIFIED)
    }
}

impl Entries {
    pub(super) fn len(&self) -> u32 {
        self.slots.len()
    }

    /// All entries are in slots below this number.
    pub(super) fn end(&self) -> u32 {
        self.slots.end()
    }

    /// Whether there is an entry in `slot`.
    pub(super) fn is_used(&self, slot: u32) -> bool {
        self.slots.is_used(slot)
    }

    /// Stores a new entry and returns its slot.
    pub(super) fn insert(&mut self, new: NewEntry) -> u32 {
        let NewEntry {
            uuid,
            address,
            ttl_ms,
            service_type,
            now,
        } = new;
        let (ip, v6) = match address.ip {
            IpAddr::V4(ip) => (ip.to_bits(), 0),
            IpAddr::V6(ip) => (self.v6.insert(V6(ip)), Flag::V6 as u32),
        };
        self.slots.insert(Entry {
            uuid,
            heartbeat: now,
            ttl_and_flags: ttl_ms | v6,
            service_type,
            ip,
            port: address.port,
            ..Entry::default()
        })
    }

    /// Removes the entry in `slot`, which has no tags or metadata any more.
    pub(super) fn remove(&mut self, slot: u32) {
        let entry = self.slots.remove(slot);
        debug_assert!(!entry.has(Flag::Labelled));
        if entry.has(Flag::V6) {
            self.v6.remove(entry.ip);
        }
    }

    /// The number of the entry's set of tags and metadata, if it has any.
    pub(super) fn label_set(&self, slot: u32) -> Option<u32> {
        let entry = self.get(slot);
        entry
            .has(Flag::Labelled)
            .then(|| self.labelled[entry.ip].set)
    }

    /// Gives the entry this set, or none, and returns the one that it had.
    pub(super) fn set_label_set(&mut self, slot: u32, set: Option<u32>) -> Option<u32> {
        let entry = &mut self.slots[slot];
        let is_labelled = entry.has(Flag::Labelled);
        match set {
            Some(set) if is_labelled => {
                let old = &mut self.labelled[entry.ip].set;
                Some(std::mem::replace(old, set))
            }
            Some(set) => {
                entry.ip = self.labelled.insert(Labelled { ip: entry.ip, set });
                entry.ttl_and_flags |= Flag::Labelled as u32;
                None
            }
            None if is_labelled => {
                let Labelled { ip, set } = self.labelled.remove(entry.ip);
                entry.ip = ip;
                entry.ttl_and_flags &= !(Flag::Labelled as u32);
                Some(set)
            }
            None => None,
        }
    }

    /// Entries with tags or metadata.
    pub(super) fn labelled_len(&self) -> usize {
        self.labelled.len() as usize
    }

    pub(super) fn get(&self, slot: u32) -> &Entry {
        &self.slots[slot]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.slots[slot]
    }

    /// The address of the service.
    pub(super) fn address(&self, slot: u32) -> ServiceAddress {
        let entry = &self.slots[slot];
        let packed = if entry.has(Flag::Labelled) {
            self.labelled[entry.ip].ip
        } else {
            entry.ip
        };
        let ip = if entry.has(Flag::V6) {
            IpAddr::V6(self.v6[packed].0)
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(packed))
        };
        ServiceAddress {
            ip,
            port: entry.port,
        }
    }
}

impl WheelLinks for Entries {
    fn wheel_link(&mut self, slot: u32) -> &mut WheelLink {
        &mut self.slots[slot].timer
    }
}
