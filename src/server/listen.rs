//! Listening and datagram sockets with the socket options of the service.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, UdpSocket};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::options::bound;
use crate::limits::{
    BACKLOG, DATAGRAM_BUFFER_LEN, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES,
};

/// Opens a non-blocking listener on exactly `address`.
///
/// # Errors
/// The system's error: address in use, not of this host, or not permitted.
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
        // `[::]` means only IPv6, whatever the host's default is.
        socket.set_only_v6(true)?;
    }
    prepare(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Takes a listener that was opened by another process.
///
/// # Errors
/// The system's error about an option.
pub(super) fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    prepare(&SockRef::from(&listener))?;
    Ok(TcpListener::from_std(listener))
}

/// Sets the options that accepted connections inherit from their listener (tcp(7)), which saves several
/// system calls for each.
fn prepare(socket: &SockRef<'_>) -> io::Result<()> {
    // Answers are written whole, so delaying small segments gains nothing.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    bound(socket)?;
    socket.set_nonblocking(true)
}

/// Opens a non-blocking datagram socket at exactly `address`, so that answers leave from where the
/// questions came to.
///
/// # Errors
/// As [`listen`].
pub(super) fn bind_datagram(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel grants what its own limit allows.
    socket.set_recv_buffer_size(DATAGRAM_BUFFER_LEN)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}
