//! A service registry in one light, single-threaded process.
//!
//! A service registers its type, address and port, gets a UUID, and sends heartbeats. A client
//! asks for a type and gets the addresses of those whose last heartbeat is younger than the TTL.
//!
//! # The path of a byte
//!
//! [`server`] polls and reads the clock, then [`engine`] runs one turn. It reads a ready socket into
//! memory that all sessions share; [`session`] asks [`wire`] for the next [`message::Request`] and the
//! [`service`] for its outcome; the service applies it to the [`registry`] and answers with a
//! [`message::Reply`], which wire writes into the session's [`wire::output::Output`], and the engine
//! writes that back. What the service has for a session later is a [`message::Delivery`] at the end of
//! the turn. What has changed is one list of [`message::Change`]s, which the turn returns.
//!
//! Why it is built so stands in `src/DESIGN.md`, what is on the wire in `src/PROTOCOL.md`, and where a
//! test goes in `tests/README.md`.
//!
//! # The rooms
//!
//! | room | owns | knows nothing of |
//! |---|---|---|
//! | [`limits`] | every bound, with its unit | everything |
//! | [`time`] | registry time, deadlines in a timing wheel, rate limits of the log | clocks |
//! | [`ascii`] | printable ASCII and capital letters, found eight bytes at a time | everything |
//! | [`escape`] | foreign text as people may read it | everything |
//! | [`auth`] | tokens, and the file in which they lie | sessions |
//! | [`message`] | the vocabulary: requests, replies, documents, changes, deltas, deliveries, refusals | formats, sockets, the registry |
//! | [`registry`] | the registrations | bytes, clocks, randomness |
//! | [`service`] | the verbs, holders and watchers | bytes, sockets, clocks |
//! | [`wire`] | one format a file, and the output that waits for one peer | sockets, the service |
//! | [`session`] | one connection as a state machine | sockets, clocks, the service |
//! | [`state`] | the records of the state file: how they are read, and how a file is made short | files, the registry |
//! | [`engine`] | the turn: sessions, datagrams, links, their budgets and timers | real sockets and clocks |
//! | [`cluster`] | what a node of a cluster owns and what others own: what it writes and when it gives up | sockets, clocks, the registry |
//! | [`etcd`] | the client of etcd: what it is asked, and what it answers and tells | sockets, clocks, registrations |
//! | [`server`] | mio, the clock, signals, files, the validated configuration | the formats |
//! | [`client`] | the other side of the wire, for programs that use the service | the service |
//!
//! The binary in `src/bin/discovery` has the flags, the log and the verbs of the command line. Which
//! room may import which is a list in `tests/it/house`, compared exactly with the sources.
//!
//! A new verb begins in `message/verb.rs` and `message/mod.rs`; the compiler names the other places.
//! A new format is a file in `wire`. A new bound is a line in `limits.rs`. A new verb of the command
//! line is a struct in `src/bin/discovery/verbs`.
//!
//! # Features
//!
//! `client` is the room [`client`], `server` the rooms of the service, `cli` the program
//! `discovery`, which needs both. All are on by default; a program that only asks the service turns
//! the default off and `client` on, and compiles neither the event loop nor the command line.
//!
//! # The lexicon
//!
//! - **registration**: a service's type and address, registered under a UUID; live until it expires or is removed.
//! - **UUID**: the right to change a registration, told once, to the peer that registered it.
//! - **type**: the kind of service, a name that clients query by.
//! - **address**: an IP address and a port at which a service can be reached.
//! - **TTL**: how long a registration lives after its last heartbeat.
//! - **heartbeat**: a request that sets a registration's age back to zero.
//! - **live**: with a last heartbeat younger than the TTL, or held; only live registrations are in answers.
//! - **expire**: to reach the age of the TTL; the registration is gone from that moment, swept or not.
//! - **hold**: to make an *ephemeral registration*, which lives as long as the session that made it.
//! - **holder**: the session that holds an ephemeral registration.
//! - **peer**: the other end of a connection, and what the service knows about it.
//! - **session**: one connection as a state machine: unread input, format, pending output, deadlines.
//! - **transport**: what lies between a socket and its session; today it passes bytes on unchanged.
//! - **request**: a well-formed command as a value, whatever its format.
//! - **reply**: the answer to a request as a value; `wire` turns it into bytes.
//! - **refusal**: a reply that says why a request was not run; nothing has changed.
//! - **outcome**: what became of a request: *done* with a reply, *retry* in the next turn, *parked* until its reply comes, *blocked* until something changes, or *in parts*.
//! - **turn**: one pass of the loop; registry time stands still in it, and its work is bounded.
//! - **budget**: how much of something one turn may do; what is left over is on a list for the next turn.
//! - **ready list**: the sessions that have work to do without a new event; while there is one, the loop does not wait.
//! - **registry time**: milliseconds since the start by the monotonic clock, without the pauses of the process.
//! - **tick**: the interval at which the loop wakes to sweep.
//! - **sweep**: the bounded part of a turn that removes what has expired.
//! - **removal**: the end of a registration, with its reason: expired, deregistered, replaced, or connection closed.
//! - **departure**: the record of a removal that `why` reads; the last 1024 are kept.
//! - **change**: one registration or removal, as a whole record in the list of its turn.
//! - **watcher**: a session that is told of changes, of one type or of all.
//! - **snapshot**: everything that is live, as a watcher is told it first and after it has lagged.
//! - **delta**: what came and went in one turn.
//! - **keepalive**: a line without changes, sent to a watcher after 15 s of silence.
//! - **lagged**: of a watcher: more deltas were pending than may be, so it is sent a snapshot instead.
//! - **pending output**: bytes and updates that a peer has yet to take.
//! - **slot**: the `u32` that stands for an entry of the registry in place of a pointer.
//! - **link**: a connection that the service opens itself.
//! - **blocked**: of a request: not run yet, because it waits for an answer to become another one.
//! - **lease**: the answer to an HTTP `hold`, which lasts as long as the registration.
//! - **datagram**: one request and one answer without a session.
//! - **node**: one process of several that share what is registered, with etcd as the record between them.
//! - **own**: of a node: to be where a registration was made or last heard of.
//! - **replica**: a registration that another node owns.
//! - **take over**: to own what was a replica, because it was heard of here.
//! - **orphan**: a replica of which etcd has nothing any more because a lease was lost; it is given up after a while.
//! - **marker**: the key that goes with a lease, and tells that what went in the same revision was not removed.
//! - **responder**: whoever answers the requests of a session: the service.

pub mod ascii;
pub mod auth;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod cluster;
#[cfg(feature = "server")]
pub mod engine;
pub mod escape;
#[cfg(feature = "server")]
pub mod etcd;
pub mod limits;
pub mod message;
#[cfg(feature = "server")]
pub mod registry;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod session;
#[cfg(feature = "server")]
pub mod state;
pub mod time;
#[cfg(feature = "server")]
pub mod wire;
