//! Which registrations are live, and when watchers are told of a change.

#[cfg(target_os = "linux")]
mod dark_hosts;
mod expiry;
mod hold_and_watch;
