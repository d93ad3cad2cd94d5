//! The answers that wait in one connection until its peer takes them.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use crate::limits::ANSWER_COPY_LEN_MAX;

/// Answers in the order in which they leave. Short ones are copied into one run of bytes; long
/// ones are shared with every other connection that waits for the same answer.
///
/// Invariant: `sent <= bytes.len()`, and `shared` is sorted by `at`, all of them `>= sent`.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
    shared: VecDeque<Shared>,
    /// Bytes of the shared answers that wait.
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

    /// Appends an answer that other connections may wait for too.
    pub fn push_shared(&mut self, answer: &Rc<Vec<u8>>) {
        if answer.len() <= ANSWER_COPY_LEN_MAX {
            self.push(answer);
        } else {
            self.shared.push_back(Shared {
                at: self.bytes.len(),
                answer: Rc::clone(answer),
                sent: 0,
            });
            self.shared_len += answer.len();
        }
    }

    /// Appends a long answer of this connection alone, without a copy.
    pub fn push_owned(&mut self, answer: Vec<u8>) {
        self.push_shared(&Rc::new(answer));
    }

    /// Moves the bytes that wait into the large buffer `spare` and takes it for this turn, so that
    /// answers are appended without an allocation.
    pub fn unpack(&mut self, spare: &mut Vec<u8>) {
        spare.clear();
        spare.extend_from_slice(&self.bytes[self.sent..]);
        std::mem::swap(&mut self.bytes, spare);
        self.drop_sent();
        *spare = Vec::new();
    }

    /// Gives the large buffer back as `spare` and keeps what waits in memory of exactly its size.
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

    /// The answers that wait here and may wait elsewhere too.
    pub fn shared(&self) -> impl Iterator<Item = &Rc<Vec<u8>>> {
        self.shared.iter().map(|shared| &shared.answer)
    }

    /// Bytes of memory that this connection alone holds for its answers.
    #[must_use]
    pub fn own_capacity(&self) -> usize {
        self.bytes.capacity() + self.shared.capacity() * size_of::<Shared>()
    }

    /// Bytes that wait, shared ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.shared_len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.shared.is_empty()
    }

    /// The bytes to write next; empty only when nothing waits.
    #[must_use]
    pub fn front(&self) -> &[u8] {
        match self.shared.front() {
            Some(shared) if shared.at == self.sent => &shared.answer[shared.sent..],
            Some(shared) => &self.bytes[self.sent..shared.at],
            None => &self.bytes[self.sent..],
        }
    }

    /// Takes `n` bytes off the front; `n` is at most the length of [`front`](Self::front).
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

    /// Writes with `write` until nothing waits or it takes no more, `len_max` bytes at most.
    /// Returns how many bytes left.
    ///
    /// # Errors
    /// What `write` returned, `WouldBlock` among it. The bytes that left before are gone from the
    /// output all the same.
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
