//! A network of queues. Its readiness is strictly edge-triggered: it reports an event only when
//! something becomes possible that was not possible before. The seed adds spurious events.
//!
//! Written bytes wait in a bounded send buffer until the client's host has room for them, which is when it
//! acknowledges them. A host with a full window acknowledges probes and no bytes; a dark host acknowledges
//! nothing. What TCP does about that follows from the options that the engine has asked for: see
//! [`Pipe::given_up_at`].

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use discovery_service::engine::{Event, Network, Readiness, Unacknowledged};
use discovery_service::limits::{
    KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, UNACKNOWLEDGED_TIME_MAX,
};

use crate::rng::Rng;

/// The probability of each fault, in percent of the calls that can have it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub short_read: u64,
    pub short_write: u64,
    pub interrupted: u64,
    pub false_event: u64,
    pub doubled_event: u64,
    pub accept_error: u64,
    pub datagram_lost: u64,
    pub datagram_doubled: u64,
    pub datagram_late: u64,
    pub datagram_full: u64,
}

/// The weight of something that is off in half of the seeds, so that all else also occurs without it:
/// 0, or a number from 1 to `max`.
pub fn weight(rng: &mut Rng, max: u64) -> u64 {
    if rng.chance(50) {
        0
    } else {
        rng.between(1, max)
    }
}

impl Faults {
    /// Faults of streams, with weights from the seed; none of the others.
    pub fn of_streams(rng: &mut Rng) -> Self {
        Faults {
            short_read: weight(rng, 60),
            short_write: weight(rng, 60),
            interrupted: weight(rng, 30),
            false_event: weight(rng, 30),
            doubled_event: weight(rng, 50),
            ..Faults::default()
        }
    }
}

/// One connection: the bytes under way in both directions, and the state of each side.
#[derive(Debug, Default)]
pub struct Pipe {
    pub key: Option<usize>,
    /// The number of the link, if the service has opened it.
    pub link: Option<usize>,
    /// Sent by the client, not yet arrived.
    wire: VecDeque<u8>,
    /// Arrived, not yet read by the service.
    arrived: VecDeque<u8>,
    pub client_ended: bool,
    end_arrived: bool,
    pub reset: bool,
    /// Written by the service, not yet acknowledged by the client's host.
    unacknowledged: VecDeque<u8>,
    /// Bytes of them that the kernel keeps.
    pub room: usize,
    /// Acknowledged by the client's host, not yet taken by the client.
    outbound: VecDeque<u8>,
    /// Bytes of them that its kernel keeps.
    pub window: usize,
    /// When the client's host last acknowledged anything.
    heard_at: Duration,
    /// When it last acknowledged bytes, or bytes began to wait for that.
    progress_at: Duration,
    /// When a probe of its closed window was sent that is under way.
    probed_at: Option<Duration>,
    /// The service got `WouldBlock` from a write.
    wants_room: bool,
    pub shut: bool,
    pub closed: bool,
    /// The service has reset the connection.
    pub cut_off: bool,
    /// The bytes that the client has taken.
    pub received: Vec<u8>,
    edge: Readiness,
    /// When the client's host has lost its power: it sends nothing more.
    pub dark_since: Option<Duration>,
    /// The fate of a link.
    fate: Option<Fate>,
    /// The time within which the service must notice that, for one that it has promised to.
    pub guarded: Option<Duration>,
    /// When it promised that.
    pub guarded_since: Duration,
    /// The service was told that the connection has failed.
    pub has_failed: bool,
}

/// How long an acknowledgement is under way.
const ROUND_TRIP: Duration = Duration::from_millis(200);
/// The longest time between two probes of a closed window, without an option that says otherwise.
const PROBES_APART_MAX: Duration = Duration::from_secs(120);
/// How long TCP sends bytes again before it gives up by itself.
const RETRANSMISSIONS: Duration = Duration::from_secs(924);

/// The fate of a connection that the service opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Accepted,
    RefusedAtOnce,
    Refused,
    Hangs,
}

