//! What clients send that is no command: telnet negotiation, and a byte order mark.

/// The UTF-8 form of a byte order mark, with which some tools begin what they send.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// "Interpret as command" (RFC 854): no byte of UTF-8.
const IAC: u8 = 255;
/// WILL, WONT, DO and DONT, each followed by an option.
const NEGOTIATIONS: std::ops::RangeInclusive<u8> = 251..=254;
/// Bytes of a negotiation.
const NEGOTIATION_LEN: usize = 3;

/// Bytes of the byte order mark at the beginning of the input.
pub(super) fn mark_len(input: &[u8]) -> usize {
    if input.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    }
}

/// Bytes of the whole negotiations at the beginning of the input. They need no answer: who offers an
/// option and hears nothing goes on without it.
#[inline]
pub(super) fn negotiation_len(input: &[u8]) -> usize {
    if input.first() != Some(&IAC) {
        return 0;
    }
    let negotiations = input
        .chunks_exact(NEGOTIATION_LEN)
        .take_while(|bytes| bytes[0] == IAC && NEGOTIATIONS.contains(&bytes[1]));
    negotiations.count() * NEGOTIATION_LEN
}
