//! The commands, the same on both paths.

use std::fmt;

/// Registrations at the start, ten of each type.
pub(crate) const KEYS: usize = 10_000;
const TYPES: usize = KEYS / 10;
/// Batches of each count.
const BATCHES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Heartbeat,
    Query,
    /// `query` over HTTP.
    Get,
    Register,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Verb::Heartbeat => "heartbeat",
            Verb::Query => "query of 10",
            Verb::Get => "GET /api/query of 10",
            Verb::Register => "register",
        }
    }
}

/// One row of the table: a command, and how many are sent before their replies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) verb: Verb,
    pub(crate) in_flight: usize,
}

const fn row(verb: Verb, in_flight: usize) -> Row {
    Row { verb, in_flight }
}

pub(crate) const ROWS: [Row; 8] = [
    row(Verb::Heartbeat, 1),
    row(Verb::Heartbeat, 16),
    row(Verb::Heartbeat, 128),
    row(Verb::Query, 16),
    row(Verb::Query, 128),
    row(Verb::Get, 16),
    row(Verb::Register, 16),
    row(Verb::Register, 128),
];

impl Row {
    /// Commands of one count. Few in flight need more batches for the same precision.
    pub(crate) fn commands(self) -> usize {
        BATCHES * self.in_flight.max(64)
    }

    /// `commands` commands about the registrations `uuids`, cut into batches.
    pub(crate) fn batches(self, commands: usize, uuids: &[String]) -> Vec<Vec<u8>> {
        // A stride that is prime to the number of keys, so that neighbours in memory do not follow
        // each other.
        let command = |i: usize| match self.verb {
            Verb::Heartbeat => format!("heartbeat {}\n", uuids[i * 7919 % KEYS]),
            Verb::Query => format!("query hive-{}\n", i * 7919 % TYPES),
            Verb::Get => {
                let number = i * 7919 % TYPES;
                format!("GET /api/query?type=hive-{number} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            }
            Verb::Register => register(KEYS + i),
        };
        (0..commands / self.in_flight)
            .map(|batch| {
                let first = batch * self.in_flight;
                let commands = (first..first + self.in_flight).map(command);
                commands.collect::<String>().into_bytes()
            })
            .collect()
    }

    /// Whether it is sent over HTTP, on a connection of its own.
    pub(crate) fn is_http(self) -> bool {
        self.verb == Verb::Get
    }

    /// The last byte of a reply, which is nowhere else in it.
    pub(crate) fn reply_end(self) -> u8 {
        if self.is_http() { b']' } else { b'\n' }
    }

    /// Panics when these are not the replies to a batch. It does little, since it is counted too.
    pub(crate) fn check(self, replies: &[u8]) {
        let right = match self.verb {
            Verb::Heartbeat => replies.starts_with(b"OK\n") && replies.len() == 3 * self.in_flight,
            Verb::Query => replies.starts_with(b"[{") && replies.len() > 300 * self.in_flight,
            Verb::Get => replies.starts_with(b"HTTP/1.1 200 ") && replies.ends_with(b"}]"),
            Verb::Register => replies.len() == 37 * self.in_flight,
        };
        assert!(right, "wrong replies to {self}");
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} in flight", self.verb.name(), self.in_flight)
    }
}

/// The line that registers number `i`.
pub(crate) fn register(i: usize) -> String {
    let (number, port) = (i % TYPES, i % 60_000 + 1);
    format!("register hive-{number} 10.0.{}.1 {port}\n", i % 250)
}

/// The UUIDs in the replies to registrations.
pub(crate) fn uuids(replies: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(replies);
    text.lines()
        .inspect(|line| assert_eq!(line.len(), 36, "a UUID: {line}"))
        .map(str::to_owned)
        .collect()
}
