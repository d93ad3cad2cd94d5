//! The verbs and their arguments, as a table: every value is checked here and kept as text.

use clap::{Arg, ArgAction, Command, ValueHint};

use crate::command_line;
use crate::values::{
    ARE_SERVERS, Check, IS_COUNT, IS_IP, IS_PATH, IS_PORT, IS_REACHABLE, IS_SHELL, IS_TIME,
    IS_TIME_OR_NONE, IS_TTL, IS_TYPE, IS_UUID,
};

pub(super) const REGISTER: &str = "register";
pub(super) const HEARTBEAT: &str = "heartbeat";
pub(super) const DEREGISTER: &str = "deregister";
pub(super) const QUERY: &str = "query";
pub(super) const LIST: &str = "list";
pub(super) const TYPES: &str = "types";
pub(super) const STATS: &str = "stats";
pub(super) const WHY: &str = "why";
pub(super) const WATCH: &str = "watch";
pub(super) const WAIT: &str = "wait";
pub(super) const RUN: &str = "run";
pub(super) const PING: &str = "ping";
pub(super) const COMPLETIONS: &str = "completions";

pub(super) const TYPE: &str = "type";
pub(super) const IP: &str = "ip";
pub(super) const PORT: &str = "port";
pub(super) const UUID: &str = "uuid";
pub(super) const TTL: &str = "ttl";
pub(super) const REPLACE: &str = "replace";
pub(super) const ONE: &str = "one";
pub(super) const EXEC: &str = "exec";
pub(super) const COUNT: &str = "count";
pub(super) const WAIT_PORT_TIMEOUT: &str = "wait-port-timeout";
pub(super) const DRAIN: &str = "drain";
pub(super) const COMMAND: &str = "command";
pub(super) const SHELL: &str = "shell";
pub(super) const SERVER: &str = "server";
pub(super) const TOKEN_FILE: &str = "token-file";
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const JSON: &str = "json";

const RUN_HELP: &str = "\
The command is registered once its port accepts connections, and held registered by a connection: it is gone from
the registry the moment it dies. While the registry is away it runs on, and is registered again when that comes back.
On SIGTERM, SIGINT or SIGQUIT it is deregistered first, then --drain passes, then it gets the signal; a second
signal is passed on at once. Other signals are passed on as they are. Exit status: that of the command, 128 and the
signal that ended it, 126 when it cannot be started, 127 when there is no such command.

Example:
  discovery run web 8000 --drain 5 -- python3 -m http.server 8000";

/// A verb of the command line.
struct Verb {
    name: &'static str,
    about: &'static str,
    after_help: &'static str,
    arguments: &'static [Argument],
}

/// An argument of a verb.
struct Argument {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// What a value must be.
    check: Option<&'static Check>,
    default: Option<&'static str>,
    env: Option<&'static str>,
}

