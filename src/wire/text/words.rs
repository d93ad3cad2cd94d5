//! The words of a line, and what no line may contain.

use crate::ascii::{graphic_len, printable_len, word_len};
use crate::limits::LINE_LEN_MAX;

/// The line at the front of the input, without its line end, and the bytes of both: if it is whole and has
/// nothing but printable ASCII. Nearly all lines are such, and their bytes need no other check.
#[inline]
pub(super) fn plain_line(input: &[u8]) -> Option<(&[u8], usize)> {
    let len = printable_len(&input[..input.len().min(LINE_LEN_MAX)]);
    let (line, rest) = input.split_at(len);
    match rest {
        [b'\n', ..] => Some((line, len + 1)),
        [b'\r', b'\n', ..] => Some((line, len + 2)),
        _ => None,
    }
}

/// The word at the front of the input and what is behind it, if the word is printable ASCII.
#[inline]
pub(super) fn plain_word(input: &[u8]) -> (&[u8], &[u8]) {
    input.split_at(graphic_len(&input[..input.len().min(LINE_LEN_MAX)]))
}

/// Whether the text contains a control character other than the tab.
pub(super) fn has_control_character(text: &str) -> bool {
    printable_len(text.as_bytes()) < text.len() && text.chars().any(|c| c.is_control() && c != '\t')
}

/// The words of a line without control characters, separated by blanks and tabs.
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl Words<'_> {
    /// Whether the line has no further word.
    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(is_blank)
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| !is_blank(byte))?;
        let (word, rest) = self.0[start..].split_at(word_len(&self.0[start..]));
        self.0 = rest;
        Some(word)
    }
}

/// A word of a line that is UTF-8.
#[inline]
pub(super) fn text(word: &[u8]) -> &str {
    str::from_utf8(word).expect("a line is UTF-8, and blanks and tabs separate its words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_character_is_found_wherever_it_stands_and_nothing_else_is_taken_for_one() {
        for len in 1..=20 {
            for at in 0..len {
                for code in 0..=0x100_u32 {
                    let character = char::from_u32(code).unwrap();
                    let mut text = "~".repeat(at);
                    text.push(character);
                    text.push_str(&" ".repeat(len - at - 1));
                    let is_one = character.is_control() && character != '\t';
                    assert_eq!(has_control_character(&text), is_one, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_plain_line_is_whole_and_printable_whatever_follows() {
        for len in 0..=20 {
            for byte in 0..=255_u8 {
                let input = [&b"~".repeat(len)[..], &[byte], b"\n more"].concat();
                let expected = match byte {
                    b'\n' => Some((len, len + 1)),
                    b'\r' => Some((len, len + 2)),
                    b' '..=b'~' => Some((len + 1, len + 2)),
                    _ => None,
                };
                let found = plain_line(&input).map(|(line, consumed)| (line.len(), consumed));
                assert_eq!(found, expected, "byte {byte} behind {len}");
            }
        }
        for unfinished in [&b""[..], b"ping", b"ping\r", b"ping\rx\n"] {
            assert_eq!(plain_line(unfinished), None);
        }
        let longest = [&b"x".repeat(LINE_LEN_MAX)[..], b"\r\n"].concat();
        assert!(plain_line(&longest).is_some());
        assert_eq!(plain_line(&[b"x", &longest[..]].concat()), None);
    }

    #[test]
    fn words_are_what_blanks_and_tabs_separate() {
        let texts = [
            "a",
            "register",
            "日本語",
            "ß",
            "12345678",
            "x\u{80}y",
            "~",
            "!",
        ];
        for first in texts {
            for second in texts {
                for gap in [" ", "\t", "  ", " \t ", "         "] {
                    for end in ["", " ", "\t\t"] {
                        let line = format!("{gap}{first}{gap}{second}{end}");
                        let mut words = Words(line.as_bytes());
                        assert_eq!(words.next().map(text), Some(first), "{line:?}");
                        assert!(!words.is_over());
                        assert_eq!(words.next().map(text), Some(second), "{line:?}");
                        assert!(words.is_over());
                        assert_eq!(words.next(), None);
                    }
                }
            }
        }
    }
}
