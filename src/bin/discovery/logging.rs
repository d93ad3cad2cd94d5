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
use log::{Level, LevelFilter, Record, warn};

const DEFAULT_FILTER: &str = "info";

/// The crates in this program that log.
const CRATES: [&str; 3] = ["discovery", "discovery_service", "mio"];

/// Lines that were dropped since the start.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Starts logging as `RUST_LOG` says; where it is unset, empty or wrong, at the level `info`.
pub(crate) fn init() {
    let asked = std::env::var_os("RUST_LOG").unwrap_or_default();
    let asked = asked.to_string_lossy();
    let wrong = check(&asked).err();
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
        warn!("RUST_LOG is ignored, and the level is {DEFAULT_FILTER}: {error}");
    }
}

/// What is wrong with this value of `RUST_LOG`. It is checked before env_logger sees it, which would
/// complain with `eprintln!`: that waits for standard error, and panics where it cannot be written.
fn check(filters: &str) -> Result<(), String> {
    env_filter::Builder::new()
        .try_parse(filters)
        .map_err(|error| error.to_string())?;
    // A single word is a level, or a module of which everything is logged: so a level that does not
    // exist would be taken for a module that says nothing.
    let modules = filters.split('/').next().unwrap_or_default();
    let mut words = modules.split(',').map(str::trim);
    let unknown = words.find(|word| {
        let is_known = |word: &str| {
            let name = word.split("::").next();
            word.parse::<LevelFilter>().is_ok() || name.is_some_and(|name| CRATES.contains(&name))
        };
        !word.is_empty() && !word.contains('=') && !is_known(word)
    });
    unknown.map_or(Ok(()), |word| {
        let levels = LevelFilter::iter().map(|level| level.as_str().to_ascii_lowercase());
        let levels = levels.collect::<Vec<_>>().join(", ");
        Err(format!(
            "{word:?} is no level ({levels}) and no module of this program"
        ))
    })
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

    #[test]
    fn a_level_that_does_not_exist_is_wrong_and_a_module_is_not() {
        for right in [
            "",
            " ",
            "info",
            "DEBUG",
            "off",
            "discovery_service",
            "discovery_service::engine",
            "discovery_service=debug",
            "info,mio=trace",
            "warn, discovery_service::engine=debug",
            "some_library=debug",
            "info/registered",
        ] {
            assert_eq!(check(right), Ok(()), "{right:?}");
        }
        for (wrong, named) in [
            (
                "verbose",
                "\"verbose\" is no level (off, error, warn, info, debug, trace)",
            ),
            ("info,loud", "\"loud\""),
            ("discovery_services", "\"discovery_services\""),
            ("mio=loud", "loud"),
            ("a/b/c", "too many"),
            ("debug\u{fffd}", "debug"),
        ] {
            let error = check(wrong).unwrap_err();
            assert!(error.contains(named), "{wrong:?}: {error}");
        }
    }
}
