//! Foreign text made safe and readable: system errors, and text that peers chose.

use std::fmt::{self, Write};
use std::io;

/// A system error's message without the error number that the standard library appends.
pub struct Plain<'a>(pub &'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let plain = text
            .split_once(" (os error")
            .map_or(text.as_str(), |(plain, _)| plain);
        f.write_str(plain)
    }
}

/// Writes text so that it is harmless on a terminal and stays on one line. It escapes line ends,
/// control characters, direction marks and invisible characters as `\n` or `\u{…}`, and leaves
/// quotes and backslashes unchanged.
pub struct Printable<'a>(pub &'a mut String);

impl fmt::Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        /// Harmless characters that `Debug` would escape.
        const LEFT: [char; 3] = ['\'', '"', '\\'];
        for piece in text.split_inclusive(LEFT) {
            let (body, left) = piece.split_at(piece.trim_end_matches(LEFT).len());
            self.0.extend(body.escape_debug());
            self.0.push_str(left);
        }
        Ok(())
    }
}

/// Foreign text, escaped as by [`Printable`].
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    // Writing to a String cannot fail.
    let _ = Printable(&mut printable).write_str(text);
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (text, shown) in [
            ("hive", "hive"),
            ("蜂の巣 ruche é e\u{301} ҂", "蜂の巣 ruche é e\u{301} ҂"),
            (r#"it's "a\b""#, r#"it's "a\b""#),
            ("\x1b[31m\r\n\t\0", "\\u{1b}[31m\\r\\n\\t\\0"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            (
                "a\u{202e}b\u{200b}\u{feff}\u{2028}",
                "a\\u{202e}b\\u{200b}\\u{feff}\\u{2028}",
            ),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
