//! Standard error as the end of the log: it takes a line at once, or the line is dropped and counted.
//!
//! Standard error belongs to other processes too, and `O_NONBLOCK` is a property of what they share (the
//! open file description): set here, it would make their writes fail. So each kind of file gets a way
//! of its own, see [`Way`].

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use discovery_service::limits::LOG_LINE_LEN_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, retry_on_intr, write};
use rustix::net::{SendFlags, send};
use rustix::pipe::PIPE_BUF;
use rustix::termios::{isatty, tcgetsid};

use super::{DROPPED, dropped_line};

/// Takes whole lines, one a write, and never fails.
pub(super) struct Sink<F> {
    stderr: F,
    way: Way,
    /// What is left of a line that was written in part. It goes before the next line.
    rest: Vec<u8>,
    /// Lines dropped since a line said how many.
    unsaid: u32,
}

/// How to write without waiting.
#[derive(Debug)]
enum Way {
    /// A terminal or a pipe: through an open file description of our own, with `O_NONBLOCK`.
    Own(OwnedFd),
    /// A socket, such as that of systemd's journal: one that does not wait is asked for with each `send`.
    Socket,
    /// Everything else: so many bytes at most whenever `poll` says that there is room, which is always so
    /// for files and most devices. A terminal or pipe of another user, which cannot be opened again, can
    /// still let a write wait, if a third process takes the room in between.
    Polled(usize),
}

/// Bytes that go to a terminal which has room: one is all that poll(2) promises.
const TERMINAL_ROOM: usize = 1;

impl Way {
    fn of(stderr: BorrowedFd<'_>) -> Way {
        let kind = fstat(stderr).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let (again, room) = match kind {
            Ok(FileType::Socket) => return Way::Socket,
            Ok(FileType::Fifo) => (opened_again(stderr), PIPE_BUF),
            Ok(FileType::CharacterDevice) if isatty(stderr) => {
                (opened_again(stderr), TERMINAL_ROOM)
            }
            _ => (None, LOG_LINE_LEN_MAX),
        };
        again.map_or(Way::Polled(room), Way::Own)
    }
}

/// Opens the same terminal or pipe again; `None` where that is impossible, or not permitted.
fn opened_again(stderr: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let again = |path: &str| open(path, flags, Mode::empty()).ok();
    // Only Linux opens anew what stands here; elsewhere such a path is missing, or a duplicate.
    let by_number = cfg!(target_os = "linux")
        .then(|| again(&format!("/proc/self/fd/{}", stderr.as_raw_fd())))
        .flatten();
    // Only the controlling terminal tells its session (tcgetsid(3)), and /dev/tty is that terminal.
    by_number.or_else(|| tcgetsid(stderr).ok().and_then(|_| again("/dev/tty")))
}

impl<F: AsFd> Sink<F> {
    pub(super) fn new(stderr: F) -> Self {
        let way = Way::of(stderr.as_fd());
        Sink {
            stderr,
            way,
            rest: Vec::new(),
            unsaid: 0,
        }
    }

    /// Writes a line, after what has to go before it.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.finish()?;
        if self.unsaid > 0 {
            self.begin(dropped_line(self.unsaid).as_bytes())?;
            self.unsaid = 0;
            self.finish()?;
        }
        self.begin(line)
    }

    /// Writes as much of a line as there is room for; an error when that is nothing.
    fn begin(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.write_some(line)?;
        self.rest.extend(&line[written..]);
        // What does not go now goes before the next line.
        let _ = self.finish();
        Ok(())
    }

    /// Writes what is left of the last line.
    fn finish(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            let written = self.write_some(&self.rest)?;
            self.rest.drain(..written);
        }
        Ok(())
    }

    /// Writes at least a byte, without waiting.
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = retry_on_intr(|| match &self.way {
            Way::Own(fd) => write(fd, bytes),
            Way::Socket => send(&self.stderr, bytes, SendFlags::DONTWAIT),
            Way::Polled(room) if self.has_room() => {
                write(&self.stderr, &bytes[..bytes.len().min(*room)])
            }
            Way::Polled(_) => Err(Errno::AGAIN),
        })?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(written)
    }

    /// Whether there is room; also when a write would fail, for it fails at once.
    fn has_room(&self) -> bool {
        const AT_ONCE: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&self.stderr, PollFlags::OUT)];
        poll(&mut fds, Some(&AT_ONCE)).is_ok_and(|ready| ready > 0)
    }
}

