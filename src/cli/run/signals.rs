//! The signals that `run` receives, and whether a terminal has sent them.

use std::io;
use std::os::fd::OwnedFd;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

/// Passed on to the command, one way or another.
const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// A source of events: the signals that are received.
pub(super) struct Signals(SignalDelivery<UnixStream, WithOrigin>);

/// A signal that was received.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub(super) signal: i32,
    /// A terminal tells every process in its foreground, so it has told the command, too.
    pub(super) by_terminal: bool,
}

impl Signals {
    /// From now on signals are received, as events with `token`. One that is ignored, as `nohup` has it,
    /// stays ignored, and so the command inherits that.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let ignored = ignored();
        let received = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let (mut read, write) = UnixStream::pair()?;
        registry.register(&mut read, token, Interest::READABLE)?;
        let write = OwnedFd::from(write);
        let signals = SignalDelivery::with_pipe(read, write, WithOrigin::default(), received.chain([SIGCHLD]))?;
        Ok(Signals(signals))
    }

    /// What was received since it was asked last.
    pub(super) fn pending(&mut self) -> Vec<Received> {
        let origins = self.0.pending();
        origins.map(|origin| Received { signal: origin.signal, by_terminal: origin.cause == Cause::Kernel }).collect()
    }
}

/// The signals that this process ignores, a bit each from the lowest (proc_pid_status(5), `SigIgn`); none
/// where that cannot be known.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
