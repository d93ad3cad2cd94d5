//! The requests that nearly all are.

use uuid::Uuid;

use super::{Offer, Verb};

/// A request that most are, without options. A session asks for the answer before it makes a
/// [`Request`](super::Request), which is larger because any request fits in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frequent<'a> {
    /// [`Request::Query`](super::Request::Query) for all services of the type with this name, which is
    /// printable ASCII and was not checked otherwise.
    Query(&'a [u8]),
    /// [`Request::Register`](super::Request::Register) without options.
    Register(Offer<'a>),
}

impl Frequent<'_> {
    /// The verb of the request.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Frequent::Query(_) => Verb::Query,
            Frequent::Register(_) => Verb::Register,
        }
    }
}

/// Heartbeats that have arrived together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    uuids: [Uuid; Heartbeats::LEN_MAX],
    len: usize,
}

impl Heartbeats {
    /// Enough for a processor to fetch the memory of several side by side. Room for more would have to be
    /// cleared for each heartbeat that comes alone, too.
    pub const LEN_MAX: usize = 8;

    /// The first ones of these.
    #[inline]
    #[must_use]
    pub fn first_of(uuids: impl IntoIterator<Item = Uuid>) -> Self {
        let mut first = Heartbeats {
            uuids: [Uuid::nil(); Self::LEN_MAX],
            len: 0,
        };
        for (place, uuid) in first.uuids.iter_mut().zip(uuids) {
            *place = uuid;
            first.len += 1;
        }
        first
    }

    /// The UUID of each.
    #[must_use]
    pub fn uuids(&self) -> &[Uuid] {
        &self.uuids[..self.len]
    }
}
