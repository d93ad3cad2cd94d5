//! The answers on one connection of HTTP/1.1 (RFC 9112), as they arrive. Nothing of a body is held.

use std::mem::MaybeUninit;

use memchr::memchr;

use crate::limits::{ETCD_CHUNK_LINE_LEN_MAX, ETCD_FIELDS_MAX, ETCD_HEAD_LEN_MAX};

/// The answers to requests that were sent one after the other.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// What has arrived of the head, of a line of a chunk, or of the fields behind the body.
    held: Vec<u8>,
    expected: Expected,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Head,
    /// So many bytes of a body, which end it.
    Counted(u64),
    /// A body that the end of the connection ends.
    Endless,
    /// The line with the length of a chunk.
    ChunkLen,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of the line behind a chunk.
    ChunkEnd,
    /// The fields behind the last chunk.
    Trailer,
}

/// What was found in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The head, with its status.
    Head(u16),
    /// Bytes of the body. How many of them were used is told by [`Answers::advance`].
    Body(&'a [u8]),
    /// The answer is whole.
    End,
}

/// Why an answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Answers {
    /// What is next at the beginning of `input`, and how many bytes of it were used.
    pub(super) fn take<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<Part<'a>>), Malformed> {
        match self.expected {
            Expected::Head => self.take_head(input),
            Expected::Counted(0) => {
                self.expected = Expected::Head;
                Ok((0, Some(Part::End)))
            }
            Expected::Counted(len) | Expected::Chunk(len) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                Ok((0, body(&input[..input.len().min(len)])))
            }
            Expected::Endless => Ok((0, body(input))),
            Expected::ChunkLen => self.take_chunk_len(input),
            Expected::ChunkEnd => self.take_chunk_end(input),
            Expected::Trailer => self.take_trailer(input),
        }
    }

    /// So many bytes of the body were used.
    pub(super) fn advance(&mut self, used: usize) {
        let used = used as u64;
        self.expected = match self.expected {
            Expected::Counted(len) => Expected::Counted(len - used),
            Expected::Chunk(len) if len == used => Expected::ChunkEnd,
            Expected::Chunk(len) => Expected::Chunk(len - used),
            other => other,
        };
    }

    /// Bytes of memory for what is held.
    pub(super) fn memory_len(&self) -> usize {
        self.held.capacity()
    }

    fn take_head<'a>(&mut self, input: &[u8]) -> Result<(usize, Option<Part<'a>>), Malformed> {
        let (used, is_whole) = self.hold_fields(input)?;
        if !is_whole {
            return Ok((used, None));
        }
        let (status, body) = read_head(&self.held)?;
        self.held.clear();
        // An interim answer is followed by the answer.
        if (100..200).contains(&status) {
            return Ok((used, None));
        }
        self.expected = body;
        Ok((used, Some(Part::Head(status))))
    }

    fn take_chunk_len<'a>(&mut self, input: &[u8]) -> Result<(usize, Option<Part<'a>>), Malformed> {
        let (used, is_whole) = self.hold_line(input, ETCD_CHUNK_LINE_LEN_MAX)?;
        if is_whole {
            self.expected = match chunk_len(&self.held)? {
                0 => Expected::Trailer,
                len => Expected::Chunk(len),
            };
            self.held.clear();
        }
        Ok((used, None))
    }

    fn take_chunk_end<'a>(&mut self, input: &[u8]) -> Result<(usize, Option<Part<'a>>), Malformed> {
        let (used, is_whole) = self.hold_line(input, 2)?;
        if is_whole {
            if self.held != b"\r\n" {
                return Err(Malformed("a chunk is longer than its length"));
            }
            self.expected = Expected::ChunkLen;
            self.held.clear();
        }
        Ok((used, None))
    }

    fn take_trailer<'a>(&mut self, input: &[u8]) -> Result<(usize, Option<Part<'a>>), Malformed> {
        let (used, is_whole) = self.hold_fields(input)?;
        if !is_whole {
            return Ok((used, None));
        }
        self.held.clear();
        self.expected = Expected::Head;
        Ok((used, Some(Part::End)))
    }

    /// Holds lines to the empty one. Returns how many bytes were used, and whether that one has
    /// arrived.
    fn hold_fields(&mut self, input: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut used = 0;
        loop {
            let (line, is_whole) = self.hold_line(&input[used..], ETCD_HEAD_LEN_MAX)?;
            used += line;
            if !is_whole {
                return Ok((used, false));
            }
            if self.held == b"\r\n" || self.held.ends_with(b"\r\n\r\n") {
                return Ok((used, true));
            }
        }
    }

    /// Holds bytes to the end of a line. Returns how many were used, and whether it has arrived.
    fn hold_line(&mut self, input: &[u8], len_max: usize) -> Result<(usize, bool), Malformed> {
        let end = memchr(b'\n', input);
        let used = end.map_or(input.len(), |end| end + 1);
        if self.held.len() + used > len_max {
            return Err(Malformed("a head or a line of it is too long"));
        }
        self.held.extend_from_slice(&input[..used]);
        Ok((used, end.is_some()))
    }
}

