//! The attacks, as data. A row more is an entry more.

use Attacker::{Paced, Streams, Visits};

/// One attack, and the service that it meets.
pub(crate) struct Scenario {
    /// Its number in the list of what was found, for `ATTACK_ONLY`.
    pub(crate) name: &'static str,
    /// What the attackers do, for people.
    pub(crate) what: &'static str,
    /// What is registered before.
    pub(crate) filled: Filled,
    /// Tokens in the service's file; 0 for a service without one.
    pub(crate) tokens: usize,
    /// Honest connections that hold a registration, and watch its type.
    pub(crate) holders: usize,
    pub(crate) attackers: &'static [Attacker],
}

/// Registrations of many types, equally many of each.
pub(crate) struct Filled {
    pub(crate) types: usize,
    pub(crate) of_each: usize,
    /// Bytes of a type's name at least.
    pub(crate) name_len: usize,
}

impl Filled {
    /// The name of a type: `hive-7`, or `hive-7xxx…`.
    pub(crate) fn name(&self, number: usize) -> String {
        format!("{:x<1$}", format!("hive-{number}"), self.name_len)
    }
}

pub(crate) enum Attacker {
    /// Connections that send `first` once and then `then` without a pause, and read.
    Streams {
        connections: usize,
        first: &'static str,
        then: &'static str,
        /// How fast each reads, if it is not as fast as it can.
        bytes_a_second: Option<u64>,
    },
    /// So many at a time connect, send this, read the answer whole, and close.
    Visits {
        at_once: usize,
        request: &'static str,
    },
    /// One connection that sends this so often a second.
    Paced {
        request: &'static str,
        a_second: u32,
    },
}

/// Honest holders where an attack names no number.
const HOLDERS: usize = 50;

pub(crate) static SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: "row 1",
        what: "one connection registers and queries a type of 12,000 without a pause",
        filled: Filled {
            types: 1,
            of_each: 12_000,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[Streams {
            connections: 1,
            first: "",
            then: "register hive-0 10.0.0.1 1 ttl=5\nquery hive-0\n",
            bytes_a_second: None,
        }],
    },
    Scenario {
        name: "row 2",
        what: "four connections register without a pause what lives for 1 s",
        filled: Filled {
            types: 1,
            of_each: 1_000,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[Streams {
            connections: 4,
            first: "",
            then: "register f 10.0.0.1 80 ttl=1\n",
            bytes_a_second: None,
        }],
    },
    Scenario {
        name: "row 4",
        what: "1,500 hold and watch a type that changes once a second, among 700,000 services with \
               names of 63 bytes; one `watch` of all after the other",
        filled: Filled {
            types: 1_000,
            of_each: 700,
            name_len: 63,
        },
        tokens: 0,
        holders: 1_500,
        attackers: &[
            Visits {
                at_once: 1,
                request: "watch\n",
            },
            Paced {
                request: "register held 10.0.0.2 81 replace\n",
                a_second: 1,
            },
        ],
    },
    Scenario {
        name: "row 5",
        what: "20 watch 200,000 services at 12 MB/s each, with five changes a second",
        filled: Filled {
            types: 1_000,
            of_each: 200,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[
            Streams {
                connections: 20,
                first: "watch\n",
                then: "",
                bytes_a_second: Some(12_000_000),
            },
            Paced {
                request: "register hive-0 10.0.0.2 81 replace\n",
                a_second: 5,
            },
        ],
    },
    Scenario {
        name: "row 8",
        what: "500 connections pipeline `stats`, `why` and `help`",
        filled: Filled {
            types: 100,
            of_each: 100,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[Streams {
            connections: 500,
            first: "",
            then: "stats\nwhy 3999da30-2a11-463a-be8e-6b2beca7bfe6\nhelp\n",
            bytes_a_second: None,
        }],
    },
    Scenario {
        name: "row 9, list and types",
        what: "one connection asks for `list` and `types` of 65,000 types without a pause",
        filled: Filled {
            types: 65_000,
            of_each: 1,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[Streams {
            connections: 1,
            first: "",
            then: "list\ntypes\n",
            bytes_a_second: None,
        }],
    },
    Scenario {
        name: "row 9, max-age",
        what: "one connection asks with `max-age=` for a type of 100,000 without a pause",
        filled: Filled {
            types: 1,
            of_each: 100_000,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[Streams {
            connections: 1,
            first: "",
            then: "query hive-0 max-age=3600\n",
            bytes_a_second: None,
        }],
    },
    Scenario {
        name: "row 9, watch",
        what: "one `watch` of a million services after the other",
        filled: Filled {
            types: 1_000,
            of_each: 1_000,
            name_len: 0,
        },
        tokens: 0,
        holders: HOLDERS,
        attackers: &[Visits {
            at_once: 1,
            request: "watch\n",
        }],
    },
    Scenario {
        name: "row 11",
        what: "strangers, eight at a time, show a wrong token each to a service that has 1,000",
        filled: Filled {
            types: 100,
            of_each: 100,
            name_len: 0,
        },
        tokens: 1_000,
        holders: HOLDERS,
        attackers: &[Visits {
            at_once: 8,
            request: "auth wrong\n",
        }],
    },
];
