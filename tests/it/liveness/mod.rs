//! Who counts as live, and when a death is told.

mod expiry;
mod hold_and_watch;
