//! What comes from elsewhere, as people read it: errors of the system, and text that others chose.

use std::fmt;
use std::io;

/// An error in the system's words, without the number that the standard library adds.
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

/// Text that is harmless on a terminal: what moves its cursor, turns the text around or does not show
/// stands there as `\u{…}`. Quotes and backslashes are left as they are.
#[must_use]
pub fn printable(text: &str) -> String {
    /// What is escaped for Debug though it is harmless.
    const LEFT: [char; 3] = ['\'', '"', '\\'];
    let mut printable = String::with_capacity(text.len());
    for piece in text.split_inclusive(LEFT) {
        let (body, left) = piece.split_at(piece.trim_end_matches(LEFT).len());
        printable.extend(body.escape_debug());
        printable += left;
    }
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
