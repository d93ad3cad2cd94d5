//! The body of a request that does not arrive with its head, or comes in chunks (RFC 9112 section 7.1).

use memchr::memchr;

use super::head::BodyLen;
use crate::limits::HTTP_BODY_LEN_MAX;
use crate::message::HttpRefusal;

/// A body, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    expected: Expected,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// So many bytes, and then the end.
    Last(usize),
    /// The line with the length of a chunk.
    ChunkLen,
    /// So many bytes of a chunk, and its end.
    Chunk(usize),
    /// The end of a chunk.
    ChunkEnd,
    /// The empty line that ends the body.
    LastEnd,
    #[default]
    Nothing,
}

/// Digits of the length of a chunk.
const CHUNK_LEN_DIGITS_MAX: usize = 8;

impl Body {
    pub(super) fn new(len: BodyLen) -> Self {
        let expected = match len {
            BodyLen::Known(len) => Expected::Last(len),
            BodyLen::Chunked => Expected::ChunkLen,
        };
        Body {
            bytes: Vec::new(),
            expected,
        }
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether all of it has arrived.
    pub(super) fn is_whole(&self) -> bool {
        self.expected == Expected::Nothing
    }

    pub(super) fn memory_len(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes what is next of the body from the beginning of `input`. Returns how many bytes that are, and
    /// whether the body is whole.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<(usize, bool), HttpRefusal> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let taken = match self.expected {
                Expected::Nothing => return Ok((used, true)),
                Expected::Last(len) => {
                    let taken = self.take_bytes(rest, len);
                    self.expected = if taken == len {
                        Expected::Nothing
                    } else {
                        Expected::Last(len - taken)
                    };
                    taken
                }
                Expected::Chunk(len) => {
                    let taken = self.take_bytes(rest, len);
                    self.expected = if taken == len {
                        Expected::ChunkEnd
                    } else {
                        Expected::Chunk(len - taken)
                    };
                    taken
                }
                Expected::ChunkEnd => self.take_line_end(rest, Expected::ChunkLen)?,
                Expected::LastEnd => self.take_line_end(rest, Expected::Nothing)?,
                Expected::ChunkLen => self.take_chunk_len(rest)?,
            };
            used += taken;
            if taken == 0 && self.expected != Expected::Nothing {
                return Ok((used, false));
            }
        }
    }

    fn take_bytes(&mut self, rest: &[u8], len: usize) -> usize {
        let taken = rest.len().min(len);
        self.bytes.extend_from_slice(&rest[..taken]);
        taken
    }

    fn take_line_end(&mut self, rest: &[u8], next: Expected) -> Result<usize, HttpRefusal> {
        const END: &[u8] = b"\r\n";
        if rest.starts_with(END) {
            self.expected = next;
            return Ok(END.len());
        }
        if END.starts_with(rest) {
            return Ok(0);
        }
        Err(HttpRefusal::Malformed(match next {
            Expected::Nothing => "fields behind the body are not taken",
            _ => "a chunk is longer than its length",
        }))
    }

    fn take_chunk_len(&mut self, rest: &[u8]) -> Result<usize, HttpRefusal> {
        const WRONG: HttpRefusal = HttpRefusal::Malformed("the length of a chunk is malformed");
        let Some(end) = memchr(b'\n', rest) else {
            let digits = rest.strip_suffix(b"\r").unwrap_or(rest);
            let may_be_len =
                digits.len() <= CHUNK_LEN_DIGITS_MAX && digits.iter().all(u8::is_ascii_hexdigit);
            return if may_be_len { Ok(0) } else { Err(WRONG) };
        };
        let digits = rest[..end].strip_suffix(b"\r").ok_or(WRONG)?;
        let is_len = (1..=CHUNK_LEN_DIGITS_MAX).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_hexdigit);
        if !is_len {
            return Err(WRONG);
        }
        let text = std::str::from_utf8(digits).map_err(|_| WRONG)?;
        let len = u32::from_str_radix(text, 16).map_err(|_| WRONG)? as usize;
        if self.bytes.len() + len > HTTP_BODY_LEN_MAX {
            return Err(HttpRefusal::BodyTooLong);
        }
        self.expected = match len {
            0 => Expected::LastEnd,
            len => Expected::Chunk(len),
        };
        Ok(end + 1)
    }
}
