//! Links: connects that fail, time out and break, and streams in pieces. The other end echoes all
//! that it receives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use discovery_service::engine::{Engine, Reading, Settings};
use discovery_service::limits::LINKS_MAX;
use discovery_service::message::{
    Change, LinkCommand, LinkEnd, LinkEvent, Outcome, Peer, Refusal, Reply, Request, Responder,
    Work,
};
use discovery_service::service::{Deliver, Handler, Turn};
use discovery_service::time::Moment;

use crate::net::{FakeNetwork, Fate, Faults, Owners};
use crate::rig::sockets;
use crate::rng::Rng;

/// Opens links, and checks their events.
#[derive(Default)]
struct Dialer {
    now: Moment,
    commands: Vec<LinkCommand>,
    links: BTreeMap<usize, Dialed>,
    work: Work,
    /// Counts of links by outcome.
    opened: u64,
    refused: u64,
    timed_out: u64,
    broken: u64,
    echoed: u64,
}

/// A link that was started and has not ended.
struct Dialed {
    until: Moment,
    is_open: bool,
    sent: Vec<u8>,
    /// Whether it was told that all of that is written.
    is_written: bool,
    received: Vec<u8>,
}

impl Handler for Dialer {
    fn work(&mut self) -> &mut Work {
        &mut self.work
    }

    fn begin_turn(&mut self, turn: Turn) {
        for dialed in self.links.values() {
            let late = !dialed.is_open && dialed.until <= self.now;
            assert!(!late, "a connect exceeds its time limit");
        }
        self.now = turn.now;
        self.work = Work::default();
    }

    fn next_link_command(&mut self) -> Option<LinkCommand> {
        let command = (!self.commands.is_empty()).then(|| self.commands.remove(0))?;
        match &command {
            LinkCommand::Open {
                link, within_ms, ..
            } => {
                let dialed = Dialed {
                    until: self.now.plus_millis(*within_ms),
                    is_open: false,
                    sent: Vec::new(),
                    is_written: true,
                    received: Vec::new(),
                };
                self.links.insert(*link, dialed);
            }
            LinkCommand::Close { link } => drop(self.links.remove(link)),
            LinkCommand::Send { .. } => {}
        }
        Some(command)
    }

    fn link_event(&mut self, link: usize, event: LinkEvent<'_>) {
        let dialed = self
            .links
            .get_mut(&link)
            .expect("the link was started and has not ended");
        match event {
            LinkEvent::Opened => {
                assert!(!dialed.is_open && self.now < dialed.until);
                dialed.is_open = true;
                self.opened += 1;
            }
            LinkEvent::Received(bytes) => {
                assert!(dialed.is_open && !bytes.is_empty());
                dialed.received.extend(bytes);
                assert!(
                    dialed.sent.starts_with(&dialed.received),
                    "bytes are mixed up"
                );
                self.echoed += bytes.len() as u64;
            }
            LinkEvent::Sent => {
                assert!(dialed.is_open && !dialed.sent.is_empty());
                dialed.is_written = true;
            }
            LinkEvent::Closed(end) => {
                let counted = match (end, dialed.is_open) {
                    (LinkEnd::TimedOut, false) => {
                        assert!(dialed.until <= self.now, "it timed out early");
                        &mut self.timed_out
                    }
                    (LinkEnd::Failed(_), false) => &mut self.refused,
                    (LinkEnd::Failed(_) | LinkEnd::Ended, true) => &mut self.broken,
                    (end, is_open) => panic!("unexpected end {end:?}, open: {is_open}"),
                };
                *counted += 1;
                self.links.remove(&link);
            }
        }
    }

    fn expire(&mut self, _: &mut Peer) -> Reply {
        Reply::NotFound
    }
    fn wants_part(&mut self, _: usize) {}
    fn wants_keepalive(&mut self, _: usize) {}
    fn leave(&mut self, _: &mut Peer) {}
    fn end_turn(&mut self, _: usize, _: &mut Deliver<'_>) {}
    fn changes(&self) -> &[Change] {
        &[]
    }
    fn has_backlog(&self) -> bool {
        !self.commands.is_empty()
    }
    fn needs_ticks(&self) -> bool {
        false
    }
}

impl Responder for Dialer {
    fn apply(&mut self, _: &Request<'_>, _: &mut Peer) -> Outcome {
        Outcome::Done(Reply::Pong)
    }
    fn refuse(&mut self, refusal: Refusal, _: &Peer) -> Reply {
        Reply::Refused(refusal)
    }
}

struct World {
    rng: Rng,
    net: FakeNetwork,
    engine: Engine<FakeNetwork, Dialer>,
    clock: Duration,
    wait: Option<Duration>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let faults = Faults::of_streams(&mut rng);
        let settings = Settings {
            connections_max: 10,
            idle_ms_max: None,
            tick: Duration::from_secs(1),
            ttl: Duration::from_secs(30),
        };
        let net = FakeNetwork::new(Rng::new(rng.next()), faults, Owners::default());
        World {
            rng,
            net,
            engine: Engine::new(settings, Dialer::default(), sockets(), Duration::ZERO),
            clock: Duration::ZERO,
            wait: Some(Duration::ZERO),
        }
    }

