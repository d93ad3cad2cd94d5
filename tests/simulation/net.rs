//! A network of queues. Its readiness is strictly edge-triggered: an event is told only when
//! something becomes possible that was not possible before, beside the false events of the seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use discovery_service::engine::{Event, Network, Readiness};

use crate::rng::Rng;

/// How likely each fault is, in percent of the calls that can have it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub short_read: u64,
    pub short_write: u64,
    pub interrupted: u64,
    pub false_event: u64,
    pub doubled_event: u64,
    pub accept_error: u64,
}

/// One connection: what is under way in both directions, and what each side has done.
#[derive(Debug, Default)]
pub struct Pipe {
    pub key: Option<usize>,
    /// Sent by the client, not yet arrived.
    wire: VecDeque<u8>,
    /// Arrived, not yet read by the service.
    arrived: VecDeque<u8>,
    pub client_ended: bool,
    end_arrived: bool,
    pub reset: bool,
    /// Written by the service, not yet taken by the client.
    outbound: VecDeque<u8>,
    room: usize,
    /// The service was told that there is no room.
    wants_room: bool,
    pub shut: bool,
    pub closed: bool,
    /// What the client has taken.
    pub received: Vec<u8>,
    edge: Readiness,
    /// The host of the client has lost its power: nothing more comes from it.
    dark: bool,
    /// The service wants to know of that within this time.
    pub guarded: Option<Duration>,
}

impl Pipe {
    pub fn is_going_dark(&self) -> bool {
        self.dark
    }
}

/// Which client a connection of the service belongs to, by the connection's key.
pub type Owners = Rc<RefCell<BTreeMap<usize, usize>>>;

pub struct FakeNetwork {
    pub rng: Rng,
    pub faults: Faults,
    /// By client number; a stream of the service is such a number.
    pub pipes: Vec<Pipe>,
    backlog: VecDeque<usize>,
    accept_edge: bool,
    /// Accepting fails for so many calls: the process is out of descriptors.
    pub descriptors_out: u64,
    /// What the next calls to accept fail with.
    pub accept_errors: VecDeque<io::ErrorKind>,
    /// Calls to accept.
    pub accepts: u64,
    pub listening: bool,
    pub owners: Owners,
    /// Calls and deliveries, for the speed of the simulation.
    pub events: u64,
}

impl FakeNetwork {
    pub fn new(rng: Rng, faults: Faults, owners: Owners) -> Self {
        FakeNetwork {
            rng,
            faults,
            pipes: Vec::new(),
            backlog: VecDeque::new(),
            accept_edge: false,
            descriptors_out: 0,
            accept_errors: VecDeque::new(),
            accepts: 0,
            listening: true,
            owners,
            events: 0,
        }
    }

    /// A new client that connects. Returns its number.
    pub fn connect(&mut self) -> usize {
        let client = self.pipes.len();
        let room = self.rng.between(1, 4096) as usize;
        self.pipes.push(Pipe {
            room,
            ..Pipe::default()
        });
        self.accept_edge |= self.backlog.is_empty();
        self.backlog.push_back(client);
        client
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.pipes[client].wire.extend(bytes);
    }

    /// Lets up to `n` bytes of what the client has sent arrive, and then the end of its input.
    pub fn deliver(&mut self, client: usize, n: usize) {
        self.events += 1;
        let pipe = &mut self.pipes[client];
        if pipe.reset || pipe.closed || pipe.dark {
            pipe.wire.clear();
            return;
        }
        let n = n.min(pipe.wire.len());
        pipe.edge.readable |= n > 0 && pipe.arrived.is_empty();
        pipe.arrived.extend(pipe.wire.drain(..n));
        if pipe.client_ended && pipe.wire.is_empty() && !pipe.end_arrived {
            pipe.end_arrived = true;
            pipe.edge.readable = true;
            pipe.edge.ended = true;
        }
    }

    /// The client takes up to `n` bytes of the answers.
    pub fn take(&mut self, client: usize, n: usize) {
        self.events += 1;
        let pipe = &mut self.pipes[client];
        if pipe.dark {
            return;
        }
        let n = n.min(pipe.outbound.len());
        pipe.received.extend(pipe.outbound.drain(..n));
        if n > 0 && pipe.wants_room {
            pipe.wants_room = false;
            pipe.edge.writable = true;
        }
    }

    /// The client's host loses its power.
    pub fn go_dark(&mut self, client: usize) {
        self.pipes[client].dark = true;
    }

    /// The client's connection breaks: what is under way is lost.
    pub fn reset(&mut self, client: usize) {
        self.events += 1;
        let pipe = &mut self.pipes[client];
        pipe.reset = true;
        pipe.wire.clear();
        pipe.arrived.clear();
        pipe.outbound.clear();
        pipe.edge = Readiness {
            readable: true,
            writable: true,
            ended: true,
        };
    }

    /// Whether something is under way that needs neither a fault nor the clock to arrive.
    pub fn is_quiet(&self) -> bool {
        self.backlog.is_empty()
            && !self.accept_edge
            && self.pipes.iter().all(|pipe| {
                (pipe.wire.is_empty() || pipe.closed || pipe.reset || pipe.dark)
                    && (pipe.outbound.is_empty() || pipe.dark)
                    && (pipe.edge == Readiness::default() || pipe.closed || pipe.key.is_none())
            })
    }

