//! Signals as events of the loop.

use std::io;

use mio::Registry;

#[cfg(unix)]
use super::network::SIGNALS;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The meaning of a signal to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGINT or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that the service handles.
#[cfg(unix)]
pub(super) struct Signals(signal_hook_mio::v1_0::Signals);

#[cfg(unix)]
impl Signals {
    /// Starts to receive signals as events with the token [`SIGNALS`].
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let mut signals = signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        registry.register(&mut signals, SIGNALS, mio::Interest::READABLE)?;
        Ok(Signals(signals))
    }

    /// The signals that have arrived since the last call.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = Signal> + '_ {
        self.0.pending().map(|signal| {
            if signal == SIGHUP {
                Signal::Reload
            } else {
                Signal::Stop
            }
        })
    }
}

/// Systems without signals: the service ends when the system ends its process.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new(_registry: &Registry) -> io::Result<Self> {
        Ok(Signals)
    }

    pub(super) fn pending(&mut self) -> impl Iterator<Item = Signal> + '_ {
        std::iter::empty()
    }
}
