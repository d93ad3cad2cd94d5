//! One registration, and the memory that all of them lie in.

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

/// A registration: what the customer's five fields are, and its places in the indexes. One cache
/// line, so that a heartbeat touches one.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) uuid: Uuid,
    /// The last heartbeat; at first, the registration.
    pub(super) heartbeat: Moment,
    /// The TTL in milliseconds, and above it the flags.
    ttl_and_flags: u32,
    /// The slot of its type.
    pub(super) service_type: u32,
    /// Neighbours in the type's list, which is in the order of registration.
    pub(super) previous: u32,
    pub(super) next: u32,
    /// The next entry with the same bucket in the index by UUID; in a free slot, the next free one.
    pub(super) chain: u32,
    /// Its position among the entries at its address, where the address index knows it.
    pub(super) address_position: u32,
    /// Its place in the wheel; one that is held has none.
    pub(super) timer: WheelLink,
    ip: PackedIp,
    port: NonZeroU16,
}

/// An IPv4 address, or the key of an IPv6 address on the side: most services have the former.
type PackedIp = u32;

const _: () = assert!(size_of::<Entry>() == 64, "an entry is one cache line");

/// The bits that the longest TTL needs; those above are flags.
const TTL_BITS: u32 = 27;
const _: () = assert!(*TTL_SECONDS.end() as u64 * 1000 < 1 << TTL_BITS);

/// What is true of an entry.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Flag {
    /// The slot is in use.
    Used = 1 << TTL_BITS,
    /// The address is on the side.
    V6 = 1 << (TTL_BITS + 1),
    /// It lives as long as its holder says, whatever its TTL.
    Held = 1 << (TTL_BITS + 2),
    /// It was told of as coming late.
    Late = 1 << (TTL_BITS + 3),
}

impl Entry {
    /// Live while the last heartbeat is less than the TTL old, and always while it is held.
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

    /// Lives until it is removed, whatever its TTL; it is not in the wheel.
    pub(super) fn hold(&mut self) {
        self.ttl_and_flags |= Flag::Held as u32;
    }

    pub(super) fn is_held(&self) -> bool {
        self.has(Flag::Held)
    }

    pub(super) fn is_used(&self) -> bool {
        self.has(Flag::Used)
    }

    /// Notes a heartbeat at `now`; `true` when it is the first that came in the last tenth of the TTL.
    pub(super) fn beat(&mut self, now: Moment) -> bool {
        let age = now.millis_since(self.heartbeat);
        self.heartbeat = now;
        // Nearly all come in the first half.
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

/// What a new entry is made of; its places in the indexes come later.
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

    /// Frees a slot. When the last entry goes, all memory is given back.
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

    /// Where the service can be reached.
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
