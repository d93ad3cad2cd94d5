//! One connection, one request in flight.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use hdrhistogram::Histogram;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
    line: String,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("loopback takes options");
        let reader =
            BufReader::with_capacity(1 << 20, stream.try_clone().expect("a second handle"));
        Client {
            stream,
            reader,
            line: String::new(),
        }
    }

    pub(crate) fn ask(&mut self, command: &str) -> &str {
        self.try_ask(command).expect("the server answers")
    }

    /// Sends a command, and returns the next line without its end.
    pub(crate) fn try_ask(&mut self, command: &str) -> io::Result<&str> {
        self.stream.write_all(command.as_bytes())?;
        self.next_line()
    }

    /// The next line without its end.
    pub(crate) fn next_line(&mut self) -> io::Result<&str> {
        self.line.clear();
        match self.reader.read_line(&mut self.line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(self.line.trim_end()),
        }
    }

    /// Sends `commands`, which have this number of lines for an answer, and reads those.
    pub(crate) fn send_many(&mut self, commands: &str, answers: usize) {
        self.stream
            .write_all(commands.as_bytes())
            .expect("the server reads");
        for _ in 0..answers {
            self.line.clear();
            self.reader
                .read_line(&mut self.line)
                .expect("the server answers");
        }
    }
}

/// Latencies up to a minute, in microseconds.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("a minute in microseconds")
}
