//! The parts of an answer that is too long to be made in one turn.

use super::{Name, Record, Service, ServiceAddress, TypeCount};

/// One part. All parts of an answer together are one list, which each format encodes as it does a
/// whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The entries; there are none only in an answer without any, or in the last part.
    pub rows: Rows,
    /// Whether no part came before it.
    pub is_first: bool,
    /// Whether no part comes after it.
    pub is_last: bool,
}

/// Entries of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Of `query`.
    Addresses(Vec<ServiceAddress>),
    /// Of `list`.
    Records(Vec<Record>),
    /// Of `types`.
    Types(Vec<TypeCount>),
    /// Of a [`Catalog`](super::Catalog).
    Services {
        /// That of the whole answer, when it was begun.
        index: u64,
        /// The entries.
        services: Vec<Service>,
    },
    /// Of [`Names`](super::Names).
    Names {
        /// That of the whole answer, when it was begun.
        index: u64,
        /// The entries.
        names: Vec<Name>,
    },
}

impl Rows {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Rows::Addresses(rows) => rows.is_empty(),
            Rows::Records(rows) => rows.is_empty(),
            Rows::Types(rows) => rows.is_empty(),
            Rows::Services { services, .. } => services.is_empty(),
            Rows::Names { names, .. } => names.is_empty(),
        }
    }
}
