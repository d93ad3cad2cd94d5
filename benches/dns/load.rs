//! The load: one socket, equal queries at an even pace, whether they are answered or not.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// One measurement.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// From a query to its answer.
    pub(crate) longest: Duration,
    /// Of a pause of the load itself, during which it sent and received nothing.
    pub(crate) longest_pause: Duration,
    /// Processor time of the server in user mode.
    pub(crate) user: Duration,
    /// Processor time of the kernel for the server.
    pub(crate) system: Duration,
}

pub(crate) struct Load {
    socket: UdpSocket,
    query: Vec<u8>,
    /// Queries that are sent one behind the other.
    at_once: u64,
    /// Bytes of the first answer.
    pub(crate) answer_len: usize,
    /// When the query with each id was sent.
    sent: Vec<Option<Instant>>,
    next_id: u16,
}

impl Load {
    pub(crate) fn connect(server: SocketAddr, query: &[u8], at_once: u64) -> Load {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server).expect("an address");
        socket.send(query).expect("it is sent");
        let mut buffer = [0; 65_535];
        let patience = Some(Duration::from_secs(10));
        socket.set_read_timeout(patience).expect("an option");
        let answer_len = socket.recv(&mut buffer).expect("it answers");
        let code = buffer[3] & 15;
        assert_eq!(code, 0, "the response code");
        socket.set_nonblocking(true).expect("an option");
        Load {
            socket,
            query: query.to_vec(),
            at_once,
            answer_len,
            sent: vec![None; 1 << 16],
            next_id: 0,
        }
    }

    /// Asks so many queries a second for `time`, and waits for the last answers. `between` is called in each
    /// round, and must be short.
    pub(crate) fn run(&mut self, rate: u64, time: Duration, mut between: impl FnMut()) -> Sample {
        const PATIENCE: Duration = Duration::from_millis(200);
        let mut sample = Sample::default();
        self.sent.fill(None);
        let begun = Instant::now();
        let mut last_round = begun;
        loop {
            let now = Instant::now();
            sample.longest_pause = sample.longest_pause.max(now - last_round);
            last_round = now;
            let elapsed = now - begun;
            let due = (elapsed.min(time).as_secs_f64() * rate as f64) as u64;
            if due >= sample.asked + self.at_once {
                // After a pause the load does not make up for it at once.
                (0..self.at_once).for_each(|_| self.ask(&mut sample));
            }
            self.receive(&mut sample);
            between();
            let is_over = elapsed > time && sample.answered == sample.asked;
            if is_over || elapsed > time + PATIENCE {
                return sample;
            }
        }
    }

    fn ask(&mut self, sample: &mut Sample) {
        self.next_id = self.next_id.wrapping_add(1);
        self.query[..2].copy_from_slice(&self.next_id.to_be_bytes());
        self.sent[usize::from(self.next_id)] = Some(Instant::now());
        self.socket.send(&self.query).expect("it is sent");
        sample.asked += 1;
    }

    fn receive(&mut self, sample: &mut Sample) {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(_) => {
                    let id = u16::from_be_bytes([buffer[0], buffer[1]]);
                    if let Some(sent) = self.sent[usize::from(id)].take() {
                        sample.answered += 1;
                        sample.longest = sample.longest.max(sent.elapsed());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the server is gone: {error}"),
            }
        }
    }
}
