//! The verbs of the command line.

mod addresses;
mod groups;
mod output;
mod returning;
mod run;
mod several_servers;
mod verbs;

/// All verbs of the command line.
const VERBS: [&str; 14] = [
    "register",
    "heartbeat",
    "deregister",
    "query",
    "list",
    "types",
    "stats",
    "why",
    "watch",
    "wait",
    "run",
    "ping",
    "open",
    "completions",
];
