//! The zone, and what a name in it means.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use domain::base::Name;

use super::address_name;
use super::query::Question;
use crate::limits::DNS_ZONE_LEN_MAX;
use crate::message::ServiceType;

/// The name below which the services lie, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: Name<Vec<u8>>,
    /// The name server's name.
    pub(super) name_server: Name<Vec<u8>>,
    /// The name of the mailbox of whoever is responsible.
    pub(super) mailbox: Name<Vec<u8>>,
}

/// Text that is no name for a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneError;

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a zone is labels of letters, digits, hyphens and underscores with dots between them, \
             {DNS_ZONE_LEN_MAX} characters at most: service.internal"
        )
    }
}

impl std::error::Error for ZoneError {}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Zone, ZoneError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.len() > DNS_ZONE_LEN_MAX || !text.bytes().all(plain) {
            return Err(ZoneError);
        }
        let name = |text: &str| Name::vec_from_str(text).map_err(|_| ZoneError);
        let zone = Zone {
            name: name(&text)?,
            name_server: name(&format!("ns.addr.{text}"))?,
            mailbox: name(&format!("hostmaster.{text}"))?,
        };
        if zone.name.is_root() {
            return Err(ZoneError);
        }
        Ok(zone)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// What a name in the zone stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The zone itself.
    Apex,
    /// A name that has names below it, and nothing of its own.
    Branch,
    /// The name server.
    NameServer,
    /// An address, written as a name.
    Address(std::net::IpAddr),
    /// The services of a type.
    Type,
    /// The services of a type, in the form of RFC 2782.
    Service,
    /// Nothing that can be there.
    Nothing,
}

/// A name in the zone, with the type of which the registry must be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) subject: Subject,
    pub(super) service_type: Option<ServiceType<'a>>,
}

impl Named<'_> {
    fn only(subject: Subject) -> Self {
        Named {
            subject,
            service_type: None,
        }
    }
}

impl Zone {
    /// Its name as it stands in a message.
    pub(super) fn wire(&self) -> &[u8] {
        self.name.as_slice()
    }

    /// Where the zone begins in the name of a question; `None` when the name is outside the zone.
    pub(super) fn find_in(&self, question: &Question<'_>) -> Option<usize> {
        let name = question.name();
        let at = name.len().checked_sub(self.wire().len())?;
        // The lengths of labels are no letters, so they compare as they are.
        let ends_alike = name[at..].eq_ignore_ascii_case(self.wire());
        let mut label_at = 0;
        while label_at < at {
            label_at += 1 + usize::from(name[label_at]);
        }
        (ends_alike && label_at == at).then_some(at)
    }

    /// What the name of a question means whose zone begins at `zone_at`.
    pub(super) fn name<'a>(&self, question: &Question<'a>, zone_at: usize) -> Named<'a> {
        let labels = Labels(&question.name()[..zone_at]);
        let mut backwards = labels.iter().collect::<Vec<&[u8]>>();
        backwards.reverse();
        match backwards.as_slice() {
            [] => Named::only(Subject::Apex),
            [last, rest @ ..] if last.eq_ignore_ascii_case(b"addr") && !rest.is_empty() => {
                Named::only(below_addr(rest))
            }
            [last, rest @ ..] if is_protocol(last) && is_service(rest) => {
                let forwards = &question.name()[..zone_at - 1 - last.len()];
                typed(Subject::Service, join(Labels(forwards), 1))
            }
            [only] if only.eq_ignore_ascii_case(b"addr") || is_protocol(only) => {
                typed(Subject::Branch, join(labels, 0))
            }
            _ => typed(Subject::Type, join(labels, 0)),
        }
    }
}

/// Labels as they stand in a name, without its end.
#[derive(Clone, Copy)]
struct Labels<'a>(&'a [u8]);

impl<'a> Labels<'a> {
    fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&len, behind) = rest.split_first()?;
            let (label, behind) = behind.split_at_checked(len.into())?;
            rest = behind;
            Some(label)
        })
    }
}

fn below_addr(rest: &[&[u8]]) -> Subject {
    match rest {
        [ns] if ns.eq_ignore_ascii_case(b"ns") => Subject::NameServer,
        [hex] => address_name::parse(hex).map_or(Subject::Nothing, Subject::Address),
        _ => Subject::Nothing,
    }
}

fn is_protocol(label: &[u8]) -> bool {
    label.eq_ignore_ascii_case(b"_tcp") || label.eq_ignore_ascii_case(b"_udp")
}

/// Whether the labels before the protocol, the last one first, name a service.
fn is_service(backwards: &[&[u8]]) -> bool {
    backwards
        .last()
        .is_some_and(|first| first.starts_with(b"_"))
}

/// The labels with dots between them, without the first `skip` bytes.
fn join(labels: Labels<'_>, skip: usize) -> Cow<'_, [u8]> {
    let mut iter = labels.iter();
    match (iter.next(), iter.next()) {
        (Some(only), None) => Cow::Borrowed(&only[skip..]),
        _ => {
            let all: Vec<&[u8]> = labels.iter().collect();
            Cow::Owned(all.join(&b'.')[skip..].to_vec())
        }
    }
}

/// What is not the name of a type cannot be there.
fn typed(subject: Subject, name: Cow<'_, [u8]>) -> Named<'_> {
    let text = match name {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    match (subject, text.and_then(|text| ServiceType::new(text).ok())) {
        (subject, Some(service_type)) => Named {
            subject,
            service_type: Some(service_type),
        },
        (_, None) => Named::only(Subject::Nothing),
    }
}
