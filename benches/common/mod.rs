//! What several benches share: a server as a process, a client of it, and what is chosen to be run.

#![allow(dead_code, reason = "each bench uses its part of it")]

pub(crate) mod choice;
pub(crate) mod client;
pub(crate) mod process;
