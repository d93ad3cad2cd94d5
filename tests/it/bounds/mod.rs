//! What no peer can do to the service or to another peer.

mod hostile;
#[cfg(target_os = "linux")]
mod kernel;
mod limits;
mod memory;
