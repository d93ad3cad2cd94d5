//! The attackers, and others that only read: threads that keep connections busy.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::answer::Answer;
use crate::scenarios::Attacker;

/// Bytes that a connection sends at once.
const BLOCK_LEN: usize = 64 * 1024;
/// How often those that wait look whether they may go on.
const PATIENCE: Duration = Duration::from_millis(5);
/// Niceness of attackers, so that those who measure on the same core do not wait for them.
const GIVE_WAY: i32 = 19;

impl Attacker {
    /// Attacks the service at `address` until it is `over`.
    pub(crate) fn start<'s>(
        &'static self,
        scope: &'s Scope<'s, '_>,
        address: &'s str,
        over: &'s AtomicBool,
    ) {
        let threads = match self {
            Attacker::Visits { at_once, .. } => *at_once,
            _ => 1,
        };
        for _ in 0..threads {
            scope.spawn(move || {
                let _ = rustix::process::nice(GIVE_WAY);
                self.attack(address, over);
            });
        }
    }

    fn attack(&self, address: &str, over: &AtomicBool) {
        match *self {
            Attacker::Streams {
                connections,
                first,
                then,
                bytes_a_second,
            } => Streams::connect(address, connections, first, then, bytes_a_second).run(over),
            Attacker::Visits { request, .. } => {
                while !over.load(Ordering::Relaxed) {
                    visit(address, request, over);
                }
            }
            Attacker::Paced { request, a_second } => {
                let mut streams = Streams::connect(address, 1, "", "", None);
                while !over.load(Ordering::Relaxed) {
                    streams.peers[0].first = request.as_bytes().to_vec();
                    streams.run_until(
                        over,
                        Some(Instant::now() + Duration::from_secs(1) / a_second),
                    );
                }
            }
        }
    }
}

/// Connects, asks, reads the answer and closes.
fn visit(address: &str, request: &str, over: &AtomicBool) {
    let mut streams = Streams::connect(address, 1, request, "", None);
    while !over.load(Ordering::Relaxed) && !streams.peers[0].is_answered() {
        streams.go_on();
    }
}

/// Connections that one thread serves.
pub(crate) struct Streams {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    peers: Vec<Peer>,
    /// What they send again and again; nothing if it is empty.
    block: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    /// What it sends first.
    first: Vec<u8>,
    /// How much of the block under way is sent.
    sent: usize,
    may_read: bool,
    may_write: bool,
    is_open: bool,
    since: Instant,
    received_len: u64,
    bytes_a_second: Option<u64>,
    answer: Answer,
}

impl Streams {
    pub(crate) fn connect(
        address: &str,
        connections: usize,
        first: &str,
        then: &str,
        bytes_a_second: Option<u64>,
    ) -> Self {
        let poll = Poll::new().expect("a poll");
        let connect = |i| {
            let stream = std::net::TcpStream::connect(address).expect("the service accepts");
            stream.set_nodelay(true).expect("loopback takes options");
            stream
                .set_nonblocking(true)
                .expect("loopback takes options");
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = poll.registry();
            registry
                .register(&mut stream, Token(i), interest)
                .expect("a stream");
            Peer {
                stream,
                first: first.as_bytes().to_vec(),
                sent: 0,
                may_read: false,
                may_write: true,
                is_open: true,
                since: Instant::now(),
                received_len: 0,
                bytes_a_second,
                answer: Answer::default(),
            }
        };
        let peers = (0..connections).map(connect).collect();
        let repeats = if then.is_empty() {
            0
        } else {
            BLOCK_LEN / then.len()
        };
        Streams {
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; 4 * BLOCK_LEN],
            peers,
            block: then.as_bytes().repeat(repeats),
        }
    }

    /// Keeps them busy until it is `over`.
    pub(crate) fn run(&mut self, over: &AtomicBool) {
        self.run_until(over, None);
    }

    fn run_until(&mut self, over: &AtomicBool, end: Option<Instant>) {
        let is_late = || end.is_some_and(|end| end <= Instant::now());
        while !over.load(Ordering::Relaxed) && !is_late() {
            self.go_on();
        }
    }

    /// Lets each of them do a little, or waits until one can.
    fn go_on(&mut self) {
        let block = &self.block;
        let is_busy = self.peers.iter().any(|peer| peer.has_work(block));
        let wait = if is_busy { Duration::ZERO } else { PATIENCE };
        self.poll.poll(&mut self.events, Some(wait)).expect("poll");
        for event in &self.events {
            let peer = &mut self.peers[event.token().0];
            peer.may_read |= event.is_readable() || event.is_read_closed();
            peer.may_write |= event.is_writable();
        }
        for peer in &mut self.peers {
            if peer.has_work(block) {
                peer.write(block);
                peer.read(&mut self.buffer);
            }
        }
    }
}

impl Peer {
    fn has_work(&self, block: &[u8]) -> bool {
        let has_output = !self.first.is_empty() || !block.is_empty();
        let writes = self.may_write && has_output;
        self.is_open && (writes || (self.may_read && self.allowance() > 0))
    }

    /// Whether it has an answer, or will have none.
    fn is_answered(&self) -> bool {
        self.answer.whole > 0 || !self.is_open
    }

    /// Bytes that it may read now.
    fn allowance(&self) -> usize {
        self.bytes_a_second.map_or(usize::MAX, |rate| {
            let allowed = self.since.elapsed().as_secs_f64() * rate as f64;
            (allowed as u64).saturating_sub(self.received_len) as usize
        })
    }

    fn write(&mut self, block: &[u8]) {
        let output = if self.first.is_empty() {
            &block[self.sent..]
        } else {
            &self.first
        };
        if !self.may_write || output.is_empty() {
            return;
        }
        match self.stream.write(output) {
            Ok(n) if !self.first.is_empty() => drop(self.first.drain(..n)),
            Ok(n) => self.sent = (self.sent + n) % block.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_write = false,
            Err(_) => self.is_open = false,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let len = buffer.len().min(self.allowance());
        if !self.may_read || len == 0 {
            return;
        }
        match self.stream.read(&mut buffer[..len]) {
            Ok(0) => self.is_open = false,
            Ok(n) => {
                self.received_len += n as u64;
                self.answer.receive(&buffer[..n]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
            Err(_) => self.is_open = false,
        }
    }
}
