//! DNS: services by name for everything that can resolve (RFC 1035).
//!
//! One message is one question. Over TCP each has its length before it (RFC 7766); in a datagram it is all
//! there is. The registry is asked for the services of a type; everything else a name can mean is known
//! here.

mod address_name;
mod query;
mod records;
mod response;
mod site;
#[cfg(test)]
mod tests;
mod zone;

use std::rc::Rc;

use domain::base::iana::{Class, Rtype};

use super::output::Output;
use super::{Decoded, Step};
use crate::limits::DNS_QUERY_LEN_MAX;
use crate::message::{
    CloseReason, Command, Credential, DnsCode, DnsRefusal, DnsTransport, Refusal, Reply, Request,
};

use query::{Edns, Head, Parsed, Question};
use response::{Asked, Response};
pub use site::{Counters, Site};
use zone::Subject;
pub use zone::{Zone, ZoneError};

/// The questions of one connection, or datagram, and their answers.
#[derive(Debug)]
pub struct Exchange {
    site: Rc<Site>,
    transport: DnsTransport,
    /// The question that is not answered yet.
    asked: Option<Asked>,
    /// The response code of the last answer.
    answered: Option<DnsCode>,
}

impl Exchange {
    /// An exchange before its first question.
    #[must_use]
    pub fn new(site: &Rc<Site>, transport: DnsTransport) -> Self {
        Exchange {
            site: Rc::clone(site),
            transport,
            asked: None,
            answered: None,
        }
    }

    /// As [`Codec::decode`](super::Codec::decode).
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match self.transport {
            DnsTransport::Udp => Step {
                consumed: input.len(),
                decoded: self.read(input).unwrap_or(Decoded::Incomplete),
            },
            DnsTransport::Tcp => self.decode_stream(input),
        }
    }

    /// Messages that must not be answered are passed over.
    fn decode_stream<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let mut consumed = 0;
        while let Some((prefix, rest)) = input[consumed..].split_first_chunk() {
            let len = usize::from(u16::from_be_bytes(*prefix));
            if len > DNS_QUERY_LEN_MAX {
                return Step {
                    consumed: input.len(),
                    decoded: Decoded::Refused(Refusal::Dns(DnsRefusal::TooLong)),
                };
            }
            let Some(message) = rest.get(..len) else {
                break;
            };
            consumed += prefix.len() + len;
            if let Some(decoded) = self.read(message) {
                return Step { consumed, decoded };
            }
        }
        Step {
            consumed,
            decoded: Decoded::Incomplete,
        }
    }

    /// Reads one message; `None` where it must not be answered.
    fn read<'a>(&mut self, message: &'a [u8]) -> Option<Decoded<'a>> {
        self.asked = None;
        match query::parse(message) {
            Parsed::Silence => None,
            Parsed::OtherOpcode(head) => {
                let head = Head {
                    recursion_desired: false,
                    ..head
                };
                Some(self.refuse(bare(head, None), DnsRefusal::Opcode))
            }
            Parsed::Malformed(head, edns) => {
                Some(self.refuse(bare(head, edns), DnsRefusal::Malformed))
            }
            Parsed::Query(head, edns, question) => Some(self.ask(head, edns, question)),
        }
    }

    fn ask<'a>(&mut self, head: Head, edns: Option<Edns>, question: Question<'a>) -> Decoded<'a> {
        let mut asked = Asked {
            question: question.bytes.to_vec(),
            rtype: question.rtype,
            ..bare(head, edns)
        };
        if edns.is_some_and(|edns| edns.version > 0) {
            return self.refuse(asked, DnsRefusal::Version);
        }
        let is_of_class = matches!(question.class, Class::IN | Class::ANY);
        let is_transfer = matches!(question.rtype, Rtype::AXFR | Rtype::IXFR);
        let zone_at = self.site.zone.find_in(&question);
        let Some(zone_at) = zone_at.filter(|_| is_of_class && !is_transfer) else {
            return self.refuse(asked, DnsRefusal::Foreign);
        };
        let name = self.site.zone.name(&question, zone_at);
        asked.subject = name.subject;
        asked.zone_at = zone_at;
        self.asked = Some(asked);
        Decoded::Command(Command {
            credential: Credential::OfSession,
            request: Request::Resolve {
                service_type: name.service_type,
            },
        })
    }

    fn refuse(&mut self, asked: Asked, refusal: DnsRefusal) -> Decoded<'static> {
        self.asked = Some(asked);
        Decoded::Refused(Refusal::Dns(refusal))
    }

    /// Appends the answer, if there is one.
    pub fn encode(&mut self, reply: &Reply, output: &mut Output) {
        let Some(asked) = &self.asked else {
            return;
        };
        let response = Response::new(&self.site, asked, self.transport);
        let (code, message) = match reply {
            Reply::Endpoints { index, endpoints } => response.answer(endpoints.as_deref(), *index),
            Reply::Refused(Refusal::Dns(refusal)) => {
                let Some(code) = code(*refusal) else {
                    return;
                };
                (code, response.refuse(code))
            }
            Reply::Refused(Refusal::NotReady) => {
                (DnsCode::ServFail, response.refuse(DnsCode::ServFail))
            }
            _ => return,
        };
        self.answered = Some(code);
        self.push(&message, output);
    }

    /// Appends an answer with nothing in it in place of the last one, so that a client asks over TCP.
    pub fn encode_cut(&mut self, output: &mut Output) {
        if let Some(asked) = &self.asked {
            let message = Response::new(&self.site, asked, self.transport).cut_to_nothing();
            self.push(&message, output);
        }
    }

    /// A number that the last answer has in common with others of its kind: those to one question, or
    /// with one refusal.
    #[must_use]
    pub fn alike(&self) -> u64 {
        match (&self.asked, self.answered) {
            (Some(asked), Some(code)) => self.site.counters().alike(code, &asked.question),
            _ => 0,
        }
    }

    /// What is served.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    fn push(&self, message: &[u8], output: &mut Output) {
        if self.transport == DnsTransport::Tcp {
            output.push(&(message.len() as u16).to_be_bytes());
        }
        output.push(message);
    }

    /// Why the session ends after this reply, if it does.
    #[must_use]
    pub fn ends_with(&self, reply: &Reply) -> Option<CloseReason> {
        match reply {
            Reply::Refused(refusal) => refusal.close_reason(),
            _ => None,
        }
    }
}

/// A query of which only the header, and maybe the OPT record, is understood.
fn bare(head: Head, edns: Option<Edns>) -> Asked {
    Asked {
        head,
        edns,
        question: Vec::new(),
        rtype: Rtype::ANY,
        subject: Subject::Nothing,
        zone_at: 0,
    }
}

/// The response code of a refusal that is told.
fn code(refusal: DnsRefusal) -> Option<DnsCode> {
    match refusal {
        DnsRefusal::Malformed => Some(DnsCode::FormErr),
        DnsRefusal::Opcode => Some(DnsCode::NotImp),
        DnsRefusal::Version => Some(DnsCode::BadVers),
        DnsRefusal::Foreign => Some(DnsCode::Refused),
        DnsRefusal::TooLong | DnsRefusal::Overdue => None,
    }
}
