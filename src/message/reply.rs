//! What the service can answer, as values: the formats write them.

use std::rc::Rc;

use uuid::Uuid;

use super::{Document, Refusal, Rendered, ServiceAddress};

/// The addresses of the live services of one type, oldest registration first. They are collected
/// once for a state of the type, and shared by all who ask for it.
pub type Services = Rendered<Box<[ServiceAddress]>>;

/// The answer to one command.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A new registration was made, with this UUID.
    Registered(Uuid),
    /// Done.
    Ok,
    /// No live registration has that UUID.
    NotFound,
    /// The services asked for.
    Services(Rc<Services>),
    /// A document. It lies apart, so that the common replies are small.
    Document(Box<Document>),
    /// The service answers.
    Pong,
    /// One line that names the commands.
    Help,
    /// Nothing: the connection ends.
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
