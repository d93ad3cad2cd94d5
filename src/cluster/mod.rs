//! A node of a cluster: what it owns is written to etcd, and what others own is read from there.
//!
//! It has no sockets, no clock and no registrations: it is told what changes here, what etcd reports and
//! the registry's time, and it tells what is to be called and what has changed elsewhere. The registry
//! stays the only place in which registrations are; a key that waits to be written is only a name, and
//! its value is what the registry has when it is written.
//!
//! - The node on which a registration was made or last heard of *owns* it. All others have a *replica*.
//! - A heartbeat at another node *takes it over*: the guard of one write decides between two nodes.
//! - What etcd tells of a registration is decided on in the order of etcd's revisions, for each key.
//! - What goes with a lease is an *orphan*: it stays for a while, for its service may live.

mod departed;
mod known;
mod layout;
mod leases;
mod name;
mod node;
mod numbers;
mod orphans;
mod record;
mod registrations;

pub use layout::Layout;
pub use name::{KeyId, Name, NodeId};
pub use node::{Config, Holdings, LeaseCommand, News, Node, Owned};
pub use record::{NodeState, Record};
