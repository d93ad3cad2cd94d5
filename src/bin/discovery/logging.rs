//! Log lines on standard error: `2026-11-23T16:20:15.123Z WARN  message`.

use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::{SecondsFormat, Utc};
use discovery_service::escape::Printable;
use env_logger::Builder;
use log::{Record, warn};

const DEFAULT_FILTER: &str = "info";

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
    Builder::new()
        .parse_filters(filter)
        .format(write_line)
        .init();
    if let Some(error) = wrong {
        warn!("RUST_LOG is ignored: {error}");
    }
}

fn write_line(to: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut line = format!("{time} {:<5} ", record.level());
    // A String takes every write.
    let _ = Printable(&mut line).write_fmt(*record.args());
    line.push('\n');
    to.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    fn line(message: &str) -> String {
        let mut line = Vec::new();
        let record = |args| Record::builder().level(Level::Warn).args(args).build();
        write_line(&mut line, &record(format_args!("{message}"))).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_begins_with_the_time_in_utc_to_the_millisecond_and_the_level() {
        let line = line("listening");
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
        let line = line("a\nb\r\u{1b}[31m\0\u{7f}\u{85}\u{2028}\u{202e}é");
        let (_, message) = line.split_once("WARN  ").unwrap();
        assert_eq!(
            message,
            "a\\nb\\r\\u{1b}[31m\\0\\u{7f}\\u{85}\\u{2028}\\u{202e}é\n"
        );
    }
}
