//! The requests that nearly all are.

use uuid::Uuid;

use super::{Offer, Verb};

/// A request that most are, without options. A session asks for the answer before it makes a [`Request`](super::Request),
/// which is larger because any request fits in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frequent<'a> {
    /// [`Request::Heartbeat`](super::Request::Heartbeat)
    Heartbeat(Uuid),
    /// [`Request::Query`](super::Request::Query) for all services of the type with this name, which is printable ASCII and was not
    /// checked otherwise.
    Query(&'a [u8]),
    /// [`Request::Register`](super::Request::Register) without options.
    Register(Offer<'a>),
}

impl Frequent<'_> {
    /// The verb of the request.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Frequent::Heartbeat(_) => Verb::Heartbeat,
            Frequent::Query(_) => Verb::Query,
            Frequent::Register(_) => Verb::Register,
        }
    }
}
