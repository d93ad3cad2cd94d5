//! The process of a command with all that it starts, and the signals that end `watch`.

#[cfg(not(unix))]
pub(super) use other::{Process, Signals, die_of};
#[cfg(unix)]
pub(super) use unix::{Process, Signals, die_of};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, ChildStdin, Command, ExitStatus};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use rustix::event::{Timespec, poll};
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::{flag, low_level};

    /// How long a command may take to end before it is killed.
    const END_MAX: Duration = Duration::from_secs(1);
    /// How often to look whether it has ended.
    const INTERVAL: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 5_000_000,
    };

    /// A process that leads a group of its own.
    pub(in super::super) struct Process {
        child: Child,
        group: Pid,
    }

    impl Process {
        /// Starts a command. Writing to its standard input never blocks.
        pub(in super::super) fn start(
            mut command: Command,
        ) -> io::Result<(Process, Option<ChildStdin>)> {
            let mut child = command.process_group(0).spawn()?;
            let stdin = child.stdin.take();
            if let Some(stdin) = &stdin {
                fcntl_setfl(stdin, fcntl_getfl(stdin)? | OFlags::NONBLOCK)?;
            }
            let group = Pid::from_child(&child);
            Ok((Process { child, group }, stdin))
        }

        /// Its exit status, once it has ended.
        pub(in super::super) fn status(&mut self) -> Option<ExitStatus> {
            self.child.try_wait().ok().flatten()
        }

        /// Ends it and what it has started.
        pub(in super::super) fn end(mut self) {
            let deadline = Instant::now() + END_MAX;
            let _ = kill_process_group(self.group, Signal::TERM);
            // Reaped, it is no longer in its group.
            while test_kill_process_group(self.group).is_ok() && Instant::now() < deadline {
                self.status();
                // Nothing but a pause.
                let _ = poll(&mut [], Some(&INTERVAL));
            }
            let _ = kill_process_group(self.group, Signal::KILL);
            self.status();
        }
    }

    /// The signals that end `watch`. While no command runs, they do so by themselves.
    pub(in super::super) struct Signals {
        idle: Arc<AtomicBool>,
        received: Arc<AtomicUsize>,
    }

    impl Signals {
        pub(in super::super) fn new() -> Self {
            let signals = Signals {
                idle: Arc::new(AtomicBool::new(true)),
                received: Arc::new(AtomicUsize::new(0)),
            };
            for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
                // Where that fails, the signal ends `watch` at once.
                let _ = flag::register_conditional_default(signal, Arc::clone(&signals.idle))
                    .and_then(|_| {
                        let received = Arc::clone(&signals.received);
                        flag::register_usize(signal, received, signal as usize)
                    });
            }
            signals
        }

        /// Whether no command runs.
        pub(in super::super) fn set_idle(&self, is_idle: bool) {
            self.idle.store(is_idle, Ordering::SeqCst);
        }

        /// The signal that ends `watch`.
        pub(in super::super) fn received(&self) -> Option<i32> {
            let signal = self.received.load(Ordering::SeqCst);
            (signal != 0).then_some(signal as i32)
        }
    }

    /// Ends this process by a signal, as if nobody had received it.
    pub(in super::super) fn die_of(signal: i32) {
        let _ = low_level::emulate_default_handler(signal);
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;
    use std::process::{Child, ChildStdin, Command, ExitStatus};

    /// A process. Writing to its standard input may block.
    pub(in super::super) struct Process(Child);

    impl Process {
        pub(in super::super) fn start(
            mut command: Command,
        ) -> io::Result<(Process, Option<ChildStdin>)> {
            let mut child = command.spawn()?;
            let stdin = child.stdin.take();
            Ok((Process(child), stdin))
        }

        pub(in super::super) fn status(&mut self) -> Option<ExitStatus> {
            self.0.try_wait().ok().flatten()
        }

        pub(in super::super) fn end(mut self) {
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }

    /// There are no signals.
    pub(in super::super) struct Signals;

    impl Signals {
        pub(in super::super) fn new() -> Self {
            Signals
        }

        pub(in super::super) fn set_idle(&self, _is_idle: bool) {}

        pub(in super::super) fn received(&self) -> Option<i32> {
            None
        }
    }

    pub(in super::super) fn die_of(_signal: i32) {}
}
