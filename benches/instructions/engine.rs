//! The whole path in one process: bytes of commands in, bytes of replies out, through the engine,
//! on a network that hands over a buffer. All that this bench uses of the library is here.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use discovery_service::engine::{
    Engine, Event, Network, Readiness, Reading, Settings, Sockets, Unacknowledged,
};
use discovery_service::registry::{KeyedHash, Registry};
use discovery_service::service::Service;
use discovery_service::wire::Protocol;
use uuid::Builder;

use crate::callgrind;
use crate::work::{self, KEYS, Row};

/// Set for a child of this bench: the number of a row and how many commands it runs.
const CHILD: &str = "INSTRUCTIONS_CHILD";
/// Bytes that the network copies at once. The C library copies more with `rep movsb`, which
/// callgrind counts once for each byte; with real sockets the kernel copies, and is not counted.
const PIECE: usize = 1024;
const TTL: Duration = Duration::from_secs(86_400);

/// Instructions of a process that fills an engine and runs `commands` commands.
pub(crate) fn total(row: Row, commands: usize) -> u64 {
    let this = std::env::current_exe().expect("this bench is a file");
    let (mut command, counts) = callgrind::command(&this);
    let number = work::ROWS.iter().position(|&other| other == row);
    let number = number.expect("a row of the table");
    let status = command.env(CHILD, format!("{number} {commands}")).status();
    assert!(
        status.expect("valgrind starts").success(),
        "{row} under callgrind failed"
    );
    counts.total()
}

/// Does what the environment asks of a child of this bench; `false` when it asks nothing.
pub(crate) fn run_as_child() -> bool {
    let Ok(asked) = std::env::var(CHILD) else {
        return false;
    };
    let mut numbers = asked
        .split(' ')
        .map(|word| word.parse().expect("a number of this bench"));
    let mut next = || -> usize { numbers.next().expect("two numbers") };
    let row = work::ROWS[next()];
    run(row, next());
    true
}

/// Fills an engine and runs `commands` commands through it.
pub(crate) fn run(row: Row, commands: usize) {
    let mut driver = Driver::new();
    let mut uuids = Vec::with_capacity(KEYS);
    for start in (0..KEYS).step_by(100) {
        let commands: String = (start..start + 100).map(work::register).collect();
        uuids.extend(work::uuids(driver.exchange(commands.into_bytes())));
    }
    if row.is_http() {
        driver.connect();
    }
    // Both counts prepare as many, so that the difference has only what is run.
    let mut batches = row.batches(2 * row.commands(), &uuids);
    batches.truncate(commands / row.in_flight);
    for batch in batches {
        row.check(driver.exchange(batch));
    }
}

/// An engine, and its latest connection.
struct Driver {
    engine: Engine<Buffers, Service>,
    network: Buffers,
    session: usize,
    now: Duration,
}

impl Driver {
    fn new() -> Self {
        let settings = Settings {
            connections_max: 100,
            idle_ms_max: Some(300_000),
            tick: Duration::from_secs(1),
            ttl: TTL,
        };
        // No randomness: what is counted twice must count the same.
        let mut last = 0_u128;
        let uuids = Box::new(move || {
            last = last.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            Builder::from_random_bytes(last.to_be_bytes()).into_uuid()
        });
        let registry = Registry::new(1_000_000, KeyedHash::new(0x5eed));
        let service = Service::new(registry, uuids, TTL);
        let sockets = Sockets {
            listeners: vec![((), Protocol::RegistryAndHttp(Rc::default()))],
            datagrams: Vec::new(),
        };
        let mut driver = Driver {
            engine: Engine::new(settings, service, sockets, Duration::ZERO),
            network: Buffers::default(),
            session: 0,
            now: Duration::ZERO,
        };
        driver.turn(Event::Accept(0));
        driver
    }

    /// Opens a further connection, which is used from now on.
    fn connect(&mut self) {
        self.network.accepted = false;
        self.session += 1;
        self.turn(Event::Accept(0));
    }

    /// One turn; `true` when the next one need not wait.
    fn turn(&mut self, event: Event) -> bool {
        self.now += Duration::from_micros(100);
        let reading = Reading {
            monotonic: self.now,
            ..Reading::default()
        };
        let turned = self.engine.turn(&mut self.network, [event], false, reading);
        turned.wait == Some(Duration::ZERO)
    }

    /// Sends commands and returns their replies.
    fn exchange(&mut self, commands: Vec<u8>) -> &[u8] {
        self.network.input = commands;
        self.network.read = 0;
        self.network.output.clear();
        let readiness = Readiness {
            readable: true,
            writable: false,
            ended: false,
        };
        let event = Event::Session(self.session, readiness);
        while self.turn(event) {}
        &self.network.output
    }
}

/// A network of one connection at a time, which takes and gives all at once.
#[derive(Default)]
struct Buffers {
    accepted: bool,
    input: Vec<u8>,
    /// Bytes of the input that are read.
    read: usize,
    output: Vec<u8>,
}

impl Network for Buffers {
    type Listener = ();
    type Stream = ();
    type Datagram = ();

    fn accept(&mut self, (): &mut ()) -> io::Result<((), SocketAddr)> {
        if std::mem::replace(&mut self.accepted, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(((), (Ipv4Addr::LOCALHOST, 1).into()))
    }

    fn local_ip(&self, (): &()) -> Option<IpAddr> {
        Some(Ipv4Addr::LOCALHOST.into())
    }

    fn watch(&mut self, (): &mut (), _key: usize) -> io::Result<()> {
        Ok(())
    }

    fn guard(&mut self, (): &mut (), _time: Duration) {}

    fn release(&mut self, (): &mut ()) {}

    fn unacknowledged(&mut self, (): &mut ()) -> Option<Unacknowledged> {
        None
    }

    fn read(&mut self, (): &mut (), buffer: &mut [u8]) -> io::Result<usize> {
        let left = &self.input[self.read..];
        if left.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = left.len().min(buffer.len());
        for (to, from) in buffer.chunks_mut(PIECE).zip(left.chunks(PIECE)) {
            let len = to.len().min(from.len());
            to[..len].copy_from_slice(&from[..len]);
        }
        self.read += len;
        Ok(len)
    }

    fn write(&mut self, (): &mut (), bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(PIECE) {
            self.output.extend_from_slice(piece);
        }
        Ok(bytes.len())
    }

    fn shut(&mut self, (): &mut ()) {}

    fn close(&mut self, (): ()) {}

    fn reset(&mut self, (): ()) {}

    fn close_listener(&mut self, (): ()) {}

    fn connect(&mut self, _: SocketAddr, _: usize) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn connected(&mut self, (): &mut ()) -> io::Result<bool> {
        Err(ErrorKind::Unsupported.into())
    }

    fn receive(&mut self, (): &mut (), _: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, (): &mut (), _: &[u8], _: SocketAddr) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn close_datagram(&mut self, (): ()) {}
}
