//! Which registrations are live, and when watchers are told of a change.

mod expiry;
mod hold_and_watch;
