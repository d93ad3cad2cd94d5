//! Socket options of connections.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

#[cfg(target_os = "linux")]
pub(super) use linux::unacknowledged;

use crate::limits::{KEEPALIVE_PROBES, SOCKET_BUFFER_LEN_MAX, SOCKET_SEGMENT_LEN_MAX};
#[cfg(target_os = "linux")]
use crate::limits::{UNACKNOWLEDGED_TIME_MAX, UNSENT_LEN_MAX};

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

/// Makes `stream` fail within `time` after its peer's last segment while everything is acknowledged, and
/// lifts the limit on how long something may be unacknowledged: TCP's own limit, of a quarter of an hour,
/// counts a closed window as no failure as long as the peer answers probes, while a user timeout does
/// (tcp(7)).
///
/// Also bounds what the kernel keeps of a stream that may last for days and be read slowly.
///
/// # Errors
/// The system's error about an option.
pub(super) fn guard(stream: &TcpStream, time: Duration) -> io::Result<()> {
    // The kernel counts in whole seconds.
    const SECOND: Duration = Duration::from_secs(1);
    let (idle, interval) = ((time / 3).max(SECOND), (time / 8).max(SECOND));
    let rest = time.as_secs().saturating_sub(idle.as_secs());
    let probes = (rest / interval.as_secs()).clamp(1, KEEPALIVE_PROBES.into());
    let keepalive = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(probes as u32);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(None)?;
        socket.set_tcp_notsent_lowat(UNSENT_LEN_MAX)?;
        linux::probe_closed_windows_each(stream, interval);
    }
    Ok(())
}

/// Sets the limit again that [`guard`] has lifted.
///
/// # Errors
/// The system's error about an option.
pub(super) fn release(stream: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME_MAX))?;
    let _ = stream;
    Ok(())
}

/// Nothing is known of unacknowledged bytes: TCP's own limit ends a connection to a dead host.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged(_: &TcpStream) -> Option<crate::engine::Unacknowledged> {
    None
}

/// Options that only Linux has.
#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use mio::net::TcpStream;
    use nix::sys::socket::{getsockopt, setsockopt};
    use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

    use crate::engine::Unacknowledged;
    use crate::limits::WINDOW_PROBES_APART_MAX;

    /// Bytes of `struct tcp_info` (linux/tcp.h) up to the last field that is used. Linux 4.6 and later
    /// have all of them.
    const INFO_LEN: usize = 152;
    /// Where its fields are.
    const RETRANSMITS: usize = 2;
    const PROBES: usize = 3;
    const UNACKED: usize = 24;
    const LAST_ACK_RECV: usize = 56;
    const NOTSENT_BYTES: usize = 144;

    const TCP_RTO_MAX_MS: libc::c_int = 44;

    sockopt_impl!(
        Info,
        GetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        [u8; INFO_LEN]
    );
    sockopt_impl!(
        RetransmissionsApartMax,
        SetOnly,
        libc::IPPROTO_TCP,
        TCP_RTO_MAX_MS,
        u32
    );

    /// Asks for probes of a closed window this far apart at most. Without that they come as far apart as
    /// the window has been closed, up to two minutes.
    pub(super) fn probe_closed_windows_each(stream: &TcpStream, time: Duration) {
        let time = time.min(WINDOW_PROBES_APART_MAX);
        // Linux before 6.15 does not have the option.
        let _ = setsockopt(stream, RetransmissionsApartMax, &(time.as_millis() as u32));
    }

    /// What the kernel knows of the bytes that wait for the peer's acknowledgement, if any do.
    pub(crate) fn unacknowledged(stream: &TcpStream) -> Option<Unacknowledged> {
        let info = getsockopt(stream, Info).ok()?;
        let number =
            |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let unanswered = number(UNACKED) > 0 || info[RETRANSMITS] > 0 || info[PROBES] > 0;
        (unanswered || number(NOTSENT_BYTES) > 0).then(|| Unacknowledged {
            silent_for: Duration::from_millis(number(LAST_ACK_RECV).into()),
            unanswered,
        })
    }
}
