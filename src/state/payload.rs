//! The fields of a record's payload.

use std::net::IpAddr;
use std::num::NonZeroU16;

use uuid::Uuid;

use crate::limits::TTL_SECONDS;
use crate::message::{Labels, ServiceType, check_ip};

/// Reads one field after the other. `None` where a field is not whole, or is not what it must be.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Reader(payload)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    pub(super) fn ttl_ms(&mut self) -> Option<u32> {
        let ttl_ms = self.array().map(u32::from_le_bytes)?;
        let range = TTL_SECONDS.start() * 1000..=TTL_SECONDS.end() * 1000;
        range.contains(&ttl_ms).then_some(ttl_ms)
    }

    pub(super) fn port(&mut self) -> Option<NonZeroU16> {
        NonZeroU16::new(self.u16()?)
    }

    pub(super) fn ip(&mut self, is_v6: bool) -> Option<IpAddr> {
        let ip = match is_v6 {
            true => IpAddr::from(self.array::<16>()?),
            false => IpAddr::from(self.array::<4>()?),
        };
        check_ip(ip).ok()
    }

    pub(super) fn service_type(&mut self) -> Option<&'a str> {
        let len = self.u8()?;
        let name = self.text(len.into())?;
        ServiceType::new(name).ok().map(|_| name)
    }

    fn text(&mut self, len: usize) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(len)?).ok()
    }

    pub(super) fn labels(&mut self) -> Option<Option<Labels>> {
        let mut labels = Labels::default();
        for _ in 0..self.u8()? {
            let len = self.u8()?;
            labels.add_tag(self.text(len.into())?).ok()?;
        }
        for _ in 0..self.u8()? {
            let len = self.u8()?;
            let key = self.text(len.into())?;
            let len = self.u16()?;
            labels.add_pair(key, self.text(len.into())?).ok()?;
        }
        Some((!labels.is_empty()).then_some(labels))
    }
}

/// Appends tags and metadata: the count of tags, each with its length, and then likewise the pairs.
pub(super) fn put_labels(labels: Option<&Labels>, to: &mut Vec<u8>) {
    let Some(labels) = labels else {
        to.extend([0, 0]);
        return;
    };
    to.push(labels.tags().len() as u8);
    for tag in labels.tags() {
        to.push(tag.len() as u8);
        to.extend(tag.as_bytes());
    }
    to.push(labels.meta().len() as u8);
    for (key, value) in labels.meta() {
        to.push(key.len() as u8);
        to.extend(key.as_bytes());
        to.extend((value.len() as u16).to_le_bytes());
        to.extend(value.as_bytes());
    }
}
