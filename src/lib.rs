//! A service registry in one light, single-threaded process.
//!
//! A service registers its type, address and port, gets a UUID, and sends heartbeats. A client
//! asks for a type and gets the addresses of those whose last heartbeat is younger than the TTL.
//!
//! # The path of a byte
//!
//! `server` polls and reads the clock, `engine` runs one turn: it reads a ready connection into a
//! shared buffer; `session` asks `wire` for the next [`message::Request`]; `service` applies it to the
//! `registry` and answers with a [`message::Reply`]; `wire` encodes that into the connection's
//! [`wire::output::Output`], which `engine` writes back.
//!
//! # The rooms
//!
//! | module | owns | knows nothing of |
//! |---|---|---|
//! | [`limits`] | every bound, with its unit | everything |
//! | [`time`] | registry time, and deadlines in a timing wheel | clocks |
//! | [`escape`] | errors and foreign text, as people read them | everything |
//! | [`auth`] | what clients must show | where it lies |
//! | [`message`] | requests, replies, refusals | formats, sockets, the registry |
//! | [`registry`] | the registrations | bytes, clocks, randomness |
//! | [`service`] | the verbs | bytes, sockets, clocks |
//! | [`wire`] | text lines, JSON frames, and the output that waits for one peer | sockets, the registry |
//! | [`session`] | one connection as a state machine | sockets, clocks |
//! | [`engine`] | the turn: all connections, their budgets and timers | real sockets and clocks |
//! | [`server`] | mio, the clock, signals, files, the validated configuration | the formats |
//!
//! [`client`] is the other side of the wire, for programs that use the service; of the rooms above it knows
//! [`message`], [`escape`] and [`auth`] only.

pub mod auth;
pub mod client;
pub mod engine;
pub mod escape;
pub mod limits;
pub mod message;
pub mod registry;
pub mod server;
pub mod service;
pub mod session;
pub mod time;
pub mod wire;
