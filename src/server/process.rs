//! What the system tells of the process, for monitors.

use crate::message::Process;

/// What the system tells now. Costs some system calls, so it is asked for only when a monitor asks.
#[cfg(target_os = "linux")]
pub(super) fn read() -> Process {
    linux::read()
}

/// Other systems tell it in ways of their own.
#[cfg(not(target_os = "linux"))]
pub(super) fn read() -> Process {
    Process::default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::time::Duration;

    use rustix::param::{clock_ticks_per_second, page_size};
    use rustix::process::{Resource, getrlimit};

    use crate::message::Process;

    pub(super) fn read() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let of_process = Stat::parse(&stat);
        let fds = fs::read_dir("/proc/self/fd").ok();
        let ticks = |count: u64| {
            let a_second = clock_ticks_per_second().max(1);
            Duration::from_secs_f64(count as f64 / a_second as f64)
        };
        Process {
            cpu: of_process.as_ref().map(|stat| ticks(stat.cpu_ticks)),
            resident_len: of_process
                .as_ref()
                .map(|stat| stat.resident_pages * page_size() as u64),
            virtual_len: of_process.as_ref().map(|stat| stat.virtual_len),
            // The descriptor of the list itself is one of them.
            fds: fds.map(|fds| (fds.count() as u64).saturating_sub(1)),
            fds_max: getrlimit(Resource::Nofile).current,
            started_ms: of_process.and_then(|stat| started_ms(ticks(stat.start_ticks))),
        }
    }

    /// When a process started that did so this long after the host.
    fn started_ms(after_boot: Duration) -> Option<u64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let mut lines = stat.lines();
        let booted = lines.find_map(|line| line.strip_prefix("btime "))?;
        let booted: u64 = booted.parse().ok()?;
        Some(booted * 1000 + after_boot.as_millis() as u64)
    }

    /// Some fields of `/proc/self/stat` (proc_pid_stat(5)).
    struct Stat {
        cpu_ticks: u64,
        start_ticks: u64,
        virtual_len: u64,
        resident_pages: u64,
    }

    impl Stat {
        fn parse(text: &str) -> Option<Self> {
            // The name of the program is in parentheses and may have any character in it. What follows
            // begins with the third field.
            let (_, rest) = text.rsplit_once(") ")?;
            let fields: Vec<&str> = rest.split(' ').collect();
            let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
            Some(Stat {
                cpu_ticks: field(14)? + field(15)?,
                start_ticks: field(22)?,
                virtual_len: field(23)?,
                resident_pages: field(24)?,
            })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::time::SystemTime;

        #[test]
        fn the_process_is_described() {
            let process = read();
            assert!(process.resident_len.is_some_and(|len| len > 100_000));
            assert!(process.virtual_len >= process.resident_len);
            assert!(process.fds.is_some_and(|fds| fds >= 3));
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap();
            let age = now.as_millis() as u64 - process.started_ms.unwrap();
            assert!(age < 24 * 3_600_000, "{age} ms");
            assert!(process.cpu.is_some());
        }
    }
}
