//! Listening sockets with the options that a service registry wants.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::limits::{BACKLOG, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};

/// Opens a non-blocking listener on exactly `address`.
///
/// # Errors
/// What the system says: in use, not of this host, not permitted.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted service must not wait for old connections in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means IPv6 and nothing else, whatever the host's default is.
        socket.set_only_v6(true)?;
    }
    // Accepted connections inherit what follows from their listener (tcp(7)), which saves a handful
    // of system calls for each. Answers are written whole, so waiting for more to send gains nothing.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Lets `stream` fail within `time` of its peer's last sign of life: TCP asks after half of it, in
/// whole seconds, and then twice more.
///
/// # Errors
/// What the system says of an option.
pub(super) fn notice_death_within(stream: &TcpStream, time: Duration) -> io::Result<()> {
    const SECOND: Duration = Duration::from_secs(1);
    let socket = SockRef::from(stream);
    let (idle, interval) = ((time / 2).max(SECOND), (time / 6).max(SECOND));
    let keepalive = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    // What was sent and is not acknowledged counts too (tcp(7)); without this it is sent again for a
    // quarter of an hour.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(time))?;
    Ok(())
}
