//! The reasons for which the service refuses a command.

use std::borrow::Cow;
use std::fmt;

use super::{CloseReason, DnsRefusal, HttpRefusal, Verb};
use crate::limits::{FRAME_MS_MAX, LINE_MS_MAX};

/// Why a command was refused, in words that a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A line of more than 1024 bytes.
    LineTooLong,
    /// A text command that was not complete in time.
    LineOverdue,
    /// A frame that was not complete in time.
    FrameOverdue,
    /// Bytes that are not UTF-8.
    LineUtf8,
    /// NUL or another control character in a line.
    LineControl,
    /// An unknown verb.
    UnknownCommand,
    /// Arguments missing or too many.
    Usage(Verb),
    /// A frame with an action that does not exist or that frames do not support.
    UnknownAction,
    /// An option that the command does not have, as the client wrote it.
    UnknownOption(Box<str>),
    /// The option with this name is given twice.
    OptionTwice(&'static str),
    /// The value of the option with this name is not a number of seconds from 1 to 86400.
    OptionSeconds(&'static str),
    /// The limit of a query is not a number from 1 to 4096.
    OptionLimit,
    /// A tag that is empty, longer than 255 bytes, or has a control character.
    Tag,
    /// A key of metadata that is not 1 to 63 letters, digits, `_`, `.` and `-`.
    MetaKey,
    /// A value of metadata that is longer than 1024 bytes or has a control character.
    MetaValue,
    /// A key of metadata that is given twice.
    MetaTwice(Box<str>),
    /// More tags or metadata than a registration may have.
    TooManyLabels,
    /// A word that is not a UUID in a heartbeat that may re-register.
    Uuid,
    /// A UUID of another version than 4 in such a heartbeat.
    UuidVersion,
    /// A live registration of another type or address has the UUID.
    UuidTaken,
    /// An empty type.
    TypeEmpty,
    /// A type of more than 63 bytes.
    TypeTooLong,
    /// White space or a control character in a type.
    TypeCharacter,
    /// Text that is not an IPv4 or IPv6 address.
    IpText,
    /// An address with a zone suffix, which is valid on one host only.
    IpZone,
    /// `0.0.0.0` or `::`.
    IpUnspecified,
    /// A multicast address.
    IpMulticast,
    /// `255.255.255.255`.
    IpBroadcast,
    /// A link-local IPv6 address.
    IpLinkLocal,
    /// A port that is not a number from 1 to 65535.
    Port,
    /// An address other than the peer's own, where the service registers no other.
    OtherAddress,
    /// `--max-services` registrations are live.
    RegistryFull,
    /// This node has not loaded the state of its cluster yet.
    NotReady,
    /// The connection holds as many registrations as it may.
    TooManyHolds,
    /// The answer is too long for one frame.
    AnswerTooLong,
    /// The verb needs a session, which this kind of request does not have.
    NeedsSession(Verb),
    /// A watcher sent a command other than `ping` and `quit`.
    Watching,
    /// `--max-connections` connections are open.
    TooManyConnections,
    /// The peer speaks HTTP in a version that is not spoken here, or behind something else.
    OtherHttp,
    /// A request over HTTP was refused before it was run.
    Http(HttpRefusal),
    /// A message of DNS was refused.
    Dns(DnsRefusal),
    /// The peer speaks another line protocol, such as SMTP, SSH or that of Redis.
    OtherProtocol,
    /// The peer speaks TLS.
    Tls,
    /// The peer sends a PROXY protocol header.
    Proxy,
    /// The token is not one of the service's.
    AuthenticationFailed,
    /// The service requires a token first.
    AuthenticationRequired,
    /// A frame or its JSON is malformed; the text says how.
    Frame(&'static str),
    /// A part of a frame is too long; the text says which.
    FrameTooLong(&'static str),
    /// A frame that begins with its length in the other byte order.
    FrameByteOrder,
    /// A frame of another content type or encoding; the text says which is taken.
    FrameFormat(&'static str),
}

impl Refusal {
    /// Why the session must close after this refusal, if it must: the service cannot find the next
    /// command in the input, or the input is not meant for it.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Refusal::Http(refusal) => refusal.close_reason(),
            Refusal::Dns(refusal) => refusal.close_reason(),
            Refusal::TooManyConnections => Some(CloseReason::TooMany),
            Refusal::AuthenticationFailed => Some(CloseReason::Token),
            Refusal::LineOverdue | Refusal::FrameOverdue => Some(CloseReason::Incomplete),
            Refusal::LineTooLong
            | Refusal::OtherHttp
            | Refusal::OtherProtocol
            | Refusal::Tls
            | Refusal::Proxy
            | Refusal::UnknownAction
            | Refusal::Frame(_)
            | Refusal::FrameTooLong(_)
            | Refusal::FrameByteOrder
            | Refusal::FrameFormat(_) => Some(CloseReason::Protocol),
            Refusal::LineUtf8
            | Refusal::LineControl
            | Refusal::UnknownCommand
            | Refusal::Usage(_)
            | Refusal::UnknownOption(_)
            | Refusal::OptionTwice(_)
            | Refusal::OptionSeconds(_)
            | Refusal::OptionLimit
            | Refusal::Tag
            | Refusal::MetaKey
            | Refusal::MetaValue
            | Refusal::MetaTwice(_)
            | Refusal::TooManyLabels
            | Refusal::Uuid
            | Refusal::UuidVersion
            | Refusal::UuidTaken
            | Refusal::TypeEmpty
            | Refusal::TypeTooLong
            | Refusal::TypeCharacter
            | Refusal::IpText
            | Refusal::IpZone
            | Refusal::IpUnspecified
            | Refusal::IpMulticast
            | Refusal::IpBroadcast
            | Refusal::IpLinkLocal
            | Refusal::Port
            | Refusal::OtherAddress
            | Refusal::RegistryFull
            | Refusal::NotReady
            | Refusal::TooManyHolds
            | Refusal::AnswerTooLong
            | Refusal::NeedsSession(_)
            | Refusal::Watching
            | Refusal::AuthenticationRequired => None,
        }
    }

    /// Whether it is told to a peer that has not shown a token: it says nothing of what there is.
    #[must_use]
    pub fn is_told_to_strangers(&self) -> bool {
        matches!(
            self,
            Refusal::Http(HttpRefusal::Host | HttpRefusal::CrossOrigin)
        )
    }

    /// The reason, without the word `ERROR`.
    #[must_use]
    pub fn reason(&self) -> Cow<'static, str> {
        let reason = match self {
            Refusal::UnknownOption(option) => return format!("unknown option: {option}").into(),
            Refusal::OptionTwice(option) => return format!("{option} is given twice").into(),
            Refusal::OptionSeconds(option) => {
                return format!("{option} takes a whole number of seconds from 1 to 86400").into();
            }
            Refusal::MetaTwice(key) => return format!("meta.{key} is given twice").into(),
            Refusal::OptionLimit => "limit= takes a whole number from 1 to 4096",
            Refusal::Tag => "a tag is 1 to 255 bytes without control characters",
            Refusal::MetaKey => {
                "a key of metadata is 1 to 63 letters, digits, underscores, dots and hyphens"
            }
            Refusal::MetaValue => {
                "a value of metadata is at most 1024 bytes without control characters"
            }
            Refusal::TooManyLabels => {
                "a registration has at most 64 tags, 64 pairs of metadata and 4096 bytes of both"
            }
            Refusal::NeedsSession(verb) => {
                return format!("{} needs a text connection", verb.name()).into();
            }
            Refusal::LineTooLong => "line too long",
            Refusal::LineOverdue => return overdue("the line", LINE_MS_MAX).into(),
            Refusal::FrameOverdue => return overdue("the frame", FRAME_MS_MAX).into(),
            Refusal::LineUtf8 => "the line is not valid UTF-8",
            Refusal::LineControl => "the line holds a control character",
            Refusal::UnknownCommand => "unknown command: help lists the commands",
            Refusal::Usage(verb) => return format!("usage: {}", verb.usage()).into(),
            Refusal::FrameByteOrder => {
                "a frame begins with the length of its header: 2 bytes, big-endian"
            }
            Refusal::UnknownAction => return unknown_action().into(),
            Refusal::Frame(wrong) | Refusal::FrameTooLong(wrong) | Refusal::FrameFormat(wrong) => {
                wrong
            }
            Refusal::TypeEmpty => "the type is empty",
            Refusal::TypeTooLong => "the type is longer than 63 bytes",
            Refusal::TypeCharacter => "the type holds white space or a control character",
            Refusal::IpText => {
                "the ip is not an IPv4 or IPv6 address (host names are not accepted)"
            }
            Refusal::IpZone => "the ip has a zone suffix, which means nothing on another host",
            Refusal::IpUnspecified => {
                "the ip is the unspecified address, which nobody can connect to"
            }
            Refusal::IpMulticast => "the ip is a multicast address",
            Refusal::IpBroadcast => "the ip is the broadcast address",
            Refusal::IpLinkLocal => {
                "the ip is a link-local address, which means nothing without a zone"
            }
            Refusal::Port => "the port is not a decimal number from 1 to 65535",
            Refusal::Uuid => "the uuid is not a UUID",
            Refusal::UuidVersion => "the uuid is not of version 4: use one that register gave",
            Refusal::UuidTaken => "another service has this UUID",
            Refusal::OtherAddress => {
                "this service registers only the address that you connect from: give - as the ip"
            }
            Refusal::RegistryFull => "registry full",
            Refusal::NotReady => "not ready: this node has not loaded the state of its cluster yet",
            Refusal::TooManyHolds => "too many holds on one connection: open another",
            Refusal::AnswerTooLong => {
                "the answer is too long for a frame: ask in text, or for less"
            }
            Refusal::Watching => "a watching connection takes ping and quit only",
            Refusal::AuthenticationFailed => "authentication failed",
            Refusal::AuthenticationRequired => "authentication required",
            Refusal::TooManyConnections => "too many connections",
            Refusal::Http(refusal) => return refusal.reason(),
            Refusal::Dns(refusal) => refusal.reason(),
            Refusal::OtherHttp => {
                "HTTP is spoken here in its versions 1.0 and 1.1, from the first line of a connection on"
            }
            Refusal::OtherProtocol => {
                "this is the opening of another protocol: send one command a line, such as: query <type>"
            }
            Refusal::Tls => "TLS is not spoken here: connect in plain text",
            Refusal::Proxy => "PROXY protocol headers are not accepted",
        };
        Cow::Borrowed(reason)
    }
}

/// The text for a command that was not complete after so many milliseconds.
fn overdue(command: &str, ms: u64) -> String {
    format!(
        "{command} is not complete {} s after its first byte",
        ms / 1000
    )
}

/// The text that lists the actions.
fn unknown_action() -> String {
    let actions = Verb::ALL.into_iter().filter(|verb| verb.is_action());
    let names: Vec<&str> = actions.map(Verb::name).collect();
    let (last, others) = names.split_last().expect("there are actions");
    format!("unknown action: use {} or {last}", others.join(", "))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())
    }
}
