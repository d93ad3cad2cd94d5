//! The replies of the service as values, which the formats encode.

use std::rc::Rc;

use uuid::Uuid;

use super::{Catalog, Document, Endpoints, Id, Names, Refusal, Rendered, ServiceAddress};

/// The addresses of the live services of one type, oldest registration first. The service collects
/// them once for each state of the type and shares them between replies.
pub type Services = Rendered<Box<[ServiceAddress]>>;

/// The reply to one command.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A new registration was made, with this UUID.
    Registered(Uuid),
    /// The peer holds a registration that an earlier process had; with the UUID that is the right to change
    /// it, and its public name.
    Adopted(Uuid, Id),
    /// Success without a value.
    Ok,
    /// No live registration has that UUID.
    NotFound,
    /// The answer to a query.
    Services(Rc<Services>),
    /// A document. It is boxed, so that the common replies are small.
    Document(Box<Document>),
    /// What is live, for [`Request::Catalog`](super::Request::Catalog). Many replies share it.
    Catalog(Rc<Rendered<Catalog>>),
    /// The names of all types. Many replies share it.
    Names(Rc<Rendered<Names>>),
    /// What never changes; the index is for who waits for a change of it.
    Constant {
        /// Never 0.
        index: u64,
    },
    /// The endpoints of a name, for [`Request::Resolve`](super::Request::Resolve).
    Endpoints {
        /// The registry's count of changes.
        index: u64,
        /// Where the services are; `None` when there are none. Many replies share it.
        endpoints: Option<Rc<Rendered<Endpoints>>>,
    },
    /// The answer to `ping`.
    Pong,
    /// What the service can do, in the words of the format: in text one line that lists the commands.
    Help,
    /// No bytes: the connection closes.
    Bye,
    /// The command was refused; nothing has changed.
    Refused(Refusal),
}

impl From<Document> for Reply {
    fn from(document: Document) -> Self {
        Reply::Document(Box::new(document))
    }
}

const _: () = assert!(
    size_of::<Reply>() <= 32,
    "a reply is moved for every request"
);
