//! Output for people and for programs: data on standard output, messages on standard error.

use std::io::{self, IsTerminal, Write};
#[cfg(unix)]
use std::os::fd::AsFd;

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use discovery_service::escape::printable;

use crate::verbs::Failure;

/// Whether standard output is a terminal, where tables are aligned.
pub(crate) fn to_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// What fits on a terminal; `usize::MAX` where that is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) lines: usize,
    pub(crate) columns: usize,
}

impl Size {
    pub(crate) const UNKNOWN: Size = Size {
        lines: usize::MAX,
        columns: usize::MAX,
    };
}

#[cfg(unix)]
pub(crate) fn terminal_size() -> Size {
    let known = |size: u16| if size == 0 { usize::MAX } else { size.into() };
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(Size::UNKNOWN, |size| Size {
        lines: known(size.ws_row),
        columns: known(size.ws_col),
    })
}

#[cfg(not(unix))]
pub(crate) fn terminal_size() -> Size {
    Size::UNKNOWN
}

/// Whether the reader of standard output has closed it.
#[cfg(unix)]
pub(crate) fn reader_is_gone() -> bool {
    state(&std::io::stdout(), PollFlags::empty()).intersects(PollFlags::ERR | PollFlags::NVAL)
}

/// Asks poll(2) which of the wanted events are true of a stream now; errors are among the answers.
#[cfg(unix)]
pub(crate) fn state(stream: &impl AsFd, wanted: PollFlags) -> PollFlags {
    let mut streams = [PollFd::new(stream, wanted)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut streams, Some(&at_once)).map_or(PollFlags::empty(), |_| streams[0].revents())
}

#[cfg(not(unix))]
pub(crate) fn reader_is_gone() -> bool {
    false
}

/// The part of a line that fits into so many columns, with all its changes of style.
pub(crate) fn clip(line: &str, columns: usize) -> String {
    let (mut left, mut in_style) = (Some(columns), false);
    let fits = |c: &char| {
        if in_style || *c == '\x1b' {
            in_style = *c != 'm';
            return true;
        }
        left = left.and_then(|left| left.checked_sub(c.width().unwrap_or(0)));
        left.is_some()
    };
    line.chars().filter(fits).collect()
}

/// Whether standard output is a terminal that can move its cursor.
pub(crate) fn to_screen() -> bool {
    to_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether to print in colour: on a screen, unless `NO_COLOR` is set and not empty (no-color.org).
pub(crate) fn in_colour() -> bool {
    to_screen() && std::env::var_os("NO_COLOR").is_none_or(|unwanted| unwanted.is_empty())
}

/// Writes a message to standard error.
pub(crate) fn message(message: &str) {
    // In one write, so that lines of other processes do not end up inside it. A closed standard
    // error is no reason to fail.
    let _ = std::io::stderr().write_all(format!("discovery: {message}\n").as_bytes());
}

/// Writes bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Writes a line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes a JSON document as a line. Control characters above ASCII, which JSON allows in a string
/// and a terminal obeys, are escaped.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(document).map_err(io::Error::from)?;
    if text.contains(char::is_control) {
        let escaped = |c: char| {
            if c.is_control() {
                format!("\\u{:04x}", u32::from(c))
            } else {
                c.into()
            }
        };
        text = text.chars().map(escaped).collect();
    }
    line(&text)
}

/// Writes rows: on a terminal in aligned columns under a headline, otherwise with tabs between the
/// columns and no headline.
pub(crate) fn table(headline: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let text = match to_terminal() {
        true => aligned(headline, rows, in_colour()),
        false => tabbed(rows),
    };
    bytes(text.as_bytes())
}

/// Writes the members of a document, and those of the objects in it, as rows by name.
pub(crate) fn members(document: &impl Serialize) -> Result<(), Failure> {
    let document = serde_json::to_value(document).map_err(io::Error::from)?;
    let mut rows = Vec::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => rows.extend(
                inner
                    .iter()
                    .map(|(inner, value)| vec![format!("{name}.{inner}"), text(value)]),
            ),
            None => rows.push(vec![name.clone(), text(value)]),
        }
    }
    table(&["WHAT", "VALUE"], &rows)
}

/// A value as people read it.
fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => printable(text),
        None => value.to_string(),
    }
}

/// Rows with tabs between their columns.
fn tabbed(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| row.join("\t") + "\n").collect()
}

/// Rows in columns as wide as their widest cell, under a headline, which is bold in colour.
pub(crate) fn aligned(headline: &[&str], rows: &[Vec<String>], colour: bool) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([headline[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headline.len()).map(width).collect();
    let mut push = |cells: &[&str], style: &str| {
        let pad =
            |(cell, width): (&&str, &usize)| format!("{cell}{}", " ".repeat(width - cell.width()));
        let padded: Vec<String> = cells.iter().zip(&widths).map(pad).collect();
        let line = padded.join("  ");
        let (on, off) = if colour && !style.is_empty() {
            (style, "\x1b[0m")
        } else {
            ("", "")
        };
        text += &format!("{on}{}{off}\n", line.trim_end());
    };
    push(headline, "\x1b[1m");
    for row in rows {
        push(&row.iter().map(String::as_str).collect::<Vec<_>>(), "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_clipped_to_the_columns_that_it_takes_and_keeps_its_style() {
        assert_eq!(clip("蜂の巣 hive", 5), "蜂の");
        assert_eq!(clip("\x1b[1mTYPE  N\x1b[0m", 3), "\x1b[1mTYP\x1b[0m");
        assert_eq!(clip("e\u{301}e\u{301}", 1), "e\u{301}");
        assert_eq!(clip("hive", usize::MAX), "hive");
    }

    #[test]
    fn a_table_is_aligned_on_a_terminal_and_plain_in_a_pipe() {
        let rows = [
            vec!["hive".to_owned(), "1".to_owned()],
            vec!["b".to_owned(), "22".to_owned()],
        ];
        assert_eq!(tabbed(&rows), "hive\t1\nb\t22\n");
        assert_eq!(
            aligned(&["TYPE", "N"], &rows, false),
            "TYPE  N\nhive  1\nb     22\n"
        );
        let wide = [
            vec!["蜂".to_owned(), "1".to_owned()],
            vec!["e\u{301}".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            aligned(&["T", "N"], &wide, false),
            "T   N\n蜂  1\ne\u{301}   2\n"
        );
        assert!(aligned(&["TYPE", "N"], &rows, true).starts_with("\x1b[1mTYPE  N\x1b[0m\n"));
    }
}
