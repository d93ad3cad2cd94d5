//! What the service can answer, as values: the formats write them.

use std::rc::Rc;

use uuid::Uuid;

use super::{Record, Refusal, Rendered, ServiceAddress, Stats, TypeCount, Why};

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
    /// All types, sorted by name.
    Types(Vec<TypeCount>),
    /// Registrations by type, oldest first.
    List(Vec<Record>),
    /// What became of a registration.
    Why(Why),
    /// What the service has done so far.
    Stats(Box<Stats>),
    /// The service answers.
    Pong,
    /// One line that names the commands.
    Help,
    /// Nothing: the connection ends.
    Bye,
    /// The command was refused; nothing has changed.
    Refused(Refusal),
}
