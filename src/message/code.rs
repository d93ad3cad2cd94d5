//! The codes of refusals.

use super::Refusal;

/// The kind of a refusal, which stays the same when its wording changes. Formats with room for it carry
/// it beside the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is wrong, and is refused again when it is sent again.
    Invalid,
    /// A token is missing or wrong.
    Unauthenticated,
    /// There is no room for a further registration.
    Full,
    /// There is no room for a further connection.
    Busy,
    /// The request, or its answer, is longer than may be.
    TooLarge,
    /// The service does not speak this, or not on this kind of connection.
    Unsupported,
    /// There is no such thing.
    NotFound,
    /// The request is not answered to who asks.
    Forbidden,
    /// The service does not know yet what there is.
    NotReady,
}

impl Code {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Code::Invalid => "invalid",
            Code::Unauthenticated => "unauthenticated",
            Code::Full => "full",
            Code::Busy => "busy",
            Code::TooLarge => "too_large",
            Code::Unsupported => "unsupported",
            Code::NotFound => "not_found",
            Code::Forbidden => "forbidden",
            Code::NotReady => "not_ready",
        }
    }
}

impl Refusal {
    /// The kind of the refusal.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Refusal::Http(refusal) => refusal.code(),
            Refusal::Dns(refusal) => refusal.code(),
            Refusal::AuthenticationFailed | Refusal::AuthenticationRequired => {
                Code::Unauthenticated
            }
            Refusal::RegistryFull | Refusal::TooManyHolds => Code::Full,
            Refusal::NotReady => Code::NotReady,
            Refusal::TooManyConnections => Code::Busy,
            Refusal::LineTooLong | Refusal::FrameTooLong(_) | Refusal::AnswerTooLong => {
                Code::TooLarge
            }
            Refusal::UnknownCommand
            | Refusal::UnknownAction
            | Refusal::FrameFormat(_)
            | Refusal::NeedsSession(_)
            | Refusal::OtherHttp
            | Refusal::OtherProtocol
            | Refusal::Tls
            | Refusal::Proxy => Code::Unsupported,
            Refusal::LineUtf8
            | Refusal::LineOverdue
            | Refusal::FrameOverdue
            | Refusal::LineControl
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
            | Refusal::Watching
            | Refusal::FrameByteOrder
            | Refusal::Frame(_) => Code::Invalid,
        }
    }
}
