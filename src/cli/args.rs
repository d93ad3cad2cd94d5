//! The verbs and their arguments, as a table: every value is checked here and kept as text.

use std::net::IpAddr;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use discovery_service::config::Config;
use discovery_service::limits::TTL_SECONDS;

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
/// What the command of `run` starts as.
pub(super) const CHILD: &str = "run-child";

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
pub(super) const PARENT: &str = "parent";
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

/// The whole command line: the flags of the service, and the verbs.
pub(super) fn command() -> Command {
    let optional_type = || positional(TYPE, "The type; without it, all").required(false);
    let verbs = [
        verb(
            REGISTER,
            "Register a service and print its UUID",
            "discovery register hive 127.0.0.1 65433 --ttl 60 --replace",
        )
        .args([
            positional(TYPE, "What kind of service it is"),
            positional(IP, "Its address; - stands for the one that this host connects from").allow_hyphen_values(true),
            positional(PORT, "Its port").value_parser(port),
            option(TTL, "SECONDS", "How long it lives without a heartbeat; 1 to 86400").value_parser(ttl),
            flag(REPLACE, "Take the place of all others of this type at this address"),
            timeout(),
        ]),
        verb(
            HEARTBEAT,
            "Keep a registration alive; exit status 1 when it is not known",
            "discovery heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6",
        )
        .args([positional(UUID, "The registration"), timeout()]),
        verb(
            DEREGISTER,
            "Remove a registration; exit status 1 when it is not known",
            "discovery deregister 3999da30-2a11-463a-be8e-6b2beca7bfe6",
        )
        .args([positional(UUID, "The registration"), timeout()]),
        verb(
            QUERY,
            "Print the addresses of a type, one a line; exit status 1 when there are none",
            "curl http://$(discovery query web --one)/",
        )
        .args([
            positional(TYPE, "What kind of service is looked for"),
            flag(ONE, "Print one of them, chosen by chance"),
            timeout(),
        ]),
        verb(LIST, "Show the registrations of a type, or all", "discovery list hive")
            .args([optional_type(), timeout()]),
        verb(TYPES, "Show the types with the number of their registrations", "discovery types --json").arg(timeout()),
        verb(STATS, "Show what the service has done so far", "discovery stats --json").arg(timeout()),
        verb(
            WHY,
            "Show whether a registration is live, or why it went; exit status 1 when nobody knows",
            "discovery why 3999da30-2a11-463a-be8e-6b2beca7bfe6",
        )
        .args([positional(UUID, "The registration"), timeout()]),
        verb(
            WATCH,
            "Show what comes and goes: a live table on a terminal, a line for each change in a pipe",
            "discovery watch web --exec 'cat >/etc/upstreams && nginx -s reload'",
        )
        .args([
            optional_type(),
            option(EXEC, "COMMAND", "Run this at each change, with the present list on its standard input"),
            timeout(),
        ]),
        verb(
            WAIT,
            "Wait until services of a type are live, and print their addresses",
            "discovery wait database --timeout 60 && ./migrate",
        )
        .args([
            positional(TYPE, "What kind of service is waited for"),
            option(COUNT, "N", "How many must be live").default_value("1").value_parser(count),
            option(
                TIMEOUT,
                "SECONDS",
                "Give up after so long, with exit status 1; meanwhile the service may be away. Without it, wait for \
                 ever once the service has answered",
            )
            .value_parser(seconds),
        ]),
        verb(PING, "Exit status 0 when the service answers", "HEALTHCHECK CMD [\"discovery\", \"ping\"]")
            .arg(timeout()),
        Command::new(COMPLETIONS)
            .about("Print a script that completes this command line in a shell")
            .after_help("Example:\n  discovery completions bash > /etc/bash_completion.d/discovery")
            .arg(positional(SHELL, "Which shell").value_parser(PossibleValuesParser::new([
                "bash",
                "elvish",
                "fish",
                "powershell",
                "zsh",
            ]))),
    ];
    let mut command = Config::command()
        .args_conflicts_with_subcommands(true)
        .subcommand_value_name("VERB")
        .subcommand_help_heading("Verbs")
        .subcommands(verbs);
    if cfg!(unix) {
        command = command.subcommands([run(), child()]);
    }
    command
}

