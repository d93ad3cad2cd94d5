//! The client of etcd over real sockets, and etcd itself as a process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use discovery_service::etcd::{
    Answer, Call, Cause, Change, Client, Config, LINKS, Member, Report, User, Write as Guarded,
};
use discovery_service::message::{LinkCommand, LinkEnd, LinkEvent};
use discovery_service::time::Moment;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{PATIENCE, Running, free_port, tool, wait_until};

/// The programs of the versions that are supported.
pub const VERSIONS: [&str; 2] = ["etcd-3.4", "etcd-3.5"];

/// One member of etcd, with its data in a folder of its own.
pub struct Etcd {
    program: &'static str,
    name: String,
    /// All members, with the addresses at which they reach each other.
    cluster: String,
    pub address: SocketAddr,
    peers: SocketAddr,
    running: Option<Running>,
    folder: TempDir,
}

impl Etcd {
    /// Starts this version. Without the program it says that the test is skipped.
    pub fn start(program: &'static str) -> Option<Self> {
        let [mut etcd] = Etcd::members(program)?;
        etcd.run();
        Some(etcd)
    }

    /// Starts a cluster of three members, and waits until it answers anybody.
    pub fn start_three(program: &'static str) -> Option<[Self; 3]> {
        let mut members = Etcd::members(program)?;
        for member in &mut members {
            member.run_with(&[]);
        }
        members.iter().for_each(Etcd::wait);
        Some(members)
    }

    /// Members of one cluster, which do not run.
    fn members<const COUNT: usize>(program: &'static str) -> Option<[Self; COUNT]> {
        tool(program)?;
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let peers: [SocketAddr; COUNT] = std::array::from_fn(|_| free());
        let all: Vec<String> = (0..)
            .zip(&peers)
            .map(|(number, peers)| format!("member{number}=http://{peers}"))
            .collect();
        Some(std::array::from_fn(|number| Etcd {
            program,
            name: format!("member{number}"),
            cluster: all.join(","),
            address: free(),
            peers: peers[number],
            running: None,
            folder: tempfile::tempdir().expect("a folder"),
        }))
    }

    /// Whether it leads its cluster.
    pub fn is_leader(&self) -> bool {
        let status = self.ask("/v3/maintenance/status", "{}");
        status["leader"] == status["header"]["member_id"]
    }

    /// How a client is to reach it.
    pub fn member(&self) -> Member {
        member(self.address)
    }

    /// Starts it with the data that it has, and waits until it answers anybody.
    pub fn run(&mut self) {
        self.run_with(&[]);
        self.wait();
    }

    /// Waits until it answers anybody.
    pub fn wait(&self) {
        wait_until("etcd has a leader", || {
            let answer = self.try_ask("/v3/kv/range", r#"{"key":"YQ=="}"#)?;
            answer.get("header").map(drop)
        });
    }

    /// Starts it with further arguments, and waits for nothing.
    pub fn run_with(&mut self, arguments: &[&str]) {
        let clients = format!("http://{}", self.address);
        let peers = format!("http://{}", self.peers);
        let mut command = tool(self.program).expect("it was there");
        command
            .args(["--log-level", "error", "--name", &self.name])
            .args(["--initial-cluster", &self.cluster, "--data-dir"])
            .arg(self.folder.path())
            .args([
                "--listen-client-urls",
                &clients,
                "--advertise-client-urls",
                &clients,
            ])
            .args([
                "--listen-peer-urls",
                &peers,
                "--initial-advertise-peer-urls",
                &peers,
            ])
            .args(arguments);
        self.running = Some(Running::spawn(command));
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Ends it and all its data.
    pub fn wipe(&mut self) -> TempDir {
        self.kill();
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }

    /// A copy of its data, which is made while it does not run.
    pub fn back_up(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a folder");
        let mut command = std::process::Command::new("cp");
        command
            .arg("-a")
            .arg(self.folder.path().join("."))
            .arg(copy.path());
        assert!(command.status().expect("it runs").success());
        copy
    }

    /// Ends it, and gives it other data.
    pub fn restore(&mut self, data: TempDir) {
        self.kill();
        self.folder = data;
    }

    pub fn process(&self) -> u32 {
        self.running.as_ref().expect("it runs").id()
    }

    /// What it answers to somebody else.
    pub fn ask(&self, path: &str, body: &str) -> Value {
        self.try_ask(path, body).expect("an answer")
    }

    /// What it answers to somebody else, if it answers.
    pub fn try_ask(&self, path: &str, body: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        let len = body.len();
        // HTTP/1.0, so that no answer comes in chunks.
        let head = format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {len}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }
}

/// How a client is to reach a member, or who stands in for it.
pub fn member(address: SocketAddr) -> Member {
    let host = address.to_string();
    Member { address, host }
}

/// A client with its sockets.
pub struct Driver {
    client: Client,
    links: [Option<TcpStream>; LINKS],
    begun: Instant,
    /// What it has reported and nobody has taken.
    pub reports: Vec<Report>,
}

impl Driver {
    /// A client for the keys that begin with `/d/`.
    pub fn new(etcd: &Etcd, user: Option<User>) -> Self {
        let config = Config {
            members: vec![etcd.member()],
            from: b"/d/".to_vec(),
            end: b"/d0".to_vec(),
            checked_key: b"/d/cluster".to_vec(),
            user,
        };
        Driver::of(config)
    }

    pub fn of(config: Config) -> Self {
        let mut draws = 0_u64;
        let random = move || {
            draws += 1;
            draws * 7_919
        };
        Driver {
            client: Client::new(config, Box::new(random)),
            links: Default::default(),
            begun: Instant::now(),
            reports: Vec::new(),
        }
    }

    /// One that has loaded what is there and watches.
    pub fn watching(etcd: &Etcd) -> Self {
        let mut driver = Driver::new(etcd, None);
        driver.wait_for(&Report::Watching);
        driver.reports.clear();
        driver
    }

    pub fn now(&self) -> Moment {
        Moment::from_millis(self.begun.elapsed().as_millis() as u64)
    }

    pub fn keep(&mut self, lease: i64, ttl: u64) {
        let now = self.now();
        self.client.keep(lease, ttl, now);
    }

    /// Drops the connections with all that has arrived on them.
    pub fn drop_unread(&mut self) {
        for link in 0..LINKS {
            if self.links[link].is_some() {
                self.end(link, LinkEnd::Ended);
            }
        }
    }

    /// Waits for this report.
    pub fn wait_for(&mut self, report: &Report) {
        self.wait(&format!("{report:?}"), |reports| {
            reports.contains(report).then_some(())
        });
    }

    /// Waits until the reports yield something. What comes meanwhile is kept.
    pub fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&[Report]) -> Option<T>) -> T {
        wait_until(what, || {
            self.turn();
            found(&self.reports)
        })
    }

