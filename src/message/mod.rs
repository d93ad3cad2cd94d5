//! The vocabulary: the requests of clients, the replies of the service, and the reasons for refusals.
//!
//! Values are checked when they are made, so a [`Request`] that exists is valid. This module
//! has no knowledge of sockets, wire formats or the registry.

mod address;
mod catalog;
mod change;
mod close_reason;
mod cluster_stats;
mod code;
mod credential;
mod dns;
mod document;
mod endpoint;
mod frequent;
mod http_refusal;
mod id;
mod labels;
mod link;
mod outcome;
mod owned;
mod owner;
mod part;
mod refusal;
mod rendering;
mod reply;
mod service_type;
mod state_stats;
mod tally;
mod update;
mod verb;
mod work;

use std::borrow::Cow;
use std::time::Duration;

use uuid::{Uuid, Variant, Version};

use crate::limits::{QUERY_LIMIT_MAX, TTL_SECONDS};

pub use address::{Offer, ServiceAddress, check_ip, parse_port};
pub use catalog::{After, Catalog, Name, Names};
pub use change::{Change, ChangeKind};
pub use close_reason::CloseReason;
pub use cluster_stats::{ClusterState, ClusterStats};
pub use code::Code;
pub use credential::Credential;
pub use dns::{DnsCode, DnsRefusal, DnsStats, DnsTransport};
pub use document::{Document, Gone, Metrics, Process, Reason, Record, Stats, TypeCount, Why};
pub use endpoint::{Endpoint, Endpoints};
pub use frequent::{Frequent, Heartbeats};
pub use http_refusal::HttpRefusal;
pub use id::Id;
pub use labels::Labels;
pub use link::{LinkCommand, LinkEnd, LinkEvent};
pub use outcome::{Delivery, Outcome, Peer, Responder};
pub use owner::NodeNumber;
pub use part::{Part, Rows};
pub use refusal::Refusal;
pub use rendering::{Bytes, Form, Rendered};
pub use reply::{Reply, Services};
pub use service_type::ServiceType;
pub use state_stats::{StateHealth, StateStats};
pub use tally::{Named, Tally};
pub use update::{Delta, Removal, Service, Share, Snapshot, Update};
pub use verb::Verb;
pub use work::Work;

/// A request, with what shows who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What the peer shows before the request is run.
    pub credential: Credential<'a>,
    /// The request.
    pub request: Request<'a>,
}

impl Command<'_> {
    /// Runs the command. Checks its credential first; if that fails, the refusal is the answer.
    #[inline]
    pub fn run(&self, responder: &mut impl Responder, peer: &mut Peer) -> Outcome {
        match self.credential.show(responder, peer) {
            Ok(()) => responder.apply(&self.request, peer),
            Err(refused) => refused,
        }
    }
}

impl<'a> Request<'a> {
    /// The service that the request would register, if it does.
    #[must_use]
    pub fn offer(&self) -> Option<&Offer<'a>> {
        match self {
            Request::Register { offer, .. }
            | Request::Hold { offer, .. }
            | Request::Revive { offer, .. } => Some(offer),
            _ => None,
        }
    }

    /// Whether the request needs a session, because its effect lasts as long as one.
    #[must_use]
    pub fn needs_session(&self) -> bool {
        matches!(self, Request::Hold { .. } | Request::Watch { .. })
    }
}

/// A well-formed request. It borrows from the input where it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Present a token.
    Auth {
        /// The token, not yet checked.
        token: Cow<'a, str>,
    },
    /// Make a new registration.
    Register {
        /// The service to register.
        offer: Offer<'a>,
        /// How long it lives without a heartbeat, if that is not the service's own TTL.
        ttl: Option<Ttl>,
        /// Whether it replaces all others of its type at its address.
        replace: bool,
        /// Its tags and metadata, if it has any.
        labels: Option<Box<Labels>>,
    },
    /// Make a new registration that lives as long as the connection.
    Hold {
        /// The service to register.
        offer: Offer<'a>,
        /// As for [`Request::Register`].
        ttl: Option<Ttl>,
        /// As for [`Request::Register`].
        replace: bool,
        /// As for [`Request::Register`].
        labels: Option<Box<Labels>>,
    },
    /// Keep a registration alive. `None` stands for a word that is not a UUID, so no registration can
    /// have it.
    Heartbeat {
        /// The registration.
        uuid: Option<Uuid>,
    },
    /// Keep a registration alive, or re-register it under its UUID when no live one has it. Refused
    /// when a live one of another type or address has it.
    Revive {
        /// The registration; its UUID is of version 4.
        uuid: Uuid,
        /// The service to re-register.
        offer: Offer<'a>,
        /// As for [`Request::Register`].
        ttl: Option<Ttl>,
        /// As for [`Request::Register`].
        labels: Option<Box<Labels>>,
    },
    /// Replace the tags and metadata of a registration.
    Update {
        /// As for [`Request::Heartbeat`].
        uuid: Option<Uuid>,
        /// All that it has from now on.
        labels: Option<Box<Labels>>,
    },
    /// Remove a registration.
    Deregister {
        /// As for [`Request::Heartbeat`].
        uuid: Option<Uuid>,
    },
    /// The addresses of all live registrations of a type.
    Query {
        /// The type of the services.
        service_type: ServiceType<'a>,
        /// Only services whose last heartbeat is younger than this.
        max_age: Option<Ttl>,
        /// Only services that have all of these.
        labels: Option<Box<Labels>>,
        /// At most so many services, drawn at random.
        limit: Option<u32>,
    },
    /// The endpoints of all types with this name, in any case of its ASCII letters.
    Resolve {
        /// The name; without one, only the count of changes is asked for.
        service_type: Option<ServiceType<'a>>,
    },
    /// The names of all types, with the number of their registrations.
    Types,
    /// The records of all registrations, of one type or of all.
    List {
        /// The type, or all.
        service_type: Option<ServiceType<'a>>,
        /// As for [`Request::Query`].
        labels: Option<Box<Labels>>,
    },
    /// The registrations of one type or of all, without ages.
    Catalog {
        /// The type, or all.
        service_type: Option<ServiceType<'a>>,
        /// As for [`Request::Query`].
        labels: Option<Box<Labels>>,
        /// Only once the answer is another one.
        after: Option<After>,
    },
    /// The names of all types, with the tags of their registrations.
    Names {
        /// As for [`Request::Catalog`].
        after: Option<After>,
    },
    /// What no registration changes, and for whose change a client may wait nevertheless.
    Constant {
        /// As for [`Request::Catalog`].
        after: Option<After>,
    },
    /// The state of a registration, or the reason for its removal.
    Why {
        /// As for [`Request::Heartbeat`].
        uuid: Option<Uuid>,
    },
    /// Receive a snapshot and then every change, of one type or of all.
    Watch {
        /// The type, or all.
        service_type: Option<ServiceType<'a>>,
    },
    /// The statistics of the service.
    Stats,
    /// The statistics of the service and of its process, for a monitor.
    Metrics {
        /// Whether also those of each type, of which there may be many.
        types: bool,
    },
    /// Show that the service answers.
    Ping,
    /// Show that the service answers questions: a node of a cluster does so when it has loaded what there is.
    Health,
    /// Name the commands.
    Help,
    /// End the connection.
    Quit,
}

