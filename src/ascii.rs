//! Printable ASCII and capital letters, found eight bytes at a time.

/// Bytes in one step.
const STEP_LEN: usize = 8;
/// The highest bit of each byte.
const HIGHEST: u64 = each(0x80);

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; STEP_LEN])
}

/// How many bytes of printable ASCII are at the front.
#[inline]
#[must_use]
pub fn printable_len(bytes: &[u8]) -> usize {
    len_from(b' ', bytes)
}

/// How many bytes of printable ASCII other than blanks are at the front.
#[inline]
#[must_use]
pub fn graphic_len(bytes: &[u8]) -> usize {
    len_from(b'!', bytes)
}

/// How many bytes above the blank or beyond ASCII are at the front.
#[inline]
#[must_use]
pub fn word_len(bytes: &[u8]) -> usize {
    // The lowest byte that is below `!` borrows into its highest bit.
    let below = |step: u64| step.wrapping_sub(each(b'!')) & !step & HIGHEST;
    front_len(bytes, below, |byte| byte > b' ')
}

/// Whether there is a capital letter.
#[inline]
#[must_use]
pub fn has_upper(bytes: &[u8]) -> bool {
    // Without the highest bits no sum reaches the next byte.
    let upper = |step: u64| {
        let low = step & !HIGHEST;
        let from_a = low + each(0x80 - b'A');
        let behind_z = low + each(0x80 - b'Z' - 1);
        from_a & !behind_z & !step & HIGHEST
    };
    let found = |bytes: &[u8; STEP_LEN]| upper(u64::from_le_bytes(*bytes)) != 0;
    match bytes.last_chunk() {
        // The last step may have bytes of the one before it.
        Some(last) => bytes.as_chunks().0.iter().any(found) || found(last),
        None => bytes.iter().any(u8::is_ascii_uppercase),
    }
}

/// How many bytes from `lowest`, which is ASCII, to the end of printable ASCII are at the front.
#[inline]
fn len_from(lowest: u8, bytes: &[u8]) -> usize {
    // The lowest byte that is below, or DEL and so 0 without it, borrows into its highest bit, which bytes
    // beyond ASCII have set.
    let outside = |step: u64| {
        let below = step.wrapping_sub(each(lowest));
        let deleted = (step ^ each(0x7f)).wrapping_sub(each(1));
        (step | below | deleted) & HIGHEST
    };
    front_len(bytes, outside, |byte| (lowest..=b'~').contains(&byte))
}

/// How many bytes that are `inside` are at the front. `outside` has the highest bit of the first byte that is
/// not, and perhaps of bytes behind it.
#[inline]
fn front_len(bytes: &[u8], outside: impl Fn(u64) -> u64, inside: impl Fn(u8) -> bool) -> usize {
    let (steps, rest) = bytes.as_chunks();
    for (number, &step) in steps.iter().enumerate() {
        let found = outside(u64::from_le_bytes(step));
        if found != 0 {
            return number * STEP_LEN + found.trailing_zeros() as usize / STEP_LEN;
        }
    }
    let is_inside = |byte: &&u8| inside(**byte);
    bytes.len() - rest.len() + rest.iter().take_while(is_inside).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the front, found byte by byte.
    fn expected(bytes: &[u8], inside: impl Fn(u8) -> bool) -> usize {
        let outside = bytes.iter().position(|&byte| !inside(byte));
        outside.unwrap_or(bytes.len())
    }

    #[test]
    fn each_byte_is_told_apart_wherever_it_stands_and_whatever_stands_behind() {
        for len in 0..=20 {
            for at in 0..=len {
                for byte in 0..=255_u8 {
                    for behind in [b'~', b'A', 0, 0xff] {
                        let mut bytes = vec![b'z'; at];
                        bytes.push(byte);
                        bytes.resize(len + 1, behind);
                        let printable = expected(&bytes, |byte| matches!(byte, b' '..=b'~'));
                        assert_eq!(printable_len(&bytes), printable, "{bytes:?}");
                        let graphic = expected(&bytes, |byte| byte.is_ascii_graphic());
                        assert_eq!(graphic_len(&bytes), graphic, "{bytes:?}");
                        let word = expected(&bytes, |byte| byte > b' ');
                        assert_eq!(word_len(&bytes), word, "{bytes:?}");
                        let upper = bytes.iter().any(u8::is_ascii_uppercase);
                        assert_eq!(has_upper(&bytes), upper, "{bytes:?}");
                    }
                }
            }
        }
    }
}