impl<F: AsFd> Write for Sink<F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        debug_assert!(line.len() <= LOG_LINE_LEN_MAX && line.ends_with(b"\n"));
        if self.put(line).is_err() {
            self.unsaid = self.unsaid.saturating_add(1);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, Read, pipe};

    const LINE: &[u8] = b"a line that is not so short\n";

    /// A sink that writes to a pipe in this way, and the other end.
    fn piped(way: impl Fn(&PipeWriter) -> Way) -> (Sink<PipeWriter>, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        let way = way(&writer);
        let sink = Sink::new(writer);
        (Sink { way, ..sink }, reader)
    }

    /// The lines until the writer is gone, without the times of those of the log.
    fn lines(mut reader: PipeReader) -> Vec<String> {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.lines()
            .map(|line| {
                line.split_once("Z ")
                    .map_or(line, |(_, said)| said)
                    .to_owned()
            })
            .collect()
    }

    fn notice(dropped: u32) -> String {
        let line = dropped_line(dropped);
        line.split_once("Z ").unwrap().1.trim_end().to_owned()
    }

    #[test]
    fn row_51_a_full_pipe_costs_lines_and_no_time_whether_or_not_it_can_be_opened_again() {
        let ways: [fn(&PipeWriter) -> Way; 2] =
            [|writer| Way::of(writer.as_fd()), |_| Way::Polled(PIPE_BUF)];
        for way in ways {
            let (mut sink, mut reader) = piped(way);
            let mut taken = 0;
            while sink.unsaid == 0 {
                sink.write_all(LINE).unwrap();
                taken += 1;
            }
            taken -= 1;
            sink.write_all(LINE).unwrap();
            assert_eq!(sink.unsaid, 2);
            let mut text = vec![0; LINE.len() * taken];
            reader.read_exact(&mut text).unwrap();
            assert_eq!(text, LINE.repeat(taken));
            sink.write_all(LINE).unwrap();
            sink.write_all(LINE).unwrap();
            drop(sink);
            let line = String::from_utf8_lossy(LINE).trim_end().to_owned();
            assert_eq!(lines(reader), [notice(2), line.clone(), line]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_opened_again_and_stays_as_it_was_for_others() {
        use rustix::fs::fcntl_getfl;
        let (_reader, writer) = pipe().unwrap();
        let Way::Own(own) = Way::of(writer.as_fd()) else {
            panic!("it is ours");
        };
        assert!(fcntl_getfl(&own).unwrap().contains(OFlags::NONBLOCK));
        assert!(!fcntl_getfl(&writer).unwrap().contains(OFlags::NONBLOCK));
    }

    #[test]
    fn row_51_a_full_terminal_that_cannot_be_opened_again_costs_lines_and_no_time() {
        use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
        let reader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&reader).unwrap();
        let name = ptsname(&reader, Vec::new()).unwrap();
        let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut sink = Sink {
            way: Way::Polled(TERMINAL_ROOM),
            ..Sink::new(terminal)
        };
        while sink.unsaid < 3 {
            sink.write_all(LINE).unwrap();
        }
    }

    #[test]
    fn what_was_written_in_part_is_finished_before_the_next_line() {
        let (mut sink, reader) = piped(|writer| Way::of(writer.as_fd()));
        sink.rest = b"the end of one\n".to_vec();
        sink.unsaid = 3;
        sink.write_all(LINE).unwrap();
        drop(sink);
        let line = String::from_utf8_lossy(LINE).trim_end().to_owned();
        assert_eq!(
            lines(reader),
            ["the end of one".to_owned(), notice(3), line]
        );
    }
}
