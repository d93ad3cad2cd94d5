//! What several benches share: a server as a process, and a client of it.

#![allow(dead_code, reason = "each bench uses its part of it")]

pub(crate) mod client;
pub(crate) mod process;
