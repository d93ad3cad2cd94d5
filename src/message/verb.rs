//! The verbs, each named once.

use super::Request;

/// The name of a command, which is accepted in any case; in a frame it is the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is explained at its request")]
pub enum Verb {
    Register,
    Heartbeat,
    Deregister,
    Update,
    Hold,
    Query,
    Types,
    List,
    Why,
    Watch,
    Stats,
    Ping,
    Auth,
    Help,
    Quit,
}

impl Verb {
    /// All verbs, in the order of their declaration.
    pub const ALL: [Verb; 15] = [
        Verb::Register,
        Verb::Heartbeat,
        Verb::Deregister,
        Verb::Update,
        Verb::Hold,
        Verb::Query,
        Verb::Types,
        Verb::List,
        Verb::Why,
        Verb::Watch,
        Verb::Stats,
        Verb::Ping,
        Verb::Auth,
        Verb::Help,
        Verb::Quit,
    ];

    /// The verb with this name, in any case.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Verb> {
        let named = |is: fn(&[u8], &[u8]) -> bool| {
            let mut verbs = Verb::ALL.into_iter();
            verbs.find(|verb| is(verb.name().as_bytes(), name))
        };
        // Nearly all are in lower case.
        named(|a, b| a == b).or_else(|| named(<[u8]>::eq_ignore_ascii_case))
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Auth => "auth",
            Verb::Register => "register",
            Verb::Hold => "hold",
            Verb::Heartbeat => "heartbeat",
            Verb::Deregister => "deregister",
            Verb::Update => "update",
            Verb::Query => "query",
            Verb::Types => "types",
            Verb::List => "list",
            Verb::Why => "why",
            Verb::Watch => "watch",
            Verb::Stats => "stats",
            Verb::Ping => "ping",
            Verb::Help => "help",
            Verb::Quit => "quit",
        }
    }

    /// Its usage in text, with its arguments.
    #[must_use]
    pub const fn usage(self) -> &'static str {
        match self {
            Verb::Register => {
                "register <type> <ip|-> <port> [ttl=<seconds>] [replace] [tag=<tag>] [meta.<key>=<value>]"
            }
            Verb::Heartbeat => {
                "heartbeat <uuid> [<type> <ip|-> <port> [ttl=<seconds>] [tag=<tag>] [meta.<key>=<value>]]"
            }
            Verb::Deregister => "deregister <uuid>",
            Verb::Update => "update <uuid> [tag=<tag>] [meta.<key>=<value>]",
            Verb::Hold => {
                "hold <type> <ip|-> <port> [ttl=<seconds>] [replace] [tag=<tag>] [meta.<key>=<value>]"
            }
            Verb::Query => {
                "query <type> [max-age=<seconds>] [tag=<tag>] [meta.<key>=<value>] [limit=<n>]"
            }
            Verb::Types => "types",
            Verb::List => "list [<type>]",
            Verb::Why => "why <uuid>",
            Verb::Watch => "watch [<type>]",
            Verb::Stats => "stats",
            Verb::Ping => "ping",
            Verb::Auth => "auth <token>",
            Verb::Help => "help",
            Verb::Quit => "quit",
        }
    }

    /// Whether frames support it: one frame is answered by one frame.
    #[must_use]
    pub const fn is_action(self) -> bool {
        match self {
            Verb::Register
            | Verb::Heartbeat
            | Verb::Deregister
            | Verb::Update
            | Verb::Query
            | Verb::Types
            | Verb::List
            | Verb::Why
            | Verb::Stats
            | Verb::Ping => true,
            Verb::Hold | Verb::Watch | Verb::Auth | Verb::Help | Verb::Quit => false,
        }
    }
}

const _: () = {
    let mut index = 0;
    while index < Verb::ALL.len() {
        assert!(
            Verb::ALL[index] as usize == index,
            "a verb is its index in the list of all"
        );
        index += 1;
    }
    assert!(index == Verb::Quit as usize + 1, "the list leaves none out");
};

impl Request<'_> {
    /// The verb of the request.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Request::Auth { .. } => Verb::Auth,
            Request::Register { .. } => Verb::Register,
            Request::Hold { .. } => Verb::Hold,
            Request::Heartbeat { .. } | Request::Revive { .. } => Verb::Heartbeat,
            Request::Deregister { .. } => Verb::Deregister,
            Request::Update { .. } => Verb::Update,
            Request::Query { .. } | Request::Resolve { .. } => Verb::Query,
            Request::Types | Request::Names { .. } => Verb::Types,
            Request::List { .. } | Request::Catalog { .. } | Request::Constant { .. } => Verb::List,
            Request::Why { .. } => Verb::Why,
            Request::Watch { .. } => Verb::Watch,
            Request::Stats | Request::Metrics { .. } => Verb::Stats,
            Request::Ping | Request::Health => Verb::Ping,
            Request::Help => Verb::Help,
            Request::Quit => Verb::Quit,
        }
    }
}
