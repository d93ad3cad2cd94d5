//! Log lines on standard error: `2026-11-23T16:20:15.123Z WARN  message`.

#[cfg(unix)]
mod sink;

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{SecondsFormat, Utc};
use discovery_service::escape::Printable;
use discovery_service::limits::LOG_LINE_LEN_MAX;
use env_logger::Builder;
use log::{Level, Record, warn};

const DEFAULT_FILTER: &str = "info";

/// Lines that were dropped since the start.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Starts logging as `RUST_LOG` says; where it is unset, empty or wrong, at the level `info`.
pub(crate) fn init() {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    // Checked before env_logger sees it, which would complain with `eprintln!`: that panics where
    // standard error cannot be written.
    let wrong = env_filter::Builder::new().try_parse(&asked).err();
    let filter = if asked.trim().is_empty() || wrong.is_some() {
        DEFAULT_FILTER
    } else {
        &asked
    };
    let mut builder = Builder::new();
    builder
        .parse_filters(filter)
        .format(|to, record: &Record<'_>| {
            to.write_all(line(record.level(), *record.args()).as_bytes())
        });
    #[cfg(unix)]
    builder.target(env_logger::Target::Pipe(Box::new(sink::Sink::new(
        io::stderr(),
    ))));
    builder.init();
    if let Some(error) = wrong {
        warn!("RUST_LOG is ignored: {error}");
    }
}

/// Lines that were dropped since the start, because standard error could not take them at once.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed).into()
}

/// A line of the log: one line, whatever a peer has sent, and no longer than may be.
fn line(level: Level, message: fmt::Arguments<'_>) -> String {
    const CUT: &str = "…";
    const TEXT_LEN_MAX: usize = LOG_LINE_LEN_MAX - "\n".len();
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut line = format!("{time} {level:<5} ");
    // A String takes every write.
    let _ = Printable(&mut line).write_fmt(message);
    if line.len() > TEXT_LEN_MAX {
        let mut end = TEXT_LEN_MAX - CUT.len();
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str(CUT);
    }
    line.push('\n');
    line
}

/// The line that says how many lines are missing before the next one.
#[cfg(unix)]
fn dropped_line(dropped: u32) -> String {
    line(
        Level::Warn,
        format_args!(
            "log lines dropped, because standard error could not take them at once: {dropped}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(message: &str) -> String {
        line(Level::Warn, format_args!("{message}"))
    }

    #[test]
    fn a_line_begins_with_the_time_in_utc_to_the_millisecond_and_the_level() {
        let line = warning("listening");
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(rest, "WARN  listening\n");
        assert_eq!(time.len(), "2026-11-23T16:20:15.123Z".len(), "{time}");
        let parsed = chrono::DateTime::parse_from_rfc3339(time).unwrap();
        assert!(
            time.ends_with('Z') && (Utc::now() - parsed.to_utc()).num_minutes() == 0,
            "{time}"
        );
    }

    #[test]
    fn row_07_a_record_is_one_line_whatever_is_in_it() {
        let line = warning("a\nb\r\u{1b}[31m\0\u{7f}\u{85}\u{2028}\u{202e}é");
        let (_, message) = line.split_once("WARN  ").unwrap();
        assert_eq!(
            message,
            "a\\nb\\r\\u{1b}[31m\\0\\u{7f}\\u{85}\\u{2028}\\u{202e}é\n"
        );
    }

    #[test]
    fn a_line_is_no_longer_than_a_pipe_takes_at_once() {
        let whole =
            warning(&"a".repeat(LOG_LINE_LEN_MAX - "2026-11-23T16:20:15.123Z WARN  \n".len()));
        assert!(whole.len() == LOG_LINE_LEN_MAX && whole.ends_with("aa\n"));
        for long in ["a", "é", "蜂"] {
            let cut = warning(&long.repeat(LOG_LINE_LEN_MAX));
            assert!(cut.len() > LOG_LINE_LEN_MAX - 4 && cut.len() <= LOG_LINE_LEN_MAX);
            assert!(cut.ends_with(&format!("{long}…\n")));
        }
    }
}
