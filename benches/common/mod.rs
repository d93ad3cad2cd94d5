//! What several benches share: a server as a process, and a client of it.

pub(crate) mod client;
pub(crate) mod process;