/// The command line of `run` and of what it starts.
pub(super) fn run_alone() -> Command {
    Command::new("discovery").subcommands([run(), child()])
}

fn run() -> Command {
    let about = "Run a command that is registered for as long as it lives";
    Command::new(RUN).about(about).after_help(RUN_HELP).args([
        positional(TYPE, "What kind of service the command is"),
        positional(PORT, "The port on which it answers").value_parser(port),
        option(IP, "IP", "The address at which others reach it; - stands for the one that this host connects from")
            .default_value("-")
            .allow_hyphen_values(true)
            .value_parser(ip),
        option(
            WAIT_PORT_TIMEOUT,
            "SECONDS",
            "How long its port may take before a message says that it does not answer",
        )
        .default_value("30")
        .value_parser(seconds),
        option(DRAIN, "SECONDS", "How long it goes on after it was deregistered, before it gets the signal to end")
            .default_value("0")
            .value_parser(seconds_or_none),
        timeout(),
        server(),
        token_file(),
        command_line(),
    ])
}

fn child() -> Command {
    Command::new(CHILD).hide(true).args([positional(PARENT, "The process to end with"), command_line()])
}

fn command_line() -> Arg {
    positional(COMMAND, "The command and its arguments, behind --")
        .last(true)
        .num_args(1..)
        .value_parser(clap::value_parser!(std::ffi::OsString))
}

/// A verb that asks the service and can answer in JSON.
#[inline(never)]
fn verb(name: &'static str, about: &'static str, example: &'static str) -> Command {
    let example = format!("Example:\n  {example}");
    let json = flag(JSON, "Print JSON");
    Command::new(name).about(about).after_help(example).args([json, server(), token_file()])
}

#[inline(never)]
fn positional(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).help(help).required(true)
}

#[inline(never)]
fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

#[inline(never)]
fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

#[inline(never)]
fn server() -> Arg {
    option(SERVER, "ADDR", "Address of the service, host:port; several with commas are tried in turn")
        .env("DISCOVERY_SERVER")
        .default_value("127.0.0.1:65432")
}

#[inline(never)]
fn token_file() -> Arg {
    option(TOKEN_FILE, "PATH", "Show the first token in this file").env("DISCOVERY_TOKEN_FILE")
}

#[inline(never)]
fn timeout() -> Arg {
    option(TIMEOUT, "SECONDS", "How long connecting and each answer may take").default_value("5").value_parser(seconds)
}

fn port(text: &str) -> Result<String, String> {
    checked(text, text.parse::<u16>().is_ok_and(|port| port > 0), "a number from 1 to 65535")
}

fn ttl(text: &str) -> Result<String, String> {
    checked(text, text.parse().is_ok_and(|ttl| TTL_SECONDS.contains(&ttl)), "a number from 1 to 86400")
}

fn count(text: &str) -> Result<String, String> {
    checked(text, text.parse::<usize>().is_ok(), "a number")
}

fn ip(text: &str) -> Result<String, String> {
    checked(text, text == "-" || text.parse::<IpAddr>().is_ok(), "an IPv4 or IPv6 address, or -")
}

fn seconds(text: &str) -> Result<String, String> {
    checked(text, parse_time(text).is_some_and(|time| !time.is_zero()), "a number of seconds, such as 5 or 0.5")
}

fn seconds_or_none(text: &str) -> Result<String, String> {
    checked(text, parse_time(text).is_some(), "a number of seconds, such as 5 or 0.5, or 0")
}

#[inline(never)]
fn checked(text: &str, right: bool, wanted: &str) -> Result<String, String> {
    if right { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

/// A time in seconds, with up to three digits behind a point: a year at most.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    const YEAR: u64 = 31_536_000;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let milliseconds: u64 = format!("{part:0<3}").parse().ok()?;
    let seconds: u64 = whole.parse().ok().filter(|&seconds| seconds <= YEAR)?;
    Some(Duration::from_millis(seconds * 1000 + milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn times_are_whole_seconds_or_have_up_to_three_digits_behind_a_point() {
        let ms = |text| parse_time(text).map(|time| time.as_millis());
        assert_eq!([ms("5"), ms("0.5"), ms("1.25"), ms("0.001"), ms("0")], [5000, 500, 1250, 1, 0].map(Some));
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1.2345", "31536001", "99999999999999999999", "five", "1 "]
        {
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }
}