/// Datagrams under way in both directions.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// Sent by clients, not yet arrived.
    wire: Vec<(SocketAddr, Vec<u8>)>,
    /// Arrived, not yet received.
    arrived: VecDeque<(SocketAddr, Vec<u8>)>,
    edge: bool,
    /// The datagrams that the service has sent; `None` where there was no room.
    pub answers: Vec<(SocketAddr, Option<Vec<u8>>)>,
}

impl Pipe {
    pub fn is_going_dark(&self) -> bool {
        self.dark_since.is_some()
    }

    /// Whether nobody can say what its client must have received.
    pub fn is_lost(&self) -> bool {
        self.reset || self.key.is_none() || self.is_going_dark()
    }

    /// Whether its client is still told what changes.
    pub fn is_told(&self) -> bool {
        !(self.reset || self.closed || self.shut || self.client_ended || self.is_going_dark())
    }

    /// Moves bytes to the client's host as far as it has room, which acknowledges them.
    fn carry(&mut self, now: Duration) {
        let room = self.window.saturating_sub(self.outbound.len());
        let n = room.min(self.unacknowledged.len());
        if n == 0 || self.is_going_dark() {
            return;
        }
        self.outbound.extend(self.unacknowledged.drain(..n));
        (self.heard_at, self.progress_at) = (now, now);
        self.probed_at = None;
        if std::mem::take(&mut self.wants_room) {
            self.edge.writable = true;
        }
    }

    /// Bytes that its host has not acknowledged.
    pub fn unsent(&self) -> usize {
        self.unacknowledged.len()
    }

    /// The longest time between two probes of its closed window.
    fn probes_apart(&self) -> Duration {
        let least = Duration::from_secs(1);
        self.guarded
            .map_or(PROBES_APART_MAX, |time| (time / 8).max(least))
    }

    /// When TCP gives the connection up, unless something is acknowledged until then: a host that answers
    /// no keepalive probe, or bytes that have waited too long. In whole seconds, as the kernel counts.
    fn given_up_at(&self) -> Option<Duration> {
        let second = Duration::from_secs(1);
        if self.reset {
            return None;
        }
        if self.unacknowledged.is_empty() {
            let probed_for = match self.guarded {
                None => KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL,
                Some(time) => {
                    let whole = |time: Duration| Duration::from_secs(time.as_secs()).max(second);
                    let (idle, interval) = (whole(time / 3), whole(time / 8));
                    let probes = time.saturating_sub(idle).as_secs() / interval.as_secs();
                    idle + interval * probes.clamp(1, 3) as u32
                }
            };
            self.dark_since.map(|_| self.heard_at + probed_for)
        } else if self.guarded.is_none() {
            Some(self.progress_at + UNACKNOWLEDGED_TIME_MAX)
        } else {
            self.dark_since.map(|_| self.heard_at + RETRANSMISSIONS)
        }
    }

    /// Bytes that have arrived and that the service has not read yet.
    pub fn unread_len(&self) -> usize {
        self.arrived.len()
    }
}

/// Which client a connection of the service belongs to, by the connection's key.
pub type Owners = Rc<RefCell<BTreeMap<usize, usize>>>;

pub struct FakeNetwork {
    pub rng: Rng,
    pub faults: Faults,
    /// By client number, which also stands for the stream.
    pub pipes: Vec<Pipe>,
    /// The fates of the connections that the service opens next.
    pub fates: VecDeque<Fate>,
    pub datagrams: Datagrams,
    now: Duration,
    backlog: VecDeque<usize>,
    accept_edge: bool,
    /// How many calls to accept still fail because the process is out of descriptors.
    pub descriptors_out: u64,
    /// The errors of the next calls to accept.
    pub accept_errors: VecDeque<io::ErrorKind>,
    /// Where the connections that are accepted next come from, and what they have connected to.
    pub addresses: (IpAddr, IpAddr),
    /// Calls to accept.
    pub accepts: u64,
    pub listening: bool,
    /// Bytes that one write takes at most.
    pub write_len_max: usize,
    pub owners: Owners,
    /// Calls and deliveries, to measure the speed of the simulation.
    pub events: u64,
}

