//! Records of services, composed once for each state of a type, and cut and rotated for each answer.
//!
//! The owner of each record is a pointer to the question, so that the records can stand behind any.

use std::collections::HashSet;
use std::net::IpAddr;

use domain::base::Ttl;
use domain::base::iana::{Class, Rtype};
use domain::base::name::Name;
use domain::base::rdata::ComposeRecordData;
use domain::rdata::{A, Aaaa, Srv};

use super::Site;
use super::address_name;
use super::query::HEADER_LEN;
use crate::limits::DNS_ADDRESS_TTL;
use crate::message::{Bytes, Endpoint, Endpoints, Form, Rendered};

/// A pointer to the name of the question.
pub(super) const QUESTION_POINTER: [u8; 2] = pointer(HEADER_LEN);
/// Offsets that a pointer can name.
const POINTER_LIMIT: usize = 0x4000;
/// Bytes of a record before its data, with a pointer as its owner.
const RECORD_HEAD_LEN: usize = 2 + 10;
/// Bytes of the data of an SRV record before the target.
const SRV_HEAD_LEN: usize = 6;
/// The label between the name of an address and the zone, with its length.
const ADDR_LABEL: &[u8] = b"\x04addr";

/// A pointer to this offset, which must be below [`POINTER_LIMIT`].
pub(super) const fn pointer(offset: usize) -> [u8; 2] {
    (0xC000 | offset as u16).to_be_bytes()
}

/// Appends the type, the class, the TTL and the data of a record.
pub(super) fn push_data<D: ComposeRecordData>(ttl: u32, data: &D, to: &mut Vec<u8>) {
    let rtype = data.rtype();
    let Ok(()) = rtype.compose(to);
    let Ok(()) = Class::IN.compose(to);
    let Ok(()) = Ttl::from_secs(ttl).compose(to);
    let Ok(()) = data.compose_len_rdata(to);
}

/// Appends the address record of `ip` without its owner.
pub(super) fn push_address(ttl: u32, ip: IpAddr, to: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => push_data(ttl, &A::new(ip), to),
        IpAddr::V6(ip) => push_data(ttl, &Aaaa::new(ip), to),
    }
}

/// Bytes of the longest message, and so of the records in it.
pub(super) const MESSAGE_LEN_MAX: usize = u16::MAX as usize;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The family that records of this type are for.
    pub(super) fn of_type(rtype: Rtype) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Family::V4),
            Rtype::AAAA => Some(Family::V6),
            _ => None,
        }
    }

    fn form(self) -> Form {
        match self {
            Family::V4 => Form::DnsIpv4,
            Family::V6 => Form::DnsIpv6,
        }
    }

    /// Bytes of an address record whose owner is a pointer.
    const fn record_len(self) -> usize {
        match self {
            Family::V4 => RECORD_HEAD_LEN + 4,
            Family::V6 => RECORD_HEAD_LEN + 16,
        }
    }
}

/// The address records of a name, each address once.
pub(super) struct Addresses<'a> {
    records: &'a Bytes,
    record_len: usize,
}

impl<'a> Addresses<'a> {
    /// Those of one family.
    pub(super) fn of(endpoints: &'a Rendered<Endpoints>, family: Family, site: &Site) -> Self {
        Addresses {
            records: endpoints.render(family.form(), |all| compose_addresses(all, family, site)),
            record_len: family.record_len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Appends as many as fit into `room`; returns their number and whether that is all. Where all fit,
    /// each answer begins at another one.
    pub(super) fn push(&self, room: usize, site: &Site, to: &mut Vec<u8>) -> (u16, bool) {
        let len = self.records.len() / self.record_len;
        let fit = len.min(room / self.record_len);
        let first = if fit == len { site.begin(len) } else { 0 };
        let (before, behind) = self.records.split_at(first * self.record_len);
        to.extend_from_slice(&behind[..(fit - first) * self.record_len]);
        if first > 0 {
            to.extend_from_slice(before);
        }
        (fit as u16, fit == len)
    }
}

fn compose_addresses(endpoints: &Endpoints, family: Family, site: &Site) -> Vec<u8> {
    let mut told = HashSet::new();
    let mut records = Vec::new();
    let ips = endpoints.0.iter().map(|endpoint| endpoint.address.ip);
    for ip in ips.filter(|&ip| Family::of(ip) == family) {
        if records.len() > MESSAGE_LEN_MAX {
            break;
        }
        if told.insert(ip) {
            records.extend_from_slice(&QUESTION_POINTER);
            push_address(site.ttl, ip, &mut records);
        }
    }
    records
}

/// The SRV records of a name, and the addresses of their targets.
pub(super) struct Services<'a> {
    endpoints: &'a [Endpoint],
    records: &'a Bytes,
    zone_len: usize,
}

/// SRV records that were appended.
pub(super) struct Pushed {
    pub(super) count: u16,
    pub(super) are_all: bool,
    /// The endpoint of the first one.
    first: usize,
    /// Where the first one begins.
    at: usize,
}

impl<'a> Services<'a> {
    pub(super) fn of(endpoints: &'a Rendered<Endpoints>, site: &Site) -> Self {
        Services {
            records: endpoints.render(Form::DnsServices, |all| compose_services(all, site)),
            endpoints: &endpoints.0,
            zone_len: site.zone.wire().len(),
        }
    }

