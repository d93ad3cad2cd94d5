//! What is special to DNS: its refusals, and its counters.

use serde::{Deserialize, Serialize};

use super::{CloseReason, Code, Named, Tally};

/// Why a message of DNS was refused, or could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DnsRefusal {
    /// It is malformed.
    Malformed,
    /// It is no query.
    Opcode,
    /// It has a version of EDNS that is not spoken here.
    Version,
    /// It asks for something outside the zone, for another class, or for a whole zone.
    Foreign,
    /// It is longer than a query may be.
    TooLong,
    /// It was not complete in time.
    Overdue,
}

impl DnsRefusal {
    /// Why the session must close after this refusal, if it must.
    pub(super) fn close_reason(self) -> Option<CloseReason> {
        match self {
            DnsRefusal::TooLong => Some(CloseReason::Protocol),
            DnsRefusal::Overdue => Some(CloseReason::Incomplete),
            _ => None,
        }
    }

    /// The kind of the refusal.
    pub(super) const fn code(self) -> Code {
        match self {
            DnsRefusal::Malformed | DnsRefusal::Overdue => Code::Invalid,
            DnsRefusal::Opcode | DnsRefusal::Version => Code::Unsupported,
            DnsRefusal::Foreign => Code::Forbidden,
            DnsRefusal::TooLong => Code::TooLarge,
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            DnsRefusal::Malformed => "the DNS message is malformed",
            DnsRefusal::Opcode => "the DNS message is no query",
            DnsRefusal::Version => "the version of EDNS is not 0",
            DnsRefusal::Foreign => "the question is outside the zone",
            DnsRefusal::TooLong => "the DNS query is too long",
            DnsRefusal::Overdue => "the DNS query is not complete in time",
        }
    }
}

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "these are the names of the transports")]
pub enum DnsTransport {
    Udp,
    Tcp,
}

impl DnsTransport {
    /// Both.
    pub const ALL: [DnsTransport; 2] = [DnsTransport::Udp, DnsTransport::Tcp];
}

/// The response codes that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "these are the names of the protocol")]
pub enum DnsCode {
    NoError,
    FormErr,
    ServFail,
    NxDomain,
    NotImp,
    Refused,
    BadVers,
}

impl DnsCode {
    /// All of them, in the order of their declaration.
    pub const ALL: [DnsCode; 7] = [
        DnsCode::NoError,
        DnsCode::FormErr,
        DnsCode::ServFail,
        DnsCode::NxDomain,
        DnsCode::NotImp,
        DnsCode::Refused,
        DnsCode::BadVers,
    ];
}

/// The counters of DNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsStats {
    /// Queries that were answered, by transport.
    pub queries: Tally<DnsTransport, { DnsTransport::ALL.len() }>,
    /// Their answers, by response code.
    pub answers: Tally<DnsCode, { DnsCode::ALL.len() }>,
    /// Answers that were cut and said so.
    pub truncated: u64,
    /// Answers that were dropped, because the socket could not take them at once.
    pub dropped: u64,
    /// Answers that were held back, or cut to nothing, because too many alike went to one network.
    pub rate_limited: u64,
}

impl Named<{ DnsTransport::ALL.len() }> for DnsTransport {
    const ALL: [Self; DnsTransport::ALL.len()] = DnsTransport::ALL;

    fn name(self) -> &'static str {
        match self {
            DnsTransport::Udp => "udp",
            DnsTransport::Tcp => "tcp",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Named<{ DnsCode::ALL.len() }> for DnsCode {
    const ALL: [Self; DnsCode::ALL.len()] = DnsCode::ALL;

    fn name(self) -> &'static str {
        match self {
            DnsCode::NoError => "NOERROR",
            DnsCode::FormErr => "FORMERR",
            DnsCode::ServFail => "SERVFAIL",
            DnsCode::NxDomain => "NXDOMAIN",
            DnsCode::NotImp => "NOTIMP",
            DnsCode::Refused => "REFUSED",
            DnsCode::BadVers => "BADVERS",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}
