//! The load: one thread, many connections, a number of equal requests in flight on each.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::servers::Server;

/// One measurement.
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) requests: u64,
    /// Processor time of the server in user mode.
    pub(crate) user: Duration,
    /// Processor time of the kernel for the server.
    pub(crate) system: Duration,
}

pub(crate) struct Load {
    poll: Poll,
    peers: Vec<Peer>,
    batch: Vec<u8>,
    in_flight: u64,
    /// Bytes of the answers to a batch.
    answers_len: usize,
}

struct Peer {
    stream: TcpStream,
    /// Bytes still to come for the batch under way.
    left: usize,
}

impl Load {
    pub(crate) fn connect(
        server: &Server,
        connections: usize,
        request: &[u8],
        in_flight: usize,
    ) -> Load {
        let poll = Poll::new().expect("a poll");
        let peer = |number| {
            let stream = server.connect();
            stream.set_nonblocking(true).expect("an option");
            let mut stream = TcpStream::from_std(stream);
            let registry = poll.registry();
            registry
                .register(&mut stream, Token(number), Interest::READABLE)
                .expect("a stream");
            Peer { stream, left: 0 }
        };
        let peers = (0..connections).map(peer).collect();
        Load {
            peers,
            batch: request.repeat(in_flight),
            in_flight: in_flight as u64,
            answers_len: in_flight * server.answer_len(request),
            poll,
        }
    }

    /// Keeps the requests in flight for `time`, then waits for the last answers.
    pub(crate) fn run(&mut self, server: &Server, time: Duration) -> Sample {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 256 * 1024];
        let before = server.processor_time();
        let begun = Instant::now();
        let mut requests = 0;
        (0..self.peers.len()).for_each(|number| self.send(number));
        let mut busy = self.peers.len();
        while busy > 0 {
            let patience = Some(Duration::from_secs(10));
            self.poll.poll(&mut events, patience).expect("poll");
            assert!(!events.is_empty(), "the server has stopped answering");
            for event in &events {
                let number = event.token().0;
                if !self.peers[number].receive(&mut buffer) {
                    continue;
                }
                requests += self.in_flight;
                if begun.elapsed() < time {
                    self.send(number);
                } else {
                    busy -= 1;
                }
            }
        }
        let per_second = requests as f64 / begun.elapsed().as_secs_f64();
        let after = server.processor_time();
        Sample {
            per_second,
            requests,
            user: after.0 - before.0,
            system: after.1 - before.1,
        }
    }

    fn send(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        peer.left = self.answers_len;
        // A batch is far smaller than the buffers of loopback, which are empty.
        peer.stream.write_all(&self.batch).expect("it reads");
    }
}

impl Peer {
    /// Reads what has arrived; `true` when the batch is answered.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        while self.left > 0 {
            match self.stream.read(buffer) {
                Ok(0) => panic!("the server closed a connection"),
                // All answers have the same length.
                Ok(n) => self.left -= n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("the connection broke: {error}"),
            }
            if self.left == 0 {
                return true;
            }
        }
        false
    }
}
