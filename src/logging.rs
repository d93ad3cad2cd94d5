//! Log lines on standard error: `2026-11-23T16:20:15.123Z WARN  message`.

use std::io::Write;

use chrono::{SecondsFormat, Utc};
use env_logger::{Builder, Env};

/// Starts logging, at the level of `RUST_LOG`; without it, `info`.
pub(crate) fn init() {
    Builder::from_env(Env::default().default_filter_or("info"))
        .format(|line, record| {
            let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
            // One record is one line, and no byte of it moves a terminal's cursor.
            let message = record.args().to_string();
            write!(line, "{time} {:<5} ", record.level())?;
            for c in message.chars() {
                if c.is_control() {
                    write!(line, "{}", c.escape_default())?;
                } else {
                    write!(line, "{c}")?;
                }
            }
            writeln!(line)
        })
        .init();
}
