//! The signals that `run` receives, and whether a terminal sent them.

use std::io;
use std::os::fd::OwnedFd;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// The signals that `run` forwards to the command.
const FORWARDED: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Signals as a source of events.
pub(super) struct Signals {
    origins: SignalDelivery<UnixStream, WithOrigin>,
    /// Whether SIGCHLD arrives; the process that started `run` may have blocked it.
    pub(super) sees_children: bool,
}

/// A received signal.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub(super) signal: i32,
    /// Whether the command has had the signal already: a terminal sends to all processes in its
    /// foreground. Not so SIGHUP, which may go to the leader of the session only (setpgid(2)).
    pub(super) by_terminal: bool,
}

impl Signals {
    /// Receives signals from now on, as events with `token`. A signal that is ignored, as under
    /// `nohup`, stays ignored, and the command inherits that.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = mask(&status, "SigIgn");
        let received = FORWARDED
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
            sees_children: mask(&status, "SigBlk") & bit(SIGCHLD) == 0,
        })
    }

    /// The signals since the last call.
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

/// A set of signals from `/proc/self/status`, such as `SigIgn` (proc_pid_status(5)); empty where
/// there is none.
fn mask(status: &str, name: &str) -> u64 {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// The bit of a signal in a set.
fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
