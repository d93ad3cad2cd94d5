//! Every answer is read by another implementation, which is strict.

mod capacity;
mod meaning;
mod messages;
mod random;

use std::collections::HashSet;
use std::rc::Rc;

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::*;
use crate::message::{Endpoint, Endpoints, Rendered, ServiceAddress};

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const ANY: u16 = 255;
const IN: u16 = 1;

/// The zone with some types.
struct World {
    site: Rc<Site>,
    types: Vec<(String, Rc<Rendered<Endpoints>>)>,
}

impl World {
    /// Served at `address`.
    fn at(address: &str) -> Self {
        let zone = "service.internal".parse().unwrap();
        let address = address.parse().unwrap();
        World {
            site: Rc::new(Site::new(zone, 0, address, &Rc::default())),
            types: Vec::new(),
        }
    }

    /// Served on loopback.
    fn new() -> Self {
        Self::at("127.0.0.1")
    }

    fn with(mut self, name: &str, addresses: &[(&str, u16)]) -> Self {
        let endpoint = |&(ip, port): &(&str, u16)| Endpoint {
            address: ServiceAddress::new(ip, port.into()).unwrap(),
            priority: 1,
            weight: 1,
        };
        let endpoints = addresses.iter().map(endpoint).collect();
        let endpoints = Rc::new(Rendered::new(Endpoints(endpoints)));
        self.types.push((name.to_owned(), endpoints));
        self
    }

    /// So many services with addresses of their own.
    fn crowd(self, name: &str, v6: bool, len: u32) -> Self {
        let ip = |number: u32| match v6 {
            true => format!("2001:db8::{:x}:{:x}", number >> 16, number & 0xFFFF),
            false => std::net::Ipv4Addr::from(0x0A00_0000 + number).to_string(),
        };
        let ips: Vec<String> = (1..=len).map(ip).collect();
        let addresses: Vec<(&str, u16)> = ips.iter().map(|ip| (&**ip, 80)).collect();
        self.with(name, &addresses)
    }

    /// The answer to a message, as it is sent.
    fn ask(&self, transport: DnsTransport, message: &[u8]) -> Option<Vec<u8>> {
        let mut exchange = Exchange::new(&self.site, transport);
        let mut input = message.to_vec();
        if transport == DnsTransport::Tcp {
            input.splice(..0, (message.len() as u16).to_be_bytes());
        }
        let step = exchange.decode(&input);
        assert!(step.consumed == input.len());
        let reply = match step.decoded {
            Decoded::Command(command) => self.reply(&command.request),
            Decoded::Refused(refusal) => Reply::Refused(refusal),
            _ => return None,
        };
        let mut output = Output::default();
        exchange.encode(&reply, &mut output);
        let mut answer = output.take();
        if transport == DnsTransport::Tcp && !answer.is_empty() {
            let prefix: Vec<u8> = answer.drain(..2).collect();
            assert_eq!(prefix, (answer.len() as u16).to_be_bytes());
        }
        Some(answer)
    }

    fn reply(&self, request: &Request<'_>) -> Reply {
        let Request::Resolve { service_type } = request else {
            panic!("{request:?}");
        };
        let named = |name: &str| {
            let mut types = self.types.iter();
            let found = types.find(|(of, _)| of.eq_ignore_ascii_case(name));
            found.map(|(_, endpoints)| Rc::clone(endpoints))
        };
        Reply::Endpoints {
            index: 7,
            endpoints: service_type.as_ref().and_then(|name| named(name.as_str())),
        }
    }

    /// The answer in a datagram to a question without EDNS, as text.
    fn look_up(&self, name: &str, rtype: u16) -> Vec<String> {
        let question = query(name, rtype);
        show(&read(&self.ask(DnsTransport::Udp, &question).unwrap()))
    }
}

/// A query without EDNS. A dot is the end of a label.
fn query(name: &str, rtype: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&rtype.to_be_bytes());
    message.extend_from_slice(&IN.to_be_bytes());
    message
}

/// The same with an OPT record.
fn with_edns(mut message: Vec<u8>, payload_len: u16, version: u8, flags: u16) -> Vec<u8> {
    message[11] += 1;
    message.extend_from_slice(&[0, 0, 41]);
    message.extend_from_slice(&payload_len.to_be_bytes());
    message.extend_from_slice(&[0, version]);
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message
}

/// Reads an answer strictly, and checks what holds for every one.
fn read(answer: &[u8]) -> Message {
    let mut decoder = BinDecoder::new(answer);
    let message = Message::read(&mut decoder).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert!(decoder.is_empty(), "bytes behind the message: {answer:?}");
    let meta = &message.metadata;
    assert_eq!(answer[2] & 0x80, 0x80, "it is an answer");
    assert_eq!(
        answer[3] & 0xF0,
        0,
        "no recursion, and no bit that was not asked for"
    );
    assert!(meta.authoritative || message.answers.is_empty());
    for records in [&message.answers, &message.additionals] {
        let distinct: HashSet<String> = records.iter().map(line).collect();
        assert_eq!(distinct.len(), records.len(), "no record is told twice");
    }
    if let Some(edns) = &message.edns {
        let tail = &answer[answer.len() - 11..];
        assert_eq!(tail[..3], [0, 0, 41], "the OPT record is the last");
        assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
    }
    for record in &message.authorities {
        assert_eq!(record.record_type(), RecordType::SOA);
        assert!(message.answers.is_empty());
    }
    message
}

fn line(record: &Record) -> String {
    let Record {
        name, ttl, data, ..
    } = record;
    format!("{} {ttl} {} {data}", name.to_ascii(), record.record_type())
}

/// The response code and the flags, and each record on a line with the section's letter.
fn show(message: &Message) -> Vec<String> {
    let meta = &message.metadata;
    let flag = |is_set, name| if is_set { name } else { "" };
    let first = format!(
        "{:?}{}{}{}",
        meta.response_code,
        flag(meta.authoritative, " aa"),
        flag(meta.truncation, " tc"),
        flag(meta.recursion_desired, " rd")
    );
    let section = |letter, records: &[Record]| -> Vec<String> {
        records
            .iter()
            .map(|record| format!("{letter} {}", line(record)))
            .collect()
    };
    [
        vec![first],
        section("an", &message.answers),
        section("ns", &message.authorities),
        section("ar", &message.additionals),
    ]
    .concat()
}
