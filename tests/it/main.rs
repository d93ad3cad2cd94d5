//! The promises of the service, a folder each, kept by the real binary over real sockets.
//!
//! Where a new test goes is said in `tests/README.md`.

mod bounds;
mod client_libraries;
mod command_line;
mod common;
mod house;
mod liveness;
mod process;
mod protocol;
mod readme;