impl FakeNetwork {
    pub fn new(rng: Rng, faults: Faults, owners: Owners) -> Self {
        FakeNetwork {
            rng,
            faults,
            pipes: Vec::new(),
            fates: VecDeque::new(),
            datagrams: Datagrams::default(),
            now: Duration::ZERO,
            backlog: VecDeque::new(),
            accept_edge: false,
            descriptors_out: 0,
            accept_errors: VecDeque::new(),
            addresses: (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()),
            accepts: 0,
            listening: true,
            write_len_max: usize::MAX,
            owners,
            events: 0,
        }
    }

    /// A new connection, with buffers of any size.
    fn pipe(&mut self) -> Pipe {
        Pipe {
            room: self.rng.between(1, 4096) as usize,
            window: self.rng.between(1, 4096) as usize,
            heard_at: self.now,
            ..Pipe::default()
        }
    }

    /// Time goes on: TCP ends the connections that it gives up.
    pub fn advance(&mut self, now: Duration) {
        self.now = now;
        for client in 0..self.pipes.len() {
            if self.pipes[client].given_up_at().is_some_and(|at| at <= now) {
                self.reset(client);
            }
        }
    }

    /// When TCP gives up the next connection.
    pub fn next_end(&self) -> Option<Duration> {
        let open = self.pipes.iter().filter(|pipe| !pipe.closed);
        open.filter_map(Pipe::given_up_at).min()
    }

    /// A new client that connects. Returns its number.
    pub fn connect(&mut self) -> usize {
        let client = self.pipes.len();
        let pipe = self.pipe();
        self.pipes.push(pipe);
        self.accept_edge |= self.backlog.is_empty();
        self.backlog.push_back(client);
        client
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.pipes[client].wire.extend(bytes);
    }

    /// Lets up to `n` of the client's bytes arrive, and then the end of its input.
    pub fn deliver(&mut self, client: usize, n: usize) {
        self.events += 1;
        let pipe = &mut self.pipes[client];
        if pipe.reset || pipe.closed || pipe.is_going_dark() {
            pipe.wire.clear();
            return;
        }
        let n = n.min(pipe.wire.len());
        if n > 0 {
            pipe.heard_at = self.now;
        }
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
        if pipe.is_going_dark() {
            return;
        }
        let mut left = n;
        while left > 0 && !pipe.outbound.is_empty() {
            let n = left.min(pipe.outbound.len());
            pipe.received.extend(pipe.outbound.drain(..n));
            pipe.carry(self.now);
            left -= n;
        }
    }

    /// Takes all bytes that have arrived from the service.
    pub fn take_all(&mut self, client: usize) -> Vec<u8> {
        self.take(client, usize::MAX);
        std::mem::take(&mut self.pipes[client].received)
    }

    /// The client's host loses its power.
    pub fn go_dark(&mut self, client: usize) {
        let pipe = &mut self.pipes[client];
        if !pipe.is_going_dark() {
            pipe.dark_since = Some(self.now);
            // The last probe, or bytes, may have been acknowledged just before.
            let ago = self
                .rng
                .below(1 + pipe.probes_apart().as_millis() as u64 / 8);
            let heard_at = self.now.saturating_sub(Duration::from_millis(ago));
            pipe.heard_at = pipe.heard_at.max(heard_at);
        }
    }

    /// The client's connection breaks: bytes under way are lost.
    pub fn reset(&mut self, client: usize) {
        self.events += 1;
        let pipe = &mut self.pipes[client];
        pipe.reset = true;
        pipe.wire.clear();
        pipe.arrived.clear();
        pipe.unacknowledged.clear();
        pipe.outbound.clear();
        pipe.edge = Readiness {
            readable: true,
            writable: true,
            ended: true,
        };
    }

