//! The parts of a long answer, until its length is known.

use super::{encode, push_header};
use crate::limits::FRAME_ANSWER_LEN_MAX;
use crate::message::{Part, Refusal, Reply, Rows};
use crate::wire::json;
use crate::wire::output::Output;

/// Collects the parts of one answer: the header of a frame tells the length of all of it.
#[derive(Debug, Default)]
pub struct Collector {
    contents: Vec<Vec<u8>>,
    len: usize,
    is_too_long: bool,
}

impl Collector {
    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        self.len
    }

    /// Takes the next part, and appends the frame with the last one.
    pub(in crate::wire) fn push(&mut self, part: &Part, output: &mut Output) {
        // An array of addresses is a string that contains the array.
        let (open, close): (&[u8], &[u8]) = match part.rows {
            Rows::Addresses(_) => (b"\"[", b"]\""),
            _ => (b"[", b"]"),
        };
        let mut content = Vec::new();
        if part.is_first {
            content.extend_from_slice(open);
        } else if !part.rows.is_empty() {
            content.push(b',');
        }
        json::push_framed_rows(&mut content, &part.rows);
        if part.is_last {
            content.extend_from_slice(close);
        }
        content.shrink_to_fit();
        self.keep(content);
        if part.is_last {
            self.finish(output);
        }
    }

    fn keep(&mut self, content: Vec<u8>) {
        self.is_too_long |= self.len + content.len() > FRAME_ANSWER_LEN_MAX;
        if self.is_too_long {
            self.contents = Vec::new();
            self.len = 0;
        } else {
            self.len += content.len();
            self.contents.push(content);
        }
    }

    fn finish(&mut self, output: &mut Output) {
        let Collector {
            contents,
            len,
            is_too_long,
        } = std::mem::take(self);
        if is_too_long {
            encode(&Reply::Refused(Refusal::AnswerTooLong), output);
            return;
        }
        push_header(output, "text/json", len, None);
        contents
            .into_iter()
            .for_each(|content| output.push_owned(content));
    }
}
