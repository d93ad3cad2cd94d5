//! Socket options of connections.

use std::io;

use socket2::SockRef;

use crate::limits::{SOCKET_BUFFER_LEN_MAX, SOCKET_SEGMENT_LEN_MAX, UNACKNOWLEDGED_TIME_MAX};

/// Bounds what the kernel keeps for a connection, and for how long without progress, also after the
/// connection was closed.
///
/// # Errors
/// The system's error about an option.
pub(super) fn bound(socket: &SockRef<'_>) -> io::Result<()> {
    // Linux doubles the number, to have room for its own overhead (socket(7)).
    let len = SOCKET_BUFFER_LEN_MAX - SOCKET_SEGMENT_LEN_MAX;
    let len = if cfg!(target_os = "linux") {
        len / 2
    } else {
        len
    };
    socket.set_send_buffer_size(len)?;
    socket.set_recv_buffer_size(len)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME_MAX))?;
    Ok(())
}
