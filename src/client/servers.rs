//! Several servers, used in the order in which they were given.

use std::io;
use std::time::{Duration, Instant};

use super::Error;

/// How long one look at other servers may take, whatever [`Options::timeout`](super::Options) is:
/// the caller has an answer already.
pub(super) const ASIDE_MAX: Duration = Duration::from_secs(1);

/// Pause between two looks at other servers.
pub(super) const ASIDE_INTERVAL: Duration = Duration::from_secs(10);

/// The servers with those first for which `is_first` holds. Otherwise they stay in their order.
pub(super) fn ordered(servers: &[String], is_first: impl Fn(&str) -> bool) -> Vec<String> {
    let servers = servers.iter().cloned();
    let (mut first, others): (Vec<String>, Vec<String>) =
        servers.partition(|server| is_first(server));
    first.extend(others);
    first
}

/// The first success of `attempt` at these servers, in their order. Those that are left share the
/// time that is left.
pub(super) fn first<T>(
    servers: &[String],
    deadline: Instant,
    mut attempt: impl FnMut(&str, Instant) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut failures = Vec::new();
    for (i, server) in servers.iter().enumerate() {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / (servers.len() - i) as u32;
        match attempt(server, now + share) {
            Err(error) if servers.len() > 1 => failures.push(error),
            result => return result,
        }
    }
    Err(none_of(servers, failures))
}

/// Why none of the servers was a success.
fn none_of(servers: &[String], mut failures: Vec<Error>) -> Error {
    let reasons: Vec<String> = failures.iter().map(Error::to_string).collect();
    let may_come_back = failures.iter().any(Error::is_transient);
    let reason = match failures.pop() {
        // If no retry can help, the last error says why.
        Some(last) if !may_come_back => return last,
        Some(_) => reasons.join("; "),
        None => "no address is given".to_owned(),
    };
    Error::Unreachable {
        servers: servers.join(","),
        error: io::Error::other(reason),
    }
}
