//! Connections that the service opens itself: what it asks of them, and what happens to them.
//!
//! The service numbers its links; a number names one connection at a time. Every link that is opened
//! is told [`LinkEvent::Opened`] and then, unless the service closes it, [`LinkEvent::Closed`]; or
//! only the latter.

use std::io;
use std::net::SocketAddr;

/// What the service asks of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// Connect. A connection that has this number is given up first, and is told nothing more.
    Open {
        /// The link's number, below [`crate::limits::LINKS_MAX`].
        link: usize,
        /// Where to connect to.
        address: SocketAddr,
        /// Milliseconds that this may take.
        within_ms: u64,
    },
    /// Send these bytes behind those that wait; nothing where the link is not open.
    Send {
        /// The link's number.
        link: usize,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// Give the connection up. It is told nothing more.
    Close {
        /// The link's number.
        link: usize,
    },
}

/// What has happened to a link.
#[derive(Debug)]
pub enum LinkEvent<'a> {
    /// It is connected.
    Opened,
    /// These bytes have arrived.
    Received(&'a [u8]),
    /// Everything that was to be sent has left.
    Sent,
    /// It is over.
    Closed(LinkEnd),
}

/// Why a link is over.
#[derive(Debug)]
pub enum LinkEnd {
    /// The other side has ended it.
    Ended,
    /// It could not be connected in time.
    TimedOut,
    /// It could not be connected, or it has broken.
    Failed(io::Error),
}
