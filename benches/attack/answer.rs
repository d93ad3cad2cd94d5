//! Where an answer ends.

/// Bytes of a line that are looked at. A line that has more to follow is at most this long.
const LINE_LEN_MAX: usize = 128 * 1024;

/// The lines that a connection receives.
#[derive(Default)]
pub(crate) struct Answer {
    line: Vec<u8>,
    /// Answers that have come whole.
    pub(crate) whole: u64,
}

impl Answer {
    /// Takes what has arrived. A snapshot in parts is one answer.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_LEN_MAX.saturating_sub(self.line.len());
            self.line.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let more = memchr::memmem::find(&self.line, b"\"more\":true").is_some();
                self.whole += u64::from(!more);
                self.line.clear();
            }
        }
    }
}
