//! The real binary on a free port, and clients to talk to it.

mod client;
mod files;
mod frame;
mod process;
mod service;
mod tools;

use std::time::{Duration, Instant};

pub use client::{Client, is_uuid, mask_uuids};
pub use files::{path, private_file};
pub use frame::{Frame, ask_frame, exchange, frame, raw_frame};
pub use process::{Captured, Finished, Talking, command, finish, free_port, signal, verb};
pub use service::Service;
pub use tools::{Running, library, tool, tools_path};

/// How long to wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls a condition until it yields a value; panics after [`PATIENCE`].
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out before this: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