    /// A client sends a datagram.
    pub fn send_datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.datagrams.wire.push((from, bytes.to_vec()));
    }

    /// Lets the datagrams arrive: some are lost, some come twice, some stay under way, in any order.
    pub fn deliver_datagrams(&mut self) {
        let (rng, faults) = (&mut self.rng, &self.faults);
        let Datagrams {
            wire,
            arrived,
            edge,
            ..
        } = &mut self.datagrams;
        for i in (1..wire.len()).rev() {
            if rng.chance(faults.datagram_late) {
                wire.swap(i, rng.index(i + 1));
            }
        }
        let mut late = Vec::new();
        for datagram in wire.drain(..) {
            self.events += 1;
            if rng.chance(faults.datagram_late) {
                late.push(datagram);
                continue;
            }
            if rng.chance(faults.datagram_lost) {
                continue;
            }
            *edge |= arrived.is_empty();
            if rng.chance(faults.datagram_doubled) {
                arrived.push_back(datagram.clone());
            }
            arrived.push_back(datagram);
        }
        *wire = late;
    }

    /// Whether something is under way that needs neither a fault nor the clock to arrive.
    pub fn is_quiet(&self) -> bool {
        self.backlog.is_empty()
            && !self.accept_edge
            && self.datagrams.wire.is_empty()
            && self.datagrams.arrived.is_empty()
            && self.pipes.iter().all(|pipe| {
                (pipe.wire.is_empty() || pipe.closed || pipe.reset || pipe.is_going_dark())
                    && (pipe.outbound.is_empty() || pipe.is_going_dark())
                    && (pipe.edge == Readiness::default()
                        || pipe.closed
                        || (pipe.key.is_none() && pipe.link.is_none()))
            })
    }

    /// Whether clients wait to be accepted.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The listener is closed: clients that were not accepted see a reset.
    pub fn reset_backlog(&mut self) {
        self.backlog.clear();
    }

    /// The events since the last call, with the spurious ones of the seed.
    pub fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if std::mem::take(&mut self.accept_edge) || self.rng.chance(self.faults.false_event) {
            events.push(Event::Accept(0));
        }
        if std::mem::take(&mut self.datagrams.edge) || self.rng.chance(self.faults.false_event) {
            events.push(Event::Datagram(0));
        }
        for pipe in &mut self.pipes {
            if pipe.closed || (pipe.key, pipe.link) == (None, None) {
                continue;
            }
            let edge = std::mem::take(&mut pipe.edge);
            if edge != Readiness::default() {
                let link = |link| Event::Link(link, edge);
                let session = |key| Event::Session(key, edge);
                events.extend(pipe.link.map(link).or(pipe.key.map(session)));
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
        if self.rng.chance(self.faults.false_event) {
            let any = Readiness {
                readable: true,
                writable: true,
                ended: false,
            };
            events.push(Event::Link(self.rng.index(4), any));
        }
        // The kernel guarantees no order of events, so shuffle them.
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
    type Datagram = ();

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
        Ok((client, (self.addresses.0, port).into()))
    }

    fn local_ip(&self, _: &usize) -> Option<IpAddr> {
        Some(self.addresses.1)
    }

    fn watch(&mut self, client: &mut usize, key: usize) -> io::Result<()> {
        let pipe = &mut self.pipes[*client];
        pipe.key = Some(key);
        pipe.edge.readable |= !pipe.arrived.is_empty() || pipe.end_arrived || pipe.reset;
        pipe.edge.writable = true;
        self.owners.borrow_mut().insert(key, *client);
        Ok(())
    }

    fn connect(&mut self, _: SocketAddr, link: usize) -> io::Result<usize> {
        self.events += 1;
        let fate = self.fates.pop_front().unwrap_or(Fate::Accepted);
        if fate == Fate::RefusedAtOnce {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let client = self.pipes.len();
        let mut pipe = Pipe {
            link: Some(link),
            fate: Some(fate),
            ..self.pipe()
        };
        pipe.edge.writable = fate != Fate::Hangs;
        pipe.edge.ended = fate == Fate::Refused;
        self.pipes.push(pipe);
        Ok(client)
    }

    fn connected(&mut self, client: &mut usize) -> io::Result<bool> {
        self.events += 1;
        match self.pipes[*client].fate {
            Some(Fate::Accepted) => Ok(true),
            Some(Fate::Hangs) => Ok(false),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn guard(&mut self, client: &mut usize, time: Duration) {
        let pipe = &mut self.pipes[*client];
        (pipe.guarded, pipe.guarded_since) = (Some(time), self.now);
    }

    fn release(&mut self, client: &mut usize) {
        self.pipes[*client].guarded = None;
    }

    fn unacknowledged(&mut self, client: &mut usize) -> Option<Unacknowledged> {
        let now = self.now;
        let pipe = &mut self.pipes[*client];
        if pipe.unacknowledged.is_empty() || pipe.reset {
            return None;
        }
        let closed = pipe.outbound.len() >= pipe.window;
        if pipe.is_going_dark() {
            let silent_for = now - pipe.heard_at;
            return Some(Unacknowledged {
                silent_for,
                // A closed window is probed now and then.
                unanswered: !closed || silent_for >= pipe.probes_apart(),
            });
        }
        if let Some(at) = pipe.probed_at
            && at + ROUND_TRIP <= now
        {
            (pipe.heard_at, pipe.probed_at) = (at + ROUND_TRIP, None);
        }
        pipe.heard_at = pipe.heard_at.max(now.saturating_sub(PROBES_APART_MAX));
        // A probe may be under way that will be acknowledged, after any silence.
        if pipe.probed_at.is_none() && self.rng.chance(30) {
            pipe.probed_at = Some(now);
        }
        Some(Unacknowledged {
            silent_for: now - pipe.heard_at,
            unanswered: pipe.probed_at.is_some(),
        })
    }

    fn read(&mut self, client: &mut usize, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(
            !buffer.is_empty(),
            "a read into an empty buffer looks like the end of input"
        );
        self.interrupted()?;
        let short = self.rng.chance(self.faults.short_read);
        let pipe = &mut self.pipes[*client];
        assert!(!pipe.closed, "read from a closed connection");
        if pipe.reset {
            pipe.has_failed = true;
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
        assert!(!bytes.is_empty(), "an empty write");
        self.interrupted()?;
        let short = self.rng.chance(self.faults.short_write);
        let pipe = &mut self.pipes[*client];
        assert!(
            !pipe.closed && !pipe.shut,
            "written after the write side was shut down"
        );
        if pipe.reset {
            pipe.has_failed = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = pipe.room.saturating_sub(pipe.unacknowledged.len());
        let mut n = bytes.len().min(room).min(self.write_len_max);
        if n == 0 {
            pipe.wants_room = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if short {
            n = 1 + self.rng.index(n);
        }
        let pipe = &mut self.pipes[*client];
        if pipe.unacknowledged.is_empty() {
            pipe.progress_at = self.now;
        }
        pipe.unacknowledged.extend(&bytes[..n]);
        pipe.carry(self.now);
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
            // Unread input turns the close into a reset, which destroys the bytes that the client
            // has not taken yet.
            pipe.unacknowledged.clear();
            pipe.outbound.clear();
            pipe.wire.clear();
        }
        assert!(
            pipe.guarded.is_none() || pipe.unacknowledged.is_empty(),
            "the kernel keeps what was written without a limit"
        );
    }

    fn reset(&mut self, client: usize) {
        let pipe = &mut self.pipes[client];
        pipe.unacknowledged.clear();
        pipe.outbound.clear();
        pipe.cut_off = true;
        self.close(client);
    }

    fn close_listener(&mut self, (): ()) {
        self.listening = false;
    }

    fn receive(&mut self, (): &mut (), buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.events += 1;
        let Some((from, bytes)) = self.datagrams.arrived.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok((len, from))
    }

    fn send(&mut self, (): &mut (), bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.events += 1;
        assert!(!bytes.is_empty(), "an empty answer");
        if self.rng.chance(self.faults.datagram_full) {
            self.datagrams.answers.push((to, None));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.datagrams.answers.push((to, Some(bytes.to_vec())));
        Ok(())
    }

    fn close_datagram(&mut self, (): ()) {}
}
