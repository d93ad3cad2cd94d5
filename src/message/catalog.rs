//! What is live, without ages: documents that stay the same until something changes, and the wait for
//! that change.

use std::sync::Arc;

use super::Service;

/// The live registrations of one type, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The registry's count of changes at the last change of what was asked for.
    pub index: u64,
    /// The registrations; by type, oldest first.
    pub services: Vec<Service>,
}

/// The names of the types that have live registrations, with their tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The registry's count of changes at the last change of the names or of their tags.
    pub index: u64,
    /// The names in their order.
    pub names: Vec<Name>,
}

/// A type, with the tags of its registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name of the type.
    pub service_type: Arc<str>,
    /// The tags that any of its registrations has, each once and in order.
    pub tags: Vec<Box<str>>,
}

/// The wait of a client that has an answer already, until there is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// The index of the answer that it has.
    pub index: u64,
    /// Milliseconds that it waits at most.
    pub wait_ms: u64,
}
