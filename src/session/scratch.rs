//! Scratch memory that all sessions share: each uses it while it is served.

use std::io;

use super::{Pause, Session};
use crate::limits::{OUTPUT_WAITING_LEN_MAX, READ_LEN_MAX};
use crate::message::Responder;
use crate::time::Moment;

/// Buffers for the input and the output of the session that is being served.
#[derive(Debug)]
pub struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            input: vec![0; READ_LEN_MAX].into(),
            output: Vec::with_capacity(OUTPUT_WAITING_LEN_MAX),
        }
    }
}

impl Scratch {
    /// A buffer for bytes that are dropped.
    pub fn sink(&mut self) -> &mut [u8] {
        &mut self.input
    }
}

/// A session that is being served. Its input and output are in the scratch memory until this is
/// dropped; then they are packed into memory of exactly their size.
#[derive(Debug)]
pub struct Active<'a> {
    session: &'a mut Session,
    scratch: &'a mut Scratch,
    /// Bytes of input in the scratch memory.
    len: usize,
}

impl Session {
    /// Unpacks the session into `scratch` for as long as it is served.
    pub fn activate<'a>(&'a mut self, scratch: &'a mut Scratch) -> Active<'a> {
        let rest = std::mem::take(&mut self.rest);
        scratch.input[..rest.len()].copy_from_slice(&rest);
        self.output.unpack(&mut scratch.output);
        Active {
            session: self,
            scratch,
            len: rest.len(),
        }
    }
}

impl Drop for Active<'_> {
    #[inline]
    fn drop(&mut self) {
        self.session.keep(&self.scratch.input[..self.len]);
        self.session.output.pack(&mut self.scratch.output);
    }
}

impl Active<'_> {
    /// The session.
    #[must_use]
    pub fn session(&mut self) -> &mut Session {
        self.session
    }

    /// Moves a watcher's next updates into the output.
    pub fn refill(&mut self, now: Moment) {
        self.session.refill(now);
    }

    /// The buffer for the next input.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.scratch.input[self.len..]
    }

    /// Takes `n` bytes that were read into the [room](Self::room).
    pub fn received(&mut self, n: usize) {
        self.len += n;
    }

    /// Runs the requests that have arrived, as long as pending output has at most `output_len_max` bytes and
    /// the `share` of work lasts, which it counts down. Returns the reason it stopped.
    pub fn run(
        &mut self,
        responder: &mut impl Responder,
        now: Moment,
        output_len_max: usize,
        share: &mut usize,
    ) -> Pause {
        let input = &self.scratch.input[..self.len];
        let (used, pause) = self
            .session
            .run(input, responder, now, output_len_max, share);
        self.scratch.input.copy_within(used..self.len, 0);
        self.len -= used;
        pause
    }

    /// Handles the end of input: runs the rest as a whole command, and ends the session unless the
    /// command must wait. Returns the reason it stopped; after [`Pause::Retry`] and [`Pause::Parked`]
    /// the engine calls this again once the wait is over.
    pub fn finish(&mut self, responder: &mut impl Responder, now: Moment) -> Pause {
        let pause = self
            .session
            .finish(&self.scratch.input[..self.len], responder, now);
        // What is tried again is still unread.
        if pause != Pause::Retry && !self.session.is_blocked() {
            self.len = 0;
        }
        pause
    }

    /// Sends pending output with `write`, `len_max` bytes at most. Returns the number of bytes sent.
    ///
    /// # Errors
    /// The error of `write`, including `WouldBlock`; bytes sent before are counted in the result.
    pub fn send(
        &mut self,
        len_max: usize,
        now: Moment,
        write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> (usize, io::Result<()>) {
        self.session.send(len_max, now, write)
    }
}
