//! The limit on the memory of the process.

use log::warn;

use crate::limits::{SERVICE_MEMORY_LEN, WAITING_LEN_MAX};

/// Warns when `services_max` registrations and all pending output do not fit under the limit on the
/// memory of the process. The system ends a process that passes it.
pub(super) fn check(services_max: u32) {
    const MIB: u64 = 1024 * 1024;
    let registrations = u64::from(services_max) * SERVICE_MEMORY_LEN;
    let needed = registrations + WAITING_LEN_MAX as u64;
    if let Some(limit) = limit()
        && limit < needed
    {
        warn!(
            "{services_max} registrations and their answers can take {} MiB, but the limit on memory is \
             {} MiB: lower --max-services, or raise the limit",
            needed.div_ceil(MIB),
            limit / MIB
        );
    }
}

/// The lowest limit in bytes, if there is any.
#[cfg(unix)]
fn limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    let own = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    own.into_iter().flatten().chain(control_group_limit()).min()
}

/// Other systems have no such limit.
#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

/// The lowest limit of the control groups that the process is in (cgroups(7)).
#[cfg(unix)]
fn control_group_limit() -> Option<u64> {
    use std::fs::read_to_string;
    use std::path::Path;
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let limit = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        // A limit holds for all groups below. In a container the upper ones may not be visible.
        let groups = Path::new(group.trim_start_matches('/')).ancestors();
        let files = groups.map(|group| Path::new(root).join(group).join(file));
        let limits = files.filter_map(|file| read_to_string(file).ok()?.trim().parse().ok());
        limits.min()
    };
    groups.lines().filter_map(limit).min()
}
