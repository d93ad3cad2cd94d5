//! The signals that `run` receives, and whether a terminal has sent them.

use std::io;
use std::os::fd::OwnedFd;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// Passed on to the command, one way or another.
const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// A source of events: the signals that are received.
pub(super) struct Signals {
    origins: SignalDelivery<UnixStream, WithOrigin>,
    /// Whether the end of the command is announced; who has started this process may have blocked that.
    pub(super) tell_of_children: bool,
}

/// A signal that was received.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub(super) signal: i32,
    /// A terminal tells every process in its foreground, so it has told the command, too; but for SIGHUP, which
    /// may be for the first process of its session only (setpgid(2)).
    pub(super) by_terminal: bool,
}

impl Signals {
    /// From now on signals are received, as events with `token`. One that is ignored, as `nohup` has it,
    /// stays ignored, and so the command inherits that.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = mask(&status, "SigIgn");
        let received = PASSED_ON
            .into_iter()
            .filter(|&signal| ignored & bit(signal) == 0);
        let (mut read, write) = UnixStream::pair()?;
        registry.register(&mut read, token, Interest::READABLE)?;
        let write = OwnedFd::from(write);
        let origins = SignalDelivery::with_pipe(
            read,
            write,
            WithOrigin::default(),
            received.chain([SIGCHLD]),
        )?;
        Ok(Signals {
            origins,
            tell_of_children: mask(&status, "SigBlk") & bit(SIGCHLD) == 0,
        })
    }

    /// What was received since it was asked last.
    pub(super) fn pending(&mut self) -> Vec<Received> {
        let received = |Origin { signal, cause, .. }| {
            let by_terminal = cause == Cause::Kernel && signal != SIGHUP;
            Received {
                signal,
                by_terminal,
            }
        };
        self.origins.pending().map(received).collect()
    }
}

/// A set of signals in the state of this process, such as `SigIgn` (proc_pid_status(5)): none where that cannot
/// be known.
fn mask(status: &str, name: &str) -> u64 {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// The place of a signal in a set.
fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