    /// Whether clients wait to be accepted.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The listener is closed: who was not accepted sees a reset.
    pub fn backlog_is_gone(&mut self) {
        self.backlog.clear();
    }

    /// The events since the last call, with those that the seed adds.
    pub fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if std::mem::take(&mut self.accept_edge) || self.rng.chance(self.faults.false_event) {
            events.push(Event::Accept(0));
        }
        for pipe in &mut self.pipes {
            let Some(key) = pipe.key else { continue };
            let edge = std::mem::take(&mut pipe.edge);
            if edge != Readiness::default() && !pipe.closed {
                events.push(Event::Session(key, edge));
            }
        }
        let told = events.len();
        for i in 0..told {
            if self.rng.chance(self.faults.doubled_event) {
                events.push(events[i]);
            }
        }
        while self.rng.chance(self.faults.false_event) {
            let key = self.rng.index(64);
            events.push(Event::Session(
                key,
                Readiness {
                    readable: self.rng.chance(50),
                    writable: true,
                    ended: false,
                },
            ));
        }
        // The kernel's order is nobody's business.
        for i in (1..events.len()).rev() {
            let j = self.rng.index(i + 1);
            events.swap(i, j);
        }
        self.events += events.len() as u64;
        events
    }

    fn interrupted(&mut self) -> io::Result<()> {
        self.events += 1;
        if self.rng.chance(self.faults.interrupted) {
            Err(io::ErrorKind::Interrupted.into())
        } else {
            Ok(())
        }
    }
}

impl Network for FakeNetwork {
    type Listener = ();
    type Stream = usize;

    fn accept(&mut self, (): &mut ()) -> io::Result<(usize, SocketAddr)> {
        self.events += 1;
        self.accepts += 1;
        assert!(self.listening, "accepted after the listener was closed");
        if let Some(kind) = self.accept_errors.pop_front() {
            return Err(kind.into());
        }
        if self.backlog.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.descriptors_out > 0 {
            self.descriptors_out -= 1;
            return Err(io::Error::other("too many open files"));
        }
        if self.rng.chance(self.faults.accept_error) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let client = self.backlog.pop_front().expect("it is not empty");
        let port = 1024 + (client % 60_000) as u16;
        Ok((client, (Ipv4Addr::LOCALHOST, port).into()))
    }

    fn watch(&mut self, client: &mut usize, key: usize) -> io::Result<()> {
        let pipe = &mut self.pipes[*client];
        pipe.key = Some(key);
        pipe.edge.readable |= !pipe.arrived.is_empty() || pipe.end_arrived || pipe.reset;
        pipe.edge.writable = true;
        self.owners.borrow_mut().insert(key, *client);
        Ok(())
    }

    fn guard(&mut self, client: &mut usize, time: Duration) {
        self.pipes[*client].guarded = Some(time);
    }

    fn read(&mut self, client: &mut usize, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(
            !buffer.is_empty(),
            "a read without room cannot be told from the end of input"
        );
        self.interrupted()?;
        let short = self.rng.chance(self.faults.short_read);
        let pipe = &mut self.pipes[*client];
        assert!(!pipe.closed, "read from a closed connection");
        if pipe.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if pipe.arrived.is_empty() {
            return if pipe.end_arrived {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let mut n = buffer.len().min(pipe.arrived.len());
        if short && n > 1 {
            // The rest arrives right after this read, which is an edge.
            n = 1 + self.rng.index(n - 1);
            let pipe = &mut self.pipes[*client];
            pipe.edge.readable = true;
        }
        let pipe = &mut self.pipes[*client];
        for (to, byte) in buffer.iter_mut().zip(pipe.arrived.drain(..n)) {
            *to = byte;
        }
        Ok(n)
    }

    fn write(&mut self, client: &mut usize, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "a write of nothing");
        self.interrupted()?;
        let short = self.rng.chance(self.faults.short_write);
        let pipe = &mut self.pipes[*client];
        assert!(
            !pipe.closed && !pipe.shut,
            "written after the write side was shut"
        );
        if pipe.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut n = bytes.len().min(pipe.room - pipe.outbound.len());
        if n == 0 {
            pipe.wants_room = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if short {
            n = 1 + self.rng.index(n);
        }
        self.pipes[*client].outbound.extend(&bytes[..n]);
        Ok(n)
    }

    fn shut(&mut self, client: &mut usize) {
        self.events += 1;
        self.pipes[*client].shut = true;
    }

    fn close(&mut self, client: usize) {
        self.events += 1;
        let pipe = &mut self.pipes[client];
        assert!(!pipe.closed, "closed twice");
        pipe.closed = true;
        if let Some(key) = pipe.key {
            self.owners.borrow_mut().remove(&key);
        }
        if !pipe.arrived.is_empty() || !pipe.wire.is_empty() {
            // Input that nobody read turns the close into a reset, which destroys what the client
            // has not taken yet.
            pipe.outbound.clear();
            pipe.wire.clear();
        }
    }

    fn close_listener(&mut self, (): ()) {
        self.listening = false;
    }
}