    fn step(&mut self) {
        let link = self.rng.index(LINKS_MAX);
        match self.rng.below(100) {
            0..8 => self.open(link),
            8..30 => self.send(link),
            30..32 => {
                let dialer = self.engine.handler_mut();
                dialer.commands.push(LinkCommand::Close { link });
            }
            32..60 => self.echo(),
            60..62 => self.break_one(),
            _ => {
                let passed = Duration::from_millis(self.rng.below(60));
                self.turn(passed);
            }
        }
    }

    fn open(&mut self, link: usize) {
        let fates = [
            Fate::Accepted,
            Fate::Accepted,
            Fate::RefusedAtOnce,
            Fate::Refused,
            Fate::Hangs,
        ];
        let fate = fates[self.rng.index(fates.len())];
        self.net.fates.push_back(fate);
        let address: SocketAddr = ([127, 0, 0, 1], 2379).into();
        let within_ms = self.rng.between(1, 500);
        self.engine.handler_mut().commands.push(LinkCommand::Open {
            link,
            address,
            within_ms,
        });
        // Fates apply in the order of opening.
        self.turn(Duration::ZERO);
    }

    fn send(&mut self, link: usize) {
        let bytes: Vec<u8> = (0..self.rng.between(1, 3_000))
            .map(|_| self.rng.next() as u8)
            .collect();
        let dialer = self.engine.handler_mut();
        if let Some(dialed) = dialer.links.get_mut(&link)
            && dialed.is_open
            && dialer.commands.is_empty()
        {
            dialed.sent.extend(&bytes);
            dialed.is_written = false;
            dialer.commands.push(LinkCommand::Send { link, bytes });
            self.turn(Duration::ZERO);
        }
    }

    /// The other ends echo all that has arrived.
    fn echo(&mut self) {
        for client in 0..self.net.pipes.len() {
            let bytes = self.net.take_all(client);
            self.net.send(client, &bytes);
            self.net.deliver(client, usize::MAX);
        }
    }

    fn break_one(&mut self) {
        if self.net.pipes.is_empty() {
            return;
        }
        let client = self.rng.index(self.net.pipes.len());
        if self.rng.chance(50) {
            self.net.reset(client);
        } else {
            self.net.pipes[client].client_ended = true;
            self.net.deliver(client, usize::MAX);
        }
    }

    fn turn(&mut self, passed: Duration) {
        self.clock += passed.min(self.wait.unwrap_or(passed));
        let reading = Reading {
            monotonic: self.clock,
            ..Reading::default()
        };
        let events = self.net.events();
        self.wait = self.engine.turn(&mut self.net, events, false, reading).wait;
    }

    /// Without faults, and driven only by the engine's deadlines, every link must end or receive the
    /// echo of all that was sent.
    fn calm_down(&mut self) {
        self.net.faults = Faults::default();
        for _ in 0..5_000 {
            self.echo();
            let rest = self.net.is_quiet() && self.wait != Some(Duration::ZERO);
            if rest && self.wait.is_none() {
                break;
            }
            self.turn(Duration::from_secs(1));
        }
        for (link, dialed) in &self.engine.handler().links {
            assert!(dialed.is_open, "link {link} is neither open nor ended");
            assert_eq!(dialed.received.len(), dialed.sent.len(), "link {link}");
            assert!(dialed.is_written, "link {link} was not told so");
        }
        assert_eq!(self.wait, None, "open links cost no turn");
    }
}

#[test]
fn links_open_fail_hang_and_break_and_each_is_told_once() {
    let (mut opened, mut refused, mut timed_out, mut broken, mut echoed) = (0, 0, 0, 0, 0);
    for seed in 0..200 {
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut world = World::new(seed);
            (0..600).for_each(|_| world.step());
            world.calm_down();
            let dialer = world.engine.handler();
            opened += dialer.opened;
            refused += dialer.refused;
            timed_out += dialer.timed_out;
            broken += dialer.broken;
            echoed += dialer.echoed;
        }));
        assert!(run.is_ok(), "seed {seed} failed");
    }
    // Each outcome must happen often, so that the checks above are meaningful.
    for count in [opened, refused, timed_out, broken, echoed] {
        assert!(
            count > 200,
            "{opened} {refused} {timed_out} {broken} {echoed}"
        );
    }
}

#[test]
fn a_turn_runs_a_bounded_number_of_commands_to_links_and_the_next_goes_on() {
    let mut world = World::new(1);
    let mut left = 1_000;
    world.engine.handler_mut().commands = vec![LinkCommand::Close { link: 0 }; left];
    while left > 0 {
        world.turn(Duration::ZERO);
        let before = std::mem::replace(&mut left, world.engine.handler().commands.len());
        assert!((1..=300).contains(&(before - left)), "{before} to {left}");
        assert!(left == 0 || world.wait == Some(Duration::ZERO));
    }
}
