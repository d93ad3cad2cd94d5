//! The limit on open files.

use log::warn;

use crate::limits::LINGERING_REFUSED_MAX;

/// Descriptors other than those of connections and listeners: standard streams, the poll, signals,
/// the token file, and refused connections that linger.
const OTHERS: u64 = 16 + LINGERING_REFUSED_MAX as u64;

/// Raises the soft limit on open files to the hard one, and returns how many of `connections_max`
/// fit under it together with `listeners` listeners; at least one.
pub(super) fn fit_connections(connections_max: usize, listeners: usize) -> usize {
    let Some(limit) = raise_limit() else {
        return connections_max;
    };
    let fitting = limit.saturating_sub(OTHERS + listeners as u64).max(1);
    let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
    if fitting < connections_max {
        warn!(
            "only {fitting} of {connections_max} connections fit under the limit of {limit} open files"
        );
    }
    fitting.min(connections_max)
}

/// Raises the limit on open files and returns it; `None` when there is none.
#[cfg(unix)]
fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .is_ok();
    if raised { maximum } else { current }
}

/// Other systems have no such limit.
#[cfg(not(unix))]
fn raise_limit() -> Option<u64> {
    None
}
