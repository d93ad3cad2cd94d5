//! What DNS tells of the services of one name.

use super::ServiceAddress;

/// A place where a service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: ServiceAddress,
    /// Clients use those with the lowest number first (RFC 2782).
    pub priority: u16,
    /// The share of clients among those of one priority.
    pub weight: u16,
}

/// The places where the services of one name can be reached, each address once, oldest registration first;
/// never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(pub Box<[Endpoint]>);
