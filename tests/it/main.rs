//! What users are promised, a folder for each kind of promise, tested with the real binary over real sockets.
//!
//! `tests/README.md` says where a new test goes.

mod bounds;
mod client_libraries;
mod cluster;
mod command_line;
mod common;
mod dns;
mod etcd;
mod house;
mod http;
mod http_tools;
mod liveness;
mod page;
mod process;
mod protocol;
mod readme;
mod state;