    /// Waits until the client is away, and says why.
    pub fn wait_for_trouble(&mut self) -> Cause {
        self.wait("the client is away", |reports| {
            reports.iter().find_map(|report| match report {
                Report::Away(trouble) => Some(trouble.cause.clone()),
                _ => None,
            })
        })
    }

    /// Makes a call, whose answer is reported.
    pub fn begin_call(&mut self, call: Call) {
        let now = self.now();
        self.client.call(call, now);
    }

    /// Whether a call is under way.
    pub fn is_busy(&self) -> bool {
        self.client.is_busy()
    }

    pub fn let_go(&mut self, lease: i64) {
        self.client.let_go(lease);
    }

    /// The answer to this call.
    pub fn call(&mut self, call: Call) -> Answer {
        self.begin_call(call);
        self.wait("the call is answered", |reports| {
            reports.iter().rev().find_map(|report| match report {
                Report::Answered(answer) => Some(answer.clone()),
                _ => None,
            })
        });
        let is_answer = |report: &Report| matches!(report, Report::Answered(_));
        let at = self.reports.iter().rposition(is_answer).expect("it came");
        match self.reports.remove(at) {
            Report::Answered(answer) => answer,
            _ => unreachable!("it is an answer"),
        }
    }

    /// A lease of so many seconds.
    pub fn grant(&mut self, seconds: u64) -> i64 {
        match self.call(Call::Grant(seconds)) {
            Answer::Granted(lease, ttl) if ttl == seconds => lease,
            other => panic!("{other:?}"),
        }
    }

    /// Keys that were told as put and as removed, in their order.
    pub fn changes(&self) -> Vec<String> {
        use discovery_service::etcd::Event;
        let change = |report: &Report| match report {
            Report::Changed(Event::Put(pair)) => {
                let value = String::from_utf8_lossy(&pair.value);
                Some(format!("{}={value}", String::from_utf8_lossy(&pair.key)))
            }
            Report::Changed(Event::Delete(pair)) => {
                Some(format!("{} gone", String::from_utf8_lossy(&pair.key)))
            }
            _ => None,
        };
        self.reports.iter().filter_map(change).collect()
    }

    /// One turn: what is due, the commands, and what has arrived.
    pub fn turn(&mut self) {
        let now = self.now();
        if self.client.next_due().is_some_and(|due| due <= now) {
            self.client.look(now);
        }
        self.settle();
        let mut buffer = [0; 12 * 1024];
        for link in 0..LINKS {
            for _ in 0..8 {
                let Some(stream) = &mut self.links[link] else {
                    break;
                };
                match stream.read(&mut buffer) {
                    Ok(0) => self.end(link, LinkEnd::Ended),
                    Ok(n) => self.tell(link, LinkEvent::Received(&buffer[..n])),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) => self.end(link, LinkEnd::Failed(error)),
                }
                self.settle();
            }
        }
    }

    fn end(&mut self, link: usize, end: LinkEnd) {
        self.links[link] = None;
        self.tell(link, LinkEvent::Closed(end));
    }

    fn tell(&mut self, link: usize, event: LinkEvent<'_>) {
        let now = self.now();
        self.client.link_event(link, event, now);
    }

    fn settle(&mut self) {
        while let Some(command) = self.client.next_command() {
            match command {
                LinkCommand::Open {
                    link,
                    address,
                    within_ms,
                } => match TcpStream::connect_timeout(&address, Duration::from_millis(within_ms)) {
                    Ok(stream) => {
                        stream.set_nonblocking(true).expect("an option");
                        self.links[link] = Some(stream);
                        self.tell(link, LinkEvent::Opened);
                    }
                    Err(error) => self.end(link, LinkEnd::Failed(error)),
                },
                LinkCommand::Send { link, bytes } => {
                    if let Some(stream) = &mut self.links[link] {
                        stream.set_nonblocking(false).expect("an option");
                        // A failure is read next.
                        let _ = stream.write_all(&bytes);
                        stream.set_nonblocking(true).expect("an option");
                    }
                }
                LinkCommand::Close { link } => self.links[link] = None,
            }
        }
        self.reports
            .extend(std::iter::from_fn(|| self.client.next_report()));
    }
}

/// A put of this key.
pub fn put(key: &str, guard: u64, value: &str, lease: i64) -> Guarded {
    Guarded {
        key: key.as_bytes().to_vec(),
        guard,
        change: Change::Put {
            value: value.as_bytes().to_vec(),
            lease,
        },
    }
}

/// A removal of this key.
pub fn delete(key: &str, guard: u64) -> Guarded {
    Guarded {
        key: key.as_bytes().to_vec(),
        guard,
        change: Change::Delete,
    }
}