/// A duration that a client may give: whole seconds, 1 to 86400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u32);

impl Ttl {
    /// Takes decimal digits.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Ttl> {
        Ttl::new(plain_number(digits.as_bytes())?)
    }

    /// Takes a number of seconds.
    #[must_use]
    pub fn new(seconds: u64) -> Option<Ttl> {
        let seconds = u32::try_from(seconds).ok()?;
        TTL_SECONDS.contains(&seconds).then_some(Ttl(seconds))
    }

    /// The duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

/// Reads the limit of a query.
///
/// # Errors
/// [`Refusal::OptionLimit`] for anything but a number from 1 to [`QUERY_LIMIT_MAX`].
pub fn parse_limit(digits: &str) -> Result<u32, Refusal> {
    query_limit(plain_number(digits.as_bytes()).unwrap_or(0))
}

/// Takes the limit of a query.
///
/// # Errors
/// As [`parse_limit`].
pub fn query_limit(limit: u64) -> Result<u32, Refusal> {
    let is_limit = (1..=QUERY_LIMIT_MAX as u64).contains(&limit);
    is_limit.then_some(limit as u32).ok_or(Refusal::OptionLimit)
}

/// A number in decimal digits and nothing else: no sign, no leading zero.
fn plain_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(digit.into())?;
        (digit <= 9).then_some(number)
    })
}

/// Reads a UUID as clients must write it: 36 characters with hyphens, in either case
/// (RFC 9562 section 4). `None` for anything else.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    const HYPHENATED_LEN: usize = 36;
    if text.len() != HYPHENATED_LEN {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// Reads a UUID that its client asks to register under. Only version 4 is taken (RFC 9562 section
/// 5.4): those are random, so that two services do not choose the same, and nobody can guess them.
///
/// # Errors
/// A [`Refusal`] that says what is wrong with it.
pub fn parse_random_uuid(text: &str) -> Result<Uuid, Refusal> {
    let uuid = parse_uuid(text).ok_or(Refusal::Uuid)?;
    let is_random =
        uuid.get_version() == Some(Version::Random) && uuid.get_variant() == Variant::RFC4122;
    if is_random {
        Ok(uuid)
    } else {
        Err(Refusal::UuidVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_35_only_the_hyphenated_form_is_a_uuid() {
        let uuid = "3999da30-2a11-463a-be8e-6b2beca7bfe6";
        assert_eq!(parse_uuid(uuid).unwrap().to_string(), uuid);
        assert_eq!(parse_uuid(&uuid.to_uppercase()).unwrap().to_string(), uuid);
        let nobody = [
            "3999da302a11463abe8e6b2beca7bfe6",
            "{3999da30-2a11-463a-be8e-6b2beca7bfe6}",
            "urn:uuid:3999da30-2a11-463a-be8e-6b2beca7bfe6",
            "3999da30-2a11-463a-be8e-6b2beca7bfe6a",
            "3999da30-2a11-463a-be8e-6b2beca7bfe",
            "3999da30-2a11-463a-be8e-6b2beca7bfeg",
            "3999da3-02a11-463a-be8e-6b2beca7bfe6",
            "ERROR",
            "",
        ];
        for text in nobody {
            assert_eq!(parse_uuid(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_random_uuids_are_taken_to_register_under() {
        let random = "3999da30-2a11-463a-be8e-6b2beca7bfe6";
        assert_eq!(parse_random_uuid(random).unwrap().to_string(), random);
        for other in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "3999da30-2a11-163a-be8e-6b2beca7bfe6",
            "3999da30-2a11-763a-be8e-6b2beca7bfe6",
            // Version 4 of another variant.
            "3999da30-2a11-463a-ce8e-6b2beca7bfe6",
        ] {
            assert_eq!(
                parse_random_uuid(other),
                Err(Refusal::UuidVersion),
                "{other}"
            );
        }
        assert_eq!(parse_random_uuid("ERROR"), Err(Refusal::Uuid));
    }
}
