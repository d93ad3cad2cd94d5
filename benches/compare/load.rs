//! The load: one thread, many connections, a number of requests in flight on each.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::common::client::latencies;
use crate::servers::{Requests, Server};

/// One measurement.
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) requests: u64,
    /// From sending a batch to its last answer, in microseconds.
    pub(crate) latency: Histogram<u64>,
}

pub(crate) struct Load {
    poll: Poll,
    peers: Vec<Peer>,
    requests: Requests,
    in_flight: usize,
    next: usize,
}

struct Peer {
    stream: TcpStream,
    /// Line ends still to come for the batch under way.
    lines_left: usize,
    sent_at: Instant,
}

impl Load {
    pub(crate) fn connect(
        server: &Server,
        connections: usize,
        in_flight: usize,
        requests: Requests,
    ) -> Load {
        let poll = Poll::new().expect("a poll");
        let address = server.address.parse().expect("an address");
        let peers = (0..connections)
            .map(|i| {
                let stream = std::net::TcpStream::connect::<std::net::SocketAddr>(address)
                    .expect("the server accepts");
                stream.set_nodelay(true).expect("loopback takes options");
                stream
                    .set_nonblocking(true)
                    .expect("loopback takes options");
                let mut stream = TcpStream::from_std(stream);
                poll.registry()
                    .register(&mut stream, Token(i), Interest::READABLE)
                    .expect("a stream");
                Peer {
                    stream,
                    lines_left: 0,
                    sent_at: Instant::now(),
                }
            })
            .collect();
        Load {
            poll,
            peers,
            requests,
            in_flight,
            next: 0,
        }
    }

    /// Keeps the requests in flight for `time`, then waits for the last answers.
    pub(crate) fn run(&mut self, server: &Server, time: Duration) -> Sample {
        let mut latency = latencies();
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 256 * 1024];
        let (user, system) = server.processor_time();
        let begun = Instant::now();
        let mut requests = 0;
        for i in 0..self.peers.len() {
            self.send(i);
        }
        let mut busy = self.peers.len();
        while busy > 0 {
            self.poll
                .poll(&mut events, Some(Duration::from_secs(10)))
                .expect("poll");
            assert!(!events.is_empty(), "{} stopped answering", server.address);
            for event in &events {
                let i = event.token().0;
                if !self.receive(i, &mut buffer) {
                    continue;
                }
                requests += self.in_flight as u64;
                latency.saturating_record(self.peers[i].sent_at.elapsed().as_micros() as u64);
                if begun.elapsed() < time {
                    self.send(i);
                } else {
                    busy -= 1;
                }
            }
        }
        let per_second = requests as f64 / begun.elapsed().as_secs_f64();
        let (user_after, system_after) = server.processor_time();
        Sample {
            per_second,
            user: user_after - user,
            system: system_after - system,
            requests,
            latency,
        }
    }

    fn send(&mut self, i: usize) {
        let mut batch = Vec::with_capacity(self.in_flight * 128);
        for _ in 0..self.in_flight {
            batch.extend_from_slice(&self.requests.messages[self.next]);
            self.next = (self.next + 1) % self.requests.messages.len();
        }
        let peer = &mut self.peers[i];
        peer.lines_left = self.in_flight * self.requests.lines;
        peer.sent_at = Instant::now();
        // A batch is far smaller than the buffers of loopback, which are empty.
        peer.stream.write_all(&batch).expect("the server reads");
    }

    /// Reads what has arrived; `true` when the batch is answered.
    fn receive(&mut self, i: usize, buffer: &mut [u8]) -> bool {
        let peer = &mut self.peers[i];
        if peer.lines_left == 0 {
            return false;
        }
        loop {
            match peer.stream.read(buffer) {
                Ok(0) => panic!("the server closed a connection"),
                Ok(n) => {
                    peer.lines_left -= memchr::memchr_iter(b'\n', &buffer[..n]).count();
                    if peer.lines_left == 0 {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }
}

/// A frame with this content.
pub(crate) fn frame(content: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": {}}}"#,
        content.len()
    );
    let mut frame = (header.len() as u16).to_be_bytes().to_vec();
    frame.extend(header.bytes());
    frame.extend(content.bytes());
    frame
}

/// Connects, sends `request`, reads to the end and closes, one after the other for `time`.
pub(crate) fn connection_per_request(server: &Server, request: &[u8], time: Duration) -> Sample {
    let mut latency = latencies();
    let (user, system) = server.processor_time();
    let begun = Instant::now();
    let mut requests = 0;
    let mut answer = Vec::new();
    while begun.elapsed() < time {
        let sent_at = Instant::now();
        let mut stream = std::net::TcpStream::connect(&server.address).expect("the server accepts");
        stream.write_all(request).expect("the server reads");
        answer.clear();
        stream.read_to_end(&mut answer).expect("the server answers");
        assert!(answer.len() > 100, "an answer of {} bytes", answer.len());
        requests += 1;
        latency.saturating_record(sent_at.elapsed().as_micros() as u64);
    }
    let per_second = requests as f64 / begun.elapsed().as_secs_f64();
    let (user_after, system_after) = server.processor_time();
    Sample {
        per_second,
        user: user_after - user,
        system: system_after - system,
        requests,
        latency,
    }
}