/// How an argument is given.
#[derive(Clone, Copy)]
enum Kind {
    /// By its place, always.
    Positional,
    /// By its place, or not at all.
    OptionalPositional,
    /// By its name, alone.
    Flag,
    /// By its name, with a value that is called this.
    Option(&'static str),
    /// Everything behind `--`.
    CommandLine,
}

const fn positional(name: &'static str, help: &'static str) -> Argument {
    Argument {
        name,
        help,
        kind: Kind::Positional,
        check: None,
        default: None,
        env: None,
    }
}

const fn flag(name: &'static str, help: &'static str) -> Argument {
    Argument {
        kind: Kind::Flag,
        ..positional(name, help)
    }
}

const fn option(name: &'static str, value: &'static str, help: &'static str) -> Argument {
    Argument {
        kind: Kind::Option(value),
        ..positional(name, help)
    }
}

const fn checked(argument: Argument, check: &'static Check) -> Argument {
    Argument {
        check: Some(check),
        ..argument
    }
}

const fn with_default(argument: Argument, default: &'static str) -> Argument {
    Argument {
        default: Some(default),
        ..argument
    }
}

const A_TYPE: Argument = checked(positional(TYPE, "What kind of service it is"), &IS_TYPE);
const A_TYPE_OR_ALL: Argument = Argument {
    kind: Kind::OptionalPositional,
    ..checked(positional(TYPE, "The type; without it, all"), &IS_TYPE)
};
const A_UUID: Argument = checked(positional(UUID, "The registration"), &IS_UUID);
const A_PORT: Argument = checked(positional(PORT, "The port on which it answers"), &IS_PORT);
const THE_TIMEOUT: Argument = with_default(
    checked(
        option(
            TIMEOUT,
            "SECONDS",
            "How long the service may take to answer",
        ),
        &IS_TIME,
    ),
    "5",
);
const THE_JSON: Argument = flag(JSON, "Print JSON");
const THE_SERVER: Argument = Argument {
    env: Some("DISCOVERY_SERVER"),
    ..with_default(
        checked(
            option(
                SERVER,
                "ADDR",
                "Address of the service, host:port; several with commas are tried in turn",
            ),
            &ARE_SERVERS,
        ),
        "127.0.0.1:65432",
    )
};
const THE_TOKEN_FILE: Argument = Argument {
    env: Some("DISCOVERY_TOKEN_FILE"),
    ..checked(
        option(TOKEN_FILE, "PATH", "Show the first token in this file"),
        &IS_PATH,
    )
};
const THE_COMMAND: Argument = Argument {
    kind: Kind::CommandLine,
    ..positional(COMMAND, "The command and its arguments, behind --")
};

static VERBS: [Verb; 13] = [
    Verb {
        name: REGISTER,
        about: "Register a service and print its UUID",
        after_help: "Example:\n  discovery register hive 127.0.0.1 65433 --ttl 60 --replace",
        arguments: &[
            A_TYPE,
            checked(
                positional(
                    IP,
                    "Its address; - stands for the one that this host connects from",
                ),
                &IS_IP,
            ),
            A_PORT,
            checked(
                option(
                    TTL,
                    "SECONDS",
                    "How long it lives without a heartbeat; 1 to 86400",
                ),
                &IS_TTL,
            ),
            flag(
                REPLACE,
                "Take the place of all others of this type at this address",
            ),
            THE_JSON,
            THE_TIMEOUT,
            THE_SERVER,
            THE_TOKEN_FILE,
        ],
    },
    Verb {
        name: HEARTBEAT,
        about: "Keep a registration alive; exit status 1 when it is not known",
        after_help: "Example:\n  discovery heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6",
        arguments: &[A_UUID, THE_JSON, THE_TIMEOUT, THE_SERVER, THE_TOKEN_FILE],
    },
    Verb {
        name: DEREGISTER,
        about: "Remove a registration; exit status 1 when it is not known",
        after_help: "Example:\n  discovery deregister 3999da30-2a11-463a-be8e-6b2beca7bfe6",
        arguments: &[A_UUID, THE_JSON, THE_TIMEOUT, THE_SERVER, THE_TOKEN_FILE],
    },
    Verb {
        name: QUERY,
        about: "Print the addresses of a type, one a line; exit status 1 when there are none",
        after_help: "Example:\n  curl http://$(discovery query web --one)/",
        arguments: &[
            A_TYPE,
            flag(ONE, "Print one of them, chosen by chance"),
            THE_JSON,
            THE_TIMEOUT,
            THE_SERVER,
            THE_TOKEN_FILE,
        ],
    },
    Verb {
        name: LIST,
        about: "Show the registrations of a type, or all",
        after_help: "Example:\n  discovery list hive",
        arguments: &[
            A_TYPE_OR_ALL,
            THE_JSON,
            THE_TIMEOUT,
            THE_SERVER,
            THE_TOKEN_FILE,
        ],
    },
    Verb {
        name: TYPES,
        about: "Show the types with the number of their registrations",
        after_help: "Example:\n  discovery types --json",
        arguments: &[THE_JSON, THE_TIMEOUT, THE_SERVER, THE_TOKEN_FILE],
    },
    Verb {
        name: STATS,
        about: "Show what the service has done so far",
        after_help: "Example:\n  discovery stats --json",
        arguments: &[THE_JSON, THE_TIMEOUT, THE_SERVER, THE_TOKEN_FILE],
    },
    Verb {
        name: WHY,
        about: "Show whether a registration is live, or why it went; exit status 1 when nobody knows",
        after_help: "Example:\n  discovery why 3999da30-2a11-463a-be8e-6b2beca7bfe6",
        arguments: &[A_UUID, THE_JSON, THE_TIMEOUT, THE_SERVER, THE_TOKEN_FILE],
    },
    Verb {
        name: WATCH,
        about: "Show what comes and goes: a live table on a terminal, a line for each change in a pipe",
        after_help: "Example:\n  discovery watch web --exec 'cat >/etc/upstreams && nginx -s reload'",
        arguments: &[
            A_TYPE_OR_ALL,
            option(
                EXEC,
                "COMMAND",
                "Run this at each change, with the present list on its standard input",
            ),
            THE_JSON,
            THE_TIMEOUT,
            THE_SERVER,
            THE_TOKEN_FILE,
        ],
    },
    Verb {
        name: WAIT,
        about: "Wait until services of a type are live, and print their addresses; exit status 1 when it gives up",
        after_help: "Example:\n  discovery wait database --timeout 60 && ./migrate",
        arguments: &[
            A_TYPE,
            with_default(
                checked(option(COUNT, "N", "How many must be live"), &IS_COUNT),
                "1",
            ),
            checked(
                option(
                    TIMEOUT,
                    "SECONDS",
                    "Give up after so long; meanwhile the service may be away. Without it, wait for ever once the \
                     service has answered",
                ),
                &IS_TIME,
            ),
            THE_JSON,
            THE_SERVER,
            THE_TOKEN_FILE,
        ],
    },
    Verb {
        name: RUN,
        about: "Run a command that is registered for as long as it lives",
        after_help: RUN_HELP,
        arguments: &[
            A_TYPE,
            A_PORT,
            with_default(
                checked(
                    option(
                        IP,
                        "IP",
                        "The address at which others reach it; - stands for the one that this host connects from",
                    ),
                    &IS_REACHABLE,
                ),
                "-",
            ),
            with_default(
                checked(
                    option(
                        WAIT_PORT_TIMEOUT,
                        "SECONDS",
                        "How long its port may take before a message says that it does not answer",
                    ),
                    &IS_TIME,
                ),
                "30",
            ),
            with_default(
                checked(
                    option(
                        DRAIN,
                        "SECONDS",
                        "How long it goes on after it was deregistered, before it gets the signal to end",
                    ),
                    &IS_TIME_OR_NONE,
                ),
                "0",
            ),
            THE_TIMEOUT,
            THE_SERVER,
            THE_TOKEN_FILE,
            THE_COMMAND,
        ],
    },
    Verb {
        name: PING,
        about: "Exit status 0 when the service answers",
        after_help: "Example:\n  HEALTHCHECK CMD [\"discovery\", \"ping\"]",
        arguments: &[THE_JSON, THE_TIMEOUT, THE_SERVER, THE_TOKEN_FILE],
    },
    Verb {
        name: COMPLETIONS,
        about: "Print a script that completes this command line in a shell",
        after_help: "Example:\n  discovery completions bash > /etc/bash_completion.d/discovery",
        arguments: &[checked(
            positional(SHELL, "bash, elvish, fish, powershell or zsh"),
            &IS_SHELL,
        )],
    },
];

/// The whole command line: the flags of the service, and the verbs.
pub(crate) fn command() -> Command {
    let verbs = VERBS.iter().filter(|verb| cfg!(unix) || verb.name != RUN);
    command_line::command()
        .args_conflicts_with_subcommands(true)
        .subcommand_value_name("VERB")
        .subcommand_help_heading("Verbs")
        .subcommands(verbs.map(build_verb))
}

fn build_verb(verb: &'static Verb) -> Command {
    Command::new(verb.name)
        .about(verb.about)
        .after_help(verb.after_help)
        .args(verb.arguments.iter().map(build_argument))
}

fn build_argument(argument: &'static Argument) -> Arg {
    let mut arg = Arg::new(argument.name)
        .help(argument.help)
        .allow_hyphen_values(argument.name == IP);
    arg = match argument.kind {
        Kind::Positional => arg.required(true),
        Kind::OptionalPositional => arg,
        Kind::Flag => arg.long(argument.name).action(ArgAction::SetTrue),
        Kind::Option(value) => arg.long(argument.name).value_name(value),
        Kind::CommandLine => arg
            .required(true)
            .last(true)
            .num_args(1..)
            .value_parser(clap::value_parser!(std::ffi::OsString)),
    };
    if let Some(Check { is_right, wanted }) = argument.check {
        let check = |text: &str| {
            if is_right(text) {
                Ok(text.to_owned())
            } else {
                Err(*wanted)
            }
        };
        arg = arg.value_parser(check);
    }
    // What a shell completes: a type or a number is no file.
    let hint = match argument.name {
        TOKEN_FILE => ValueHint::FilePath,
        EXEC => ValueHint::CommandString,
        COMMAND => ValueHint::CommandName,
        _ if matches!(argument.kind, Kind::Flag) => ValueHint::Unknown,
        _ => ValueHint::Other,
    };
    arg.value_hint(hint)
        .default_value(argument.default)
        .env(argument.env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
