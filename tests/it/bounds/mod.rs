//! What no peer can do to the service or to another peer.

mod hostile;
mod limits;
mod memory;
