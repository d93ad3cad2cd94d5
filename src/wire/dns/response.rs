//! Composes responses.

use domain::base::iana::{OptRcode, Rtype};
use domain::base::opt::OptHeader;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Header, HeaderCounts, Name, Serial, Ttl};
use domain::rdata::{Ns, Soa};

use super::query::{Edns, HEADER_LEN, Head};
use super::records::{self, Addresses, Family, QUESTION_POINTER, Services};
use super::zone::Subject;
use super::{Site, records::MESSAGE_LEN_MAX};
use crate::limits::{DNS_ADDRESS_TTL, DNS_UDP_LEN_MAX};
use crate::message::{DnsCode, DnsTransport, Endpoints, Rendered};

/// Bytes of an OPT record without options.
const OPT_LEN: usize = 11;
/// The option of OPT that says "Not Ready" (RFC 8914): 15, two bytes, 14.
const NOT_READY: &[u8] = &[0, 15, 0, 2, 0, 14];
/// Seconds of an SOA record, for secondary servers, which there are none.
const REFRESH: u32 = 3600;
const RETRY: u32 = 600;
const EXPIRE: u32 = 86_400;

/// What is kept of a query until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) head: Head,
    pub(super) edns: Option<Edns>,
    /// As it came; empty where the answer repeats no question.
    pub(super) question: Vec<u8>,
    pub(super) rtype: Rtype,
    pub(super) subject: Subject,
    /// Where the zone begins in the name of the question.
    pub(super) zone_at: usize,
}

/// A response in the making.
pub(super) struct Response<'a> {
    site: &'a Site,
    asked: &'a Asked,
    transport: DnsTransport,
    bytes: Vec<u8>,
    answers: u16,
    authorities: u16,
    additionals: u16,
    is_cut: bool,
}

impl<'a> Response<'a> {
    pub(super) fn new(site: &'a Site, asked: &'a Asked, transport: DnsTransport) -> Self {
        let mut bytes = Vec::with_capacity(DNS_UDP_LEN_MAX);
        bytes.resize(HEADER_LEN, 0);
        bytes.extend_from_slice(&asked.question);
        Response {
            site,
            asked,
            transport,
            bytes,
            answers: 0,
            authorities: 0,
            additionals: 0,
            is_cut: false,
        }
    }

    /// The answer from the zone. `endpoints` are those of the type that the name stands for, if it has
    /// any, and `index` counts the changes of the registry.
    pub(super) fn answer(
        mut self,
        endpoints: Option<&Rendered<Endpoints>>,
        index: u64,
    ) -> (DnsCode, Vec<u8>) {
        let is_there = match (self.asked.subject, endpoints) {
            (Subject::Apex, _) => {
                self.answer_apex(index);
                true
            }
            (Subject::NameServer, _) => {
                self.answer_address(self.site.address);
                true
            }
            (Subject::Address(ip), _) => {
                self.answer_address(ip);
                true
            }
            (Subject::Type | Subject::Branch, Some(endpoints)) => {
                self.answer_type(endpoints);
                true
            }
            (Subject::Service, Some(endpoints)) => {
                if matches!(self.asked.rtype, Rtype::SRV | Rtype::ANY) {
                    self.answer_services(endpoints);
                }
                true
            }
            (Subject::Branch, None) => true,
            (Subject::Type | Subject::Service, None) | (Subject::Nothing, _) => false,
        };
        if self.answers == 0 && !self.is_cut {
            self.push_authority(index);
        }
        let code = if is_there {
            DnsCode::NoError
        } else {
            DnsCode::NxDomain
        };
        (code, self.finish(code, true))
    }

    /// An answer with nothing in it, which tells the client to ask over TCP.
    pub(super) fn cut_to_nothing(mut self) -> Vec<u8> {
        self.is_cut = true;
        self.finish(DnsCode::NoError, true)
    }

    /// An answer without records.
    pub(super) fn refuse(self, code: DnsCode) -> Vec<u8> {
        self.finish(code, false)
    }

    fn answer_apex(&mut self, index: u64) {
        match self.asked.rtype {
            Rtype::SOA | Rtype::ANY => {
                let soa = self.soa(index);
                self.push_answer(self.site.ttl, &soa);
            }
            Rtype::NS => {
                let ns = Ns::new(&self.site.zone.name_server);
                self.push_answer(self.site.ttl, &ns);
            }
            _ => {}
        }
    }

    fn answer_address(&mut self, ip: std::net::IpAddr) {
        let family = Family::of_type(self.asked.rtype);
        if self.asked.rtype == Rtype::ANY || family == Some(Family::of(ip)) {
            self.bytes.extend_from_slice(&QUESTION_POINTER);
            records::push_address(DNS_ADDRESS_TTL, ip, &mut self.bytes);
            self.answers += 1;
        }
    }

    fn answer_type(&mut self, endpoints: &Rendered<Endpoints>) {
        let families = match self.asked.rtype {
            Rtype::A => &[Family::V4][..],
            Rtype::AAAA => &[Family::V6],
            Rtype::ANY => &[Family::V4, Family::V6],
            Rtype::SRV => return self.answer_services(endpoints),
            _ => return,
        };
        for &family in families {
            let addresses = Addresses::of(endpoints, family, self.site);
            if !addresses.is_empty() {
                return self.answer_addresses(&addresses);
            }
        }
    }