fn body(bytes: &[u8]) -> Option<Part<'_>> {
    (!bytes.is_empty()).then_some(Part::Body(bytes))
}

/// The status, and how the end of the body is told.
fn read_head(bytes: &[u8]) -> Result<(u16, Expected), Malformed> {
    const WRONG: Malformed = Malformed("what came is no answer of HTTP/1");
    let mut fields = [const { MaybeUninit::uninit() }; ETCD_FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let read = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        bytes,
        &mut fields,
    );
    let status = match (read, answer.code) {
        (Ok(httparse::Status::Complete(_)), Some(status)) => status,
        _ => return Err(WRONG),
    };
    let mut body = match status {
        204 | 304 => Expected::Counted(0),
        _ => Expected::Endless,
    };
    for field in answer.headers {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed("the transfer coding is unknown"));
            }
            body = Expected::ChunkLen;
        } else if field.name.eq_ignore_ascii_case("content-length") && body != Expected::ChunkLen {
            body = Expected::Counted(number(field.value, 10).ok_or(WRONG)?);
        }
    }
    Ok((status, body))
}

/// The length of a chunk; what may stand behind it is ignored.
fn chunk_len(line: &[u8]) -> Result<u64, Malformed> {
    let line = line.trim_ascii_end();
    let digits = line.split(|&byte| byte == b';').next();
    digits
        .and_then(|digits| number(digits.trim_ascii_end(), 16))
        .ok_or(Malformed("the length of a chunk is no number"))
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of input that arrives in these pieces: the parts as text, or what is wrong.
    fn read(pieces: &[&[u8]]) -> Result<String, Malformed> {
        let (mut answers, mut seen) = (Answers::default(), String::new());
        for mut input in pieces.iter().copied() {
            loop {
                let (used, part) = answers.take(input)?;
                input = &input[used..];
                match part {
                    Some(Part::Head(status)) => seen += &format!("[{status}]"),
                    Some(Part::End) => seen += "[end]",
                    Some(Part::Body(body)) => {
                        seen += &String::from_utf8_lossy(body);
                        let len = body.len();
                        answers.advance(len);
                        input = &input[len..];
                    }
                    None if used == 0 || input.is_empty() => break,
                    None => {}
                }
                assert!(answers.held.len() <= ETCD_HEAD_LEN_MAX);
            }
        }
        Ok(seen)
    }

    #[test]
    fn bodies_with_a_length_in_chunks_and_with_fields_behind_them_are_read_one_after_the_other() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 404 Not Found\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n\
            2\r\nde\r\n1;x=y\r\nf\r\n0\r\nX: y\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        let expected = "[200]abc[end][404]def[end][204][end]";
        assert_eq!(read(&[input]).as_deref(), Ok(expected));
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read(&bytes).as_deref(), Ok(expected));
        let endless = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent";
        assert_eq!(read(&[endless]).as_deref(), Ok("[400]Client sent"));
    }

    #[test]
    fn a_chunk_of_5_gb_is_passed_on_as_it_comes_and_nothing_is_set_aside_for_it() {
        let mut answers = Answers::default();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12a05f200\r\n";
        let (mut used, mut at) = (usize::MAX, 0);
        while used > 0 && at < head.len() {
            (used, _) = answers.take(&head[at..]).expect("it is well-formed");
            at += used;
        }
        let piece = [b'x'; 4096];
        let taken = answers.take(&piece).expect("it is well-formed");
        assert_eq!(taken, (0, Some(Part::Body(&piece[..]))));
        answers.advance(4096);
        assert_eq!(answers.expected, Expected::Chunk(5_000_000_000 - 4096));
        assert!(answers.memory_len() <= ETCD_HEAD_LEN_MAX);
    }

    #[test]
    fn row_61_a_head_without_end_and_lines_that_are_no_chunks_are_errors() {
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(2_000));
        let chunked = |rest: &str| {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}").into_bytes()
        };
        for input in [
            endless.into_bytes(),
            b"\x15\x03\x01\0\x02\x02\x16\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_vec(),
            chunked("x\r\n"),
            chunked("\r\n"),
            chunked("11112222333344445\r\n"),
            chunked(&format!("1;{}\r\n", "x".repeat(300))),
            chunked("1\r\nabc\r\n"),
            chunked(&format!("0\r\n{}", "a: b\r\n".repeat(2_000))),
        ] {
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            let text = String::from_utf8_lossy(&input);
            assert!(read(&[&input]).is_err() && read(&bytes).is_err(), "{text}");
        }
    }
}
