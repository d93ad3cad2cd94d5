//! A client of etcd that is given any bytes as answers.

use discovery_service::etcd::{Client, Config, LINKS, Member};
use discovery_service::message::{LinkCommand, LinkEvent};
use discovery_service::time::Moment;

/// Bytes of memory that a client may hold of answers: of each of its links a head, an element and
/// what is around it, in buffers that have doubled.
const MEMORY_LEN_MAX: usize = LINKS * 2 * (8 + 16 + 16) * 1024;

/// What the client makes of its answers: its commands and its reports, as text.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    commands: Vec<String>,
    pub reports: Vec<String>,
}

/// Gives a client the answers in each segment, in these pieces: to its calls, its watch, its
/// leases, and again. A second passes behind each, and connections are opened at once.
pub fn heard(segments: &[Vec<&[u8]>]) -> Heard {
    let mut rig = Rig::new();
    for (segment, link) in segments.iter().zip([1, 0, 2].into_iter().cycle()) {
        for piece in segment {
            rig.receive(link, piece);
        }
        rig.pass();
    }
    rig.heard
}

struct Rig {
    client: Client,
    now: Moment,
    opening: [bool; LINKS],
    is_open: [bool; LINKS],
    heard: Heard,
}

impl Rig {
    fn new() -> Self {
        let config = Config {
            members: vec![Member {
                address: ([127, 0, 0, 1], 2379).into(),
                host: "localhost".to_owned(),
            }],
            from: b"/d/".to_vec(),
            end: b"/d0".to_vec(),
            checked_key: b"/d/cluster".to_vec(),
            user: None,
        };
        let mut rig = Rig {
            client: Client::new(config, Box::new(|| 0)),
            now: Moment::START,
            opening: [false; LINKS],
            is_open: [false; LINKS],
            heard: Heard::default(),
        };
        rig.client.keep(7, 0, rig.now);
        rig.pass();
        rig
    }

    fn receive(&mut self, link: usize, bytes: &[u8]) {
        if self.is_open[link] && !bytes.is_empty() {
            let event = LinkEvent::Received(bytes);
            self.client.link_event(link, event, self.now);
            self.settle();
        }
        let held = self.client.memory_len();
        assert!(held <= MEMORY_LEN_MAX, "{held} bytes are held");
    }

    /// Opens what is to be opened, and lets a second pass.
    fn pass(&mut self) {
        self.open();
        self.now = self.now.plus_millis(1_000);
        self.client.look(self.now);
        self.settle();
        self.open();
    }

    fn open(&mut self) {
        for link in 0..LINKS {
            if std::mem::take(&mut self.opening[link]) {
                self.is_open[link] = true;
                self.client.link_event(link, LinkEvent::Opened, self.now);
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(command) = self.client.next_command() {
            match command {
                LinkCommand::Open { link, .. } => {
                    self.is_open[link] = false;
                    self.opening[link] = true;
                }
                LinkCommand::Close { link } => {
                    self.is_open[link] = false;
                    self.opening[link] = false;
                }
                LinkCommand::Send { .. } => {}
            }
            self.heard.commands.push(format!("{command:?}"));
        }
        while let Some(report) = self.client.next_report() {
            self.heard.reports.push(format!("{report:?}"));
        }
    }
}