    fn answer_addresses(&mut self, addresses: &Addresses<'_>) {
        let room = self.room();
        let (count, are_all) = addresses.push(room, self.site, &mut self.bytes);
        self.answers = count;
        self.is_cut = !are_all;
    }

    /// Where not all records fit, the addresses of their targets do not either.
    fn answer_services(&mut self, endpoints: &Rendered<Endpoints>) {
        let services = Services::of(endpoints, self.site);
        let (at, room) = (self.bytes.len(), self.room());
        let pushed = services.push(at, room, self.site, &mut self.bytes);
        self.answers = pushed.count;
        self.is_cut = !pushed.are_all;
        if pushed.are_all {
            let room = self.room();
            self.additionals = services.push_targets(&pushed, room, &mut self.bytes);
        }
    }

    fn push_answer<D: ComposeRecordData>(&mut self, ttl: u32, data: &D) {
        self.bytes.extend_from_slice(&QUESTION_POINTER);
        records::push_data(ttl, data, &mut self.bytes);
        self.answers += 1;
    }

    /// What says for how long clients may keep that there is nothing (RFC 2308).
    fn push_authority(&mut self, index: u64) {
        let soa = self.soa(index);
        let zone = records::pointer(HEADER_LEN + self.asked.zone_at);
        self.bytes.extend_from_slice(&zone);
        records::push_data(self.site.ttl, &soa, &mut self.bytes);
        self.authorities += 1;
    }

    fn soa(&self, index: u64) -> Soa<&'a Name<Vec<u8>>> {
        let zone = &self.site.zone;
        Soa::new(
            &zone.name_server,
            &zone.mailbox,
            Serial(index as u32),
            Ttl::from_secs(REFRESH),
            Ttl::from_secs(RETRY),
            Ttl::from_secs(EXPIRE),
            Ttl::from_secs(self.site.ttl),
        )
    }

    /// Bytes that may be appended.
    fn room(&self) -> usize {
        let len_max = match self.transport {
            DnsTransport::Udp => {
                let offered = self.asked.edns.map(|edns| edns.payload_len);
                self.site.datagram_len_max(offered)
            }
            DnsTransport::Tcp => MESSAGE_LEN_MAX,
        };
        let opt_len = self.asked.edns.map_or(0, |_| OPT_LEN);
        len_max.saturating_sub(self.bytes.len() + opt_len)
    }

    /// The OPT record stands last: there are clients that read nothing behind it.
    fn finish(mut self, code: DnsCode, is_authoritative: bool) -> Vec<u8> {
        let rcode = rcode(code);
        if let Some(edns) = self.asked.edns {
            let mut opt = OptHeader::default();
            opt.set_udp_payload_size(DNS_UDP_LEN_MAX as u16);
            opt.set_rcode(rcode);
            opt.set_dnssec_ok(edns.dnssec_ok);
            let Ok(()) = opt.compose(&mut self.bytes);
            let options = match code {
                DnsCode::ServFail => NOT_READY,
                _ => &[],
            };
            self.bytes
                .extend_from_slice(&(options.len() as u16).to_be_bytes());
            self.bytes.extend_from_slice(options);
            self.additionals += 1;
        }
        let head = self.asked.head;
        let mut header = Header::new();
        header.set_id(head.id);
        header.set_qr(true);
        header.set_opcode(head.opcode);
        header.set_aa(is_authoritative);
        header.set_rd(head.recursion_desired);
        header.set_tc(self.is_cut && self.transport == DnsTransport::Udp);
        header.set_rcode(rcode.rcode());
        let mut counts = HeaderCounts::new();
        counts.set_qdcount(u16::from(!self.asked.question.is_empty()));
        counts.set_ancount(self.answers);
        counts.set_nscount(self.authorities);
        counts.set_arcount(self.additionals);
        let (of_header, of_counts) = self.bytes[..HEADER_LEN].split_at_mut(size_of::<Header>());
        of_header.copy_from_slice(header.as_slice());
        of_counts.copy_from_slice(counts.as_slice());
        self.count(code);
        self.bytes
    }

    fn count(&self, code: DnsCode) {
        let is_truncated = self.is_cut && self.transport == DnsTransport::Udp;
        self.site.counters().count(|stats| {
            stats.queries.add(self.transport);
            stats.answers.add(code);
            stats.truncated += u64::from(is_truncated);
        });
        if self.is_cut && !is_truncated {
            let name_len = self.asked.question.len().saturating_sub(4);
            self.site.note_cut(&self.asked.question[..name_len]);
        }
    }
}

fn rcode(code: DnsCode) -> OptRcode {
    match code {
        DnsCode::NoError => OptRcode::NOERROR,
        DnsCode::FormErr => OptRcode::FORMERR,
        DnsCode::ServFail => OptRcode::SERVFAIL,
        DnsCode::NxDomain => OptRcode::NXDOMAIN,
        DnsCode::NotImp => OptRcode::NOTIMP,
        DnsCode::Refused => OptRcode::REFUSED,
        DnsCode::BadVers => OptRcode::BADVERS,
    }
}