    /// Bytes of the record of an endpoint.
    fn record_len(&self, endpoint: &Endpoint) -> usize {
        let target_len = 1 + address_name::label_len(endpoint.address.ip) + ADDR_LABEL.len();
        RECORD_HEAD_LEN + SRV_HEAD_LEN + target_len + self.zone_len
    }

    fn len_of(&self, endpoints: &[Endpoint]) -> usize {
        let lens = endpoints.iter().map(|endpoint| self.record_len(endpoint));
        lens.sum()
    }

    /// Appends as many records as fit into `room`, `at` of a message. Where all fit, each answer begins at
    /// another one; otherwise the same ones are told each time, oldest registrations first, because
    /// there are clients that take those which are missing for gone.
    pub(super) fn push(&self, at: usize, room: usize, site: &Site, to: &mut Vec<u8>) -> Pushed {
        let mut len = 0;
        let fits = |endpoint: &&Endpoint| {
            len += self.record_len(endpoint);
            len <= room
        };
        let count = self.endpoints.iter().take_while(fits).count();
        let are_all = count == self.endpoints.len();
        let first = if are_all { site.begin(count) } else { 0 };
        let (before, behind) = self.records.split_at(self.len_of(&self.endpoints[..first]));
        let len = self.len_of(&self.endpoints[first..count]);
        to.extend_from_slice(&behind[..len]);
        if first > 0 {
            to.extend_from_slice(before);
        }
        Pushed {
            count: count as u16,
            are_all,
            first,
            at,
        }
    }

    /// Appends the addresses of the targets of all records, in the order of these, as many as fit into
    /// `room`; returns their number.
    pub(super) fn push_targets(&self, pushed: &Pushed, room: usize, to: &mut Vec<u8>) -> u16 {
        let end = to.len() + room;
        let (before, behind) = self.endpoints.split_at(pushed.first);
        let mut target_at = pushed.at + RECORD_HEAD_LEN + SRV_HEAD_LEN;
        // Behind the label of the first target, which is always near enough to be pointed to.
        let addr_at = target_at
            + 1
            + behind
                .first()
                .map_or(0, |of| address_name::label_len(of.address.ip));
        let mut count = 0;
        for endpoint in behind.iter().chain(before) {
            let ip = endpoint.address.ip;
            let is_far = target_at >= POINTER_LIMIT;
            let label_len = if is_far {
                1 + address_name::label_len(ip)
            } else {
                0
            };
            if to.len() + label_len + Family::of(ip).record_len() > end {
                break;
            }
            if is_far {
                address_name::push_label(endpoint.address, to);
                to.extend_from_slice(&pointer(addr_at));
            } else {
                to.extend_from_slice(&pointer(target_at));
            }
            push_address(DNS_ADDRESS_TTL, ip, to);
            target_at += self.record_len(endpoint);
            count += 1;
        }
        count
    }
}

fn compose_services(endpoints: &Endpoints, site: &Site) -> Vec<u8> {
    let mut records = Vec::new();
    for endpoint in &endpoints.0 {
        if records.len() > MESSAGE_LEN_MAX {
            break;
        }
        let Endpoint {
            address,
            priority,
            weight,
        } = *endpoint;
        let mut target = Vec::new();
        address_name::push_label(address, &mut target);
        target.extend_from_slice(ADDR_LABEL);
        target.extend_from_slice(site.zone.wire());
        // The bound on the zone's length leaves room for the labels.
        let Ok(target) = Name::from_octets(target) else {
            break;
        };
        records.extend_from_slice(&QUESTION_POINTER);
        let data = Srv::new(priority, weight, address.port.get(), target);
        push_data(site.ttl, &data, &mut records);
    }
    records
}
