//! The words of a line, and what no line may contain.

/// Whether the text contains a control character other than the tab. Nearly all lines are printable
/// ASCII without one.
pub(super) fn has_control_character(text: &str) -> bool {
    !is_printable(text.as_bytes()) && text.chars().any(|c| c.is_control() && c != '\t')
}

/// Whether all bytes are printable ASCII, a word of eight at a time.
fn is_printable(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    words
        .iter()
        .fold(unprintable(last), |found, &word| found | unprintable(word))
        == 0
}

/// Not 0 where one of eight bytes is no printable ASCII character.
fn unprintable(bytes: [u8; 8]) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let word = u64::from_ne_bytes(bytes);
    // The lowest byte that is below the blank, or DEL and so 0 without it, borrows into its highest bit,
    // which bytes beyond ASCII have set.
    let below = word.wrapping_sub(each(b' '));
    let deleted = (word ^ each(0x7f)).wrapping_sub(each(1));
    (word | below | deleted) & each(0x80)
}

/// The words of a line, separated by blanks and tabs.
pub(super) struct Words<'a>(pub(super) &'a str);

impl Words<'_> {
    /// Whether the line has no further word.
    pub(super) fn is_over(&self) -> bool {
        self.0.bytes().all(|byte| is_blank(&byte))
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let start = bytes.iter().position(|byte| !is_blank(byte))?;
        let len = bytes[start..]
            .iter()
            .position(is_blank)
            .unwrap_or(bytes.len() - start);
        let (word, rest) = self.0[start..].split_at(len);
        self.0 = rest;
        Some(word)
    }
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
}
