//! A service registry in one light, single-threaded process.
//!
//! A service registers its type, address and port, gets a UUID, and sends heartbeats. A client
//! asks for a type and gets the addresses of those whose last heartbeat is younger than the TTL.
//!
//! # The path of a byte
//!
//! `server` polls and reads the clock, `engine` runs one turn: it reads a ready connection into a
//! shared buffer; `conn` asks `wire` for the next [`message::Request`]; `service` applies it to the
//! `registry` and answers with a [`message::Reply`]; `wire` encodes that into the connection's
//! [`output::Output`], which `engine` writes back.
//!
//! # The rooms
//!
//! | module | owns | knows nothing of |
//! |---|---|---|
//! | [`config`] | arguments and environment, validated once | sockets |
//! | [`limits`] | every bound, with its unit | everything |
//! | [`time`] | registry time | clocks |
//! | [`message`] | requests, replies, refusals | formats, sockets, the registry |
//! | [`output`] | answers that wait for one peer | formats, sockets |
//! | [`feed`] | changes that wait for one watcher | formats, sockets |
//! | [`wheel`] | deadlines, O(1) each | what they belong to |
//! | [`registry`] | the registrations | bytes, clocks, randomness |
//! | [`service`] | the verbs | bytes, sockets, clocks |
//! | [`wire`] | text lines and JSON frames | sockets, the registry |
//! | [`tokens`] | what clients must show | where it lies |
//! | [`plain`] | errors and foreign text, as people read them | everything |
//! | [`conn`] | one connection as a state machine | sockets, clocks |
//! | [`engine`] | the turn: all connections, their budgets and timers | real sockets and clocks |
//! | [`server`] | mio, the clock, signals, files | the formats |
//!
//! [`client`] is the other side of the wire, for programs that use the service; of the rooms above it knows
//! [`message`], [`plain`] and [`tokens`] only.

pub mod client;
pub mod config;
pub mod conn;
pub mod engine;
pub mod feed;
pub mod limits;
pub mod message;
pub mod output;
pub mod plain;
pub mod registry;
pub mod server;
pub mod service;
pub mod time;
pub mod tokens;
pub mod wheel;
pub mod wire;
