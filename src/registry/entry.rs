//! One registration, and the storage of all registrations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use slab::Slab;
use uuid::Uuid;

use super::NONE;
use super::pages::Pages;
use crate::limits::TTL_SECONDS;
use crate::message::ServiceAddress;
use crate::time::Moment;
use crate::time::wheel::{WheelLink, WheelLinks};

/// A registration: its UUID, type, IP address, port and last heartbeat, and its places in the
/// indexes. It fills one cache line, so a heartbeat touches only one.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) uuid: Uuid,
    /// The last heartbeat; at first, the moment of registration.
    pub(super) heartbeat: Moment,
    /// The TTL in milliseconds in the lower bits, the flags in the upper ones.
    ttl_and_flags: u32,
    /// The slot of its type.
    pub(super) service_type: u32,
    /// Neighbours in the type's list, which is in the order of registration.
    pub(super) previous: u32,
    pub(super) next: u32,
    /// The next entry with the same bucket in the index by UUID; in a free slot, the next free one.
    pub(super) chain: u32,
    /// Its position among the entries at its address, if it is in the address index.
    pub(super) address_position: u32,
    /// Its place in the timing wheel; a held one has none.
    pub(super) timer: WheelLink,
    ip: PackedIp,
    port: NonZeroU16,
}

/// An IPv4 address, or the key of an IPv6 address in a side table, because most addresses are IPv4.
type PackedIp = u32;

const _: () = assert!(size_of::<Entry>() == 64, "an entry is one cache line");

/// The bits that the longest TTL needs; those above are flags.
const TTL_BITS: u32 = 27;
const _: () = assert!(*TTL_SECONDS.end() as u64 * 1000 < 1 << TTL_BITS);

/// The flags of an entry.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Flag {
    /// The slot is in use.
    Used = 1 << TTL_BITS,
    /// The address is IPv6, and is in the side table.
    V6 = 1 << (TTL_BITS + 1),
    /// It is held: it lives as long as its holder, whatever its TTL.
    Held = 1 << (TTL_BITS + 2),
    /// A late heartbeat of it has been reported.
    Late = 1 << (TTL_BITS + 3),
    /// A mark stands before it.
    Marked = 1 << (TTL_BITS + 4),
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

    /// Makes it live until it is removed, whatever its TTL; it must not be in the wheel.
    pub(super) fn hold(&mut self) {
        self.ttl_and_flags |= Flag::Held as u32;
    }

    pub(super) fn is_held(&self) -> bool {
        self.has(Flag::Held)
    }

    pub(super) fn is_used(&self) -> bool {
        self.has(Flag::Used)
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

/// The fields of a new entry, without its places in the indexes.
pub(super) struct NewEntry {
    pub(super) uuid: Uuid,
    pub(super) address: ServiceAddress,
    pub(super) ttl_ms: u32,
    pub(super) service_type: u32,
    pub(super) now: Moment,
}

/// All entries, by slot number.
#[derive(Debug)]
pub(super) struct Entries {
    /// 4,096 in a page of 256 KiB.
    slots: Pages<Entry, 12>,
    free: u32,
    len: u32,
    v6: Slab<Ipv6Addr>,
}

impl Default for Entries {
    fn default() -> Self {
        Entries {
            slots: Pages::default(),
            free: NONE,
            len: 0,
            v6: Slab::new(),
        }
    }
}

impl Entries {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Slots, the free ones included.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len()
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
            IpAddr::V6(ip) => (self.v6.insert(ip) as u32, Flag::V6 as u32),
        };
        let entry = Entry {
            uuid,
            heartbeat: now,
            ttl_and_flags: ttl_ms | Flag::Used as u32 | v6,
            service_type,
            previous: NONE,
            next: NONE,
            chain: NONE,
            address_position: NONE,
            timer: WheelLink::default(),
            ip,
            port: address.port,
        };
        self.len += 1;
        if self.free == NONE {
            return self.slots.push(entry);
        }
        let slot = self.free;
        self.free = std::mem::replace(&mut self.slots[slot], entry).chain;
        slot
    }

    /// Frees a slot. Frees all memory with the last entry.
    pub(super) fn remove(&mut self, slot: u32) {
        self.len -= 1;
        if self.len == 0 {
            *self = Entries::default();
            return;
        }
        let entry = &mut self.slots[slot];
        entry.chain = std::mem::replace(&mut self.free, slot);
        let flags = std::mem::take(&mut entry.ttl_and_flags);
        if flags & Flag::V6 as u32 != 0 {
            self.v6.remove(entry.ip as usize);
        }
    }

    pub(super) fn get(&self, slot: u32) -> &Entry {
        &self.slots[slot]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.slots[slot]
    }

    /// The address of the service.
    pub(super) fn address(&self, slot: u32) -> ServiceAddress {
        let entry = &self.slots[slot];
        let ip = if entry.has(Flag::V6) {
            IpAddr::V6(self.v6[entry.ip as usize])
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(entry.ip))
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
