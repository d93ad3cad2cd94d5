//! What a service manager hands over and is told: systemd, and whatever speaks its protocols.

use std::net::TcpListener;

/// The listening sockets that the process was started with.
///
/// They are taken out of the environment, so this is called before there are other threads.
///
/// # Errors
/// The system's error, also where one of them is something else.
#[cfg(target_os = "linux")]
pub(super) fn listeners() -> std::io::Result<Vec<TcpListener>> {
    let mut inherited = listenfd::ListenFd::from_env();
    let mut listeners = Vec::with_capacity(inherited.len());
    for number in 0..inherited.len() {
        listeners.extend(inherited.take_tcp_listener(number)?);
    }
    Ok(listeners)
}

/// The service can be asked.
#[cfg(target_os = "linux")]
pub(super) fn ready(status: &str) {
    tell(&[
        sd_notify::NotifyState::Ready,
        sd_notify::NotifyState::Status(status),
    ]);
}

/// The service reads what it is configured with again; [`ready`] follows.
#[cfg(target_os = "linux")]
pub(super) fn reloading() {
    if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
        tell(&[sd_notify::NotifyState::Reloading, now]);
    }
}

/// The service stops.
#[cfg(target_os = "linux")]
pub(super) fn stopping() {
    tell(&[
        sd_notify::NotifyState::Stopping,
        sd_notify::NotifyState::Status("finishing the replies in flight"),
    ]);
}

#[cfg(target_os = "linux")]
fn tell(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("the service manager cannot be told: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn listeners() -> std::io::Result<Vec<TcpListener>> {
    Ok(Vec::new())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ready(_: &str) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn reloading() {}

#[cfg(not(target_os = "linux"))]
pub(super) fn stopping() {}
