//! The pending output of one connection.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use crate::limits::ANSWER_COPY_LEN_MAX;

/// Answers in the order in which they are sent. Short ones are copied into one run of bytes; long
/// ones are shared with all other connections that have the same answer pending.
///
/// Invariant: `sent <= bytes.len()`, and `shared` is sorted by `at`, all of them `>= sent`.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
    shared: VecDeque<Shared>,
    /// Bytes of the pending shared answers.
    shared_len: usize,
}

/// A long answer whose place is before the byte `at` of the run.
#[derive(Debug)]
struct Shared {
    at: usize,
    answer: Rc<Vec<u8>>,
    sent: usize,
}

impl Output {
    /// Appends bytes that belong to this connection alone.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends an answer that may be pending in other connections too.
    pub fn push_shared(&mut self, answer: &Rc<Vec<u8>>) {
        self.push_shared_from(answer, 0);
    }

    /// Appends such an answer from this byte of it on.
    pub fn push_shared_from(&mut self, answer: &Rc<Vec<u8>>, from: usize) {
        let rest = &answer[from..];
        if rest.len() <= ANSWER_COPY_LEN_MAX {
            self.push(rest);
        } else {
            self.shared.push_back(Shared {
                at: self.bytes.len(),
                answer: Rc::clone(answer),
                sent: from,
            });
            self.shared_len += rest.len();
        }
    }

    /// Appends a long answer of this connection alone, without a copy.
    pub fn push_owned(&mut self, answer: Vec<u8>) {
        self.push_shared(&Rc::new(answer));
    }

    /// Moves the pending bytes into the large buffer `spare` and uses it for this turn, so that
    /// answers are appended without an allocation.
    pub fn unpack(&mut self, spare: &mut Vec<u8>) {
        spare.clear();
        spare.extend_from_slice(&self.bytes[self.sent..]);
        std::mem::swap(&mut self.bytes, spare);
        self.drop_sent();
        *spare = Vec::new();
    }

    /// Returns the large buffer as `spare`, and keeps the pending bytes in memory of their exact size.
    pub fn pack(&mut self, spare: &mut Vec<u8>) {
        let waiting = if self.sent == self.bytes.len() {
            Vec::new()
        } else {
            self.bytes[self.sent..].to_vec()
        };
        *spare = std::mem::replace(&mut self.bytes, waiting);
        self.drop_sent();
        if self.shared.is_empty() {
            self.shared = VecDeque::new();
        }
    }

    fn drop_sent(&mut self) {
        for shared in &mut self.shared {
            shared.at -= self.sent;
        }
        self.sent = 0;
    }

    /// The pending shared answers.
    pub fn shared(&self) -> impl Iterator<Item = &Rc<Vec<u8>>> {
        self.shared.iter().map(|shared| &shared.answer)
    }

    /// Bytes of memory for the answers of this connection alone.
    #[must_use]
    pub fn own_capacity(&self) -> usize {
        self.bytes.capacity() + self.shared.capacity() * size_of::<Shared>()
    }

    /// Pending bytes, including shared ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.shared_len
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.shared.is_empty()
    }

    /// The bytes to write next; empty only when nothing is pending.
    #[must_use]
    pub fn front(&self) -> &[u8] {
        match self.shared.front() {
            Some(shared) if shared.at == self.sent => &shared.answer[shared.sent..],
            Some(shared) => &self.bytes[self.sent..shared.at],
            None => &self.bytes[self.sent..],
        }
    }

    /// Removes `n` bytes from the front; `n` is at most the length of [`front`](Self::front).
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.front().len());
        match self.shared.front_mut() {
            Some(shared) if shared.at == self.sent => {
                shared.sent += n;
                self.shared_len -= n;
                if shared.sent == shared.answer.len() {
                    self.shared.pop_front();
                }
            }
            _ => self.sent += n,
        }
        if self.is_empty() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// All pending bytes in one piece.
    #[must_use]
    pub fn take(mut self) -> Vec<u8> {
        if self.shared.is_empty() && self.sent == 0 {
            return self.bytes;
        }
        let mut all = Vec::with_capacity(self.len());
        while !self.is_empty() {
            let front = self.front();
            let len = front.len();
            all.extend_from_slice(front);
            self.advance(len);
        }
        all
    }

    /// Calls `write` until nothing is pending or it accepts no more, for `len_max` bytes at most.
    /// Returns the number of bytes written.
    ///
    /// # Errors
    /// The error of `write`, including `WouldBlock`. Bytes written before are removed from the output
    /// nevertheless.
    pub fn write_to(
        &mut self,
        len_max: usize,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut written = 0;
        while !self.is_empty() && written < len_max {
            match write(self.front()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.advance(n);
                    written += n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pending output, with short and long answers, and the bytes that they are in their order.
    fn mixed() -> (Output, Vec<u8>) {
        let (mut output, mut expected) = (Output::default(), Vec::new());
        for (number, len) in [3, 5_000, 4_000, 10, 1, 9_000, 2].into_iter().enumerate() {
            let answer = vec![number as u8; len];
            output.push_shared(&Rc::new(answer.clone()));
            expected.extend(answer);
        }
        (output, expected)
    }

    #[test]
    fn what_is_left_is_counted_whatever_pieces_are_taken_and_whenever_the_memory_is_packed() {
        for (piece, turn) in [(1, 100), (3, 7), (999, 2), (4_096, 1), (usize::MAX, 3)] {
            let (mut output, expected) = mixed();
            let (mut taken, mut spare) = (Vec::new(), Vec::new());
            let mut pieces = 0;
            while !output.is_empty() {
                assert_eq!(output.len(), expected.len() - taken.len());
                if pieces % turn == 0 {
                    output.pack(&mut spare);
                    output.unpack(&mut spare);
                }
                let front = output.front();
                let n = front.len().min(piece);
                taken.extend_from_slice(&front[..n]);
                output.advance(n);
                pieces += 1;
            }
            assert_eq!(output.len(), 0);
            assert!(taken == expected, "pieces of {piece}");
        }
    }
}
