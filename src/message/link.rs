//! Links, the connections that the service opens itself: commands to them, and their events.
//!
//! The service numbers its links; a number names one connection at a time. Every link reports
//! [`LinkEvent::Opened`] when it is connected, and [`LinkEvent::Closed`] when it ends or cannot be
//! connected, unless the service closes it first.

use std::io;
use std::net::SocketAddr;

/// A command of the service to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// Connect. An older connection with this number is closed first and reports no further event.
    Open {
        /// The link's number, below [`crate::limits::LINKS_MAX`].
        link: usize,
        /// Where to connect to.
        address: SocketAddr,
        /// Milliseconds that connecting may take.
        within_ms: u64,
    },
    /// Send these bytes after the pending ones. Without effect where the link is not open.
    Send {
        /// The link's number.
        link: usize,
        /// The bytes to send.
        bytes: Vec<u8>,
    },
    /// Close the connection. It reports no further event.
    Close {
        /// The link's number.
        link: usize,
    },
}

/// An event of a link.
#[derive(Debug)]
pub enum LinkEvent<'a> {
    /// It is connected.
    Opened,
    /// These bytes have arrived.
    Received(&'a [u8]),
    /// All pending output was written.
    Sent,
    /// It is over.
    Closed(LinkEnd),
}

/// Why a link is over.
#[derive(Debug)]
pub enum LinkEnd {
    /// The peer ended it.
    Ended,
    /// It could not be connected in time.
    TimedOut,
    /// Connecting failed, or the connection broke.
    Failed(io::Error),
}
