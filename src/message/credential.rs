//! What a peer shows with a request, so that it is allowed to make it.

use std::borrow::Cow;

use super::{Outcome, Peer, Reply, Request, Responder};

/// What stands for the right to make a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// What the session has shown before.
    OfSession,
    /// The token of this very message, or none: what the session has shown before does not count, for
    /// several clients may share a connection.
    OfMessage(Option<Cow<'a, str>>),
}

impl Credential<'_> {
    /// Shows the token.
    ///
    /// # Errors
    /// The answer to the request, where the token is refused.
    #[inline]
    pub fn show(&self, responder: &mut impl Responder, peer: &mut Peer) -> Result<(), Outcome> {
        let Credential::OfMessage(token) = self else {
            return Ok(());
        };
        peer.token = None;
        let Some(token) = token else {
            return Ok(());
        };
        let token = Cow::Borrowed(&**token);
        match responder.apply(&Request::Auth { token }, peer) {
            Outcome::Done(Reply::Ok) => Ok(()),
            refused => Err(refused),
        }
    }
}
