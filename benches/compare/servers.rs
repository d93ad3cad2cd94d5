//! The servers that are compared, each a process of its own on the first core.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a request does; of Redis, the command that comes nearest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Heartbeat,
    Query,
    Register,
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Discovery,
    Redis,
    Floor(&'static str),
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Discovery, Kind::Floor("echo"), Kind::Redis];

    /// The server, and its command for this verb.
    pub(crate) fn name(self, verb: Verb) -> &'static str {
        match (self, verb) {
            (Kind::Discovery, _) => "discovery",
            (Kind::Floor(_), _) => "floor: mio echo",
            (Kind::Redis, Verb::Heartbeat) => "Redis EXPIRE",
            (Kind::Redis, Verb::Query) => "Redis SMEMBERS",
            (Kind::Redis, Verb::Register) => "Redis SET EX",
        }
    }
}

/// The requests of a load: whole messages to send in turn, and how many lines a reply has.
pub(crate) struct Requests {
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) lines: usize,
}

pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    child: Child,
    keys: Vec<String>,
}

impl Server {
    /// Starts a server with `keys` registrations; `None` when it is not installed.
    pub(crate) fn start(kind: Kind, keys: usize) -> Option<Server> {
        let mut server = Self::announced(kind)?;
        server.wait_until_it_accepts();
        server.fill(keys);
        Some(server)
    }

    /// Starts a server and returns once it has said where it listens, if it says so.
    pub(crate) fn announced(kind: Kind) -> Option<Server> {
        let (child, address) = match kind {
            // The registrations must outlive the run.
            Kind::Discovery => return Some(Self::with_arguments(&["--ttl", "86400"])),
            Kind::Floor(name) => {
                let this = std::env::current_exe().expect("this bench is a file");
                let mut command = pinned(this.to_str().expect("a path in UTF-8"));
                command.env("COMPARE_FLOOR", name);
                announced(command)
            }
            Kind::Redis => redis()?,
        };
        Some(Server {
            kind,
            address,
            child,
            keys: Vec::new(),
        })
    }

    /// The service with these arguments.
    pub(crate) fn with_arguments(args: &[&str]) -> Server {
        let mut command = pinned(env!("CARGO_BIN_EXE_discovery"));
        command
            .args(["--listen", "127.0.0.1:0", "--max-services", "100000000"])
            .args(args);
        let (child, address) = announced(command);
        Server {
            kind: Kind::Discovery,
            address,
            child,
            keys: Vec::new(),
        }
    }

    /// Voluntary context switches since its start: how often it has waited.
    pub(crate) fn wake_ups(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    }

    pub(crate) fn requests(&self, verb: Verb) -> Requests {
        let register =
            |i: usize| format!("register hive-{} 10.0.0.1 {}\n", i % 1000, i % 65_535 + 1);
        let lines = if (self.kind, verb) == (Kind::Redis, Verb::Query) {
            21
        } else {
            1
        };
        let message = |i: usize| match (self.kind, verb) {
            (Kind::Redis, Verb::Heartbeat) => {
                resp(&["EXPIRE", &self.keys[i % self.keys.len()], "86400"])
            }
            (Kind::Redis, Verb::Query) => resp(&["SMEMBERS", &format!("hive-{}", i % 1000)]),
            (Kind::Redis, Verb::Register) => resp(&[
                "SET",
                &format!("{i:08}-2a11-463a-be8e-6b2beca7bfe6"),
                "10.0.0.1:65433",
                "EX",
                "86400",
            ]),
            (Kind::Discovery, Verb::Heartbeat) => {
                format!("heartbeat {}\n", self.keys[i % self.keys.len()]).into_bytes()
            }
            (Kind::Floor(_), Verb::Heartbeat) => {
                format!("heartbeat {i:08}-2a11-463a-be8e-6b2beca7bfe6\n").into_bytes()
            }
            (_, Verb::Query) => format!("query hive-{}\n", i % 1000).into_bytes(),
            (_, Verb::Register) => register(i).into_bytes(),
        };
        // A stride that is prime to the number of keys, so that neighbours in memory do not follow
        // each other. A registration must be a new one, in Redis too.
        let count = if verb == Verb::Register {
            500_000
        } else {
            self.keys.len().max(10_000)
        };
        Requests {
            messages: (0..count)
                .map(|i| message(i.wrapping_mul(7919) % count))
                .collect(),
            lines,
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.id())
    }

    /// Bytes of resident memory.
    pub(crate) fn resident(&self) -> u64 {
        self.memory().resident
    }

    /// Processor time that the server has used, in user mode and in the kernel.
    pub(crate) fn processor_time(&self) -> (Duration, Duration) {
        const TICK: Duration = Duration::from_millis(10);
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // After the command's name, which may hold blanks, fields 14 and 15 of proc(5) are the 12th
        // and 13th.
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks = |i: usize| {
            fields
                .get(i)
                .and_then(|field| field.parse::<u32>().ok())
                .unwrap_or(0)
        };
        (ticks(11) * TICK, ticks(12) * TICK)
    }

    fn wait_until_it_accepts(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&self.address).is_err() {
            assert!(
                Instant::now() < deadline,
                "{} does not accept",
                self.address
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Registers `count` services, 10 of each type for the first 10,000, and keeps their UUIDs or keys.
    fn fill(&mut self, count: usize) {
        const BATCH: usize = 1_000;
        if count == 0 || matches!(self.kind, Kind::Floor(_)) {
            return;
        }
        let mut stream = TcpStream::connect(&self.address).expect("the server accepts");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        for start in (0..count).step_by(BATCH) {
            let end = (start + BATCH).min(count);
            let mut commands = Vec::new();
            for i in start..end {
                let port = i % 60_000 + 1;
                let service_type = format!("hive-{}", i % (count / 10).max(1));
                if self.kind == Kind::Redis {
                    let key = format!("{i:08}-2a11-463a-be8e-6b2beca7bfe6");
                    let value = format!("10.0.{}.1:{port}", i % 250);
                    commands.extend(resp(&["SET", &key, &value, "EX", "86400"]));
                    commands.extend(resp(&["SADD", &service_type, &value]));
                    self.keys.push(key);
                } else {
                    commands.extend(
                        format!("register {service_type} 10.0.{}.1 {port}\n", i % 250).bytes(),
                    );
                }
            }
            stream.write_all(&commands).expect("the server reads");
            for _ in start..end {
                let mut line = String::new();
                reader.read_line(&mut line).expect("the server answers");
                if self.kind == Kind::Redis {
                    reader.read_line(&mut line).expect("the server answers");
                } else {
                    assert_eq!(line.len(), 37, "a UUID and a line end: {line}");
                    self.keys.push(line.trim_end().to_owned());
                }
            }
        }
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// `VmRSS` of proc(5): all of its pages that are in memory.
    pub(crate) resident: u64,
    /// `RssAnon`: those of them that are its own, without pages of the program and its libraries.
    pub(crate) own: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = value.and_then(|value| value.split_ascii_whitespace().next()?.parse().ok());
            kib.map_or(0, |kib: u64| kib * 1024)
        };
        Memory {
            resident: bytes("VmRSS:"),
            own: bytes("RssAnon:"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server that says `listening on <address>`.
fn announced(mut command: Command) -> (Child, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it says where it listens");
    let address = line
        .trim_end()
        .strip_prefix("listening on ")
        .expect("an address")
        .to_owned();
    (child, address)
}

pub(crate) fn redis_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|file| file.is_file())
}

fn redis() -> Option<(Child, String)> {
    let program = redis_path()?;
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let mut command = pinned(program.to_str()?);
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts");
    Some((child, format!("127.0.0.1:{port}")))
}

/// A command of the Redis serialization protocol.
fn resp(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
    bytes
}

/// A command that runs on the first core, where that can be arranged.
fn pinned(program: &str) -> Command {
    if Command::new("taskset")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", program]);
        return command;
    }
    Command::new(program)
}

/// Moves this process to the second core, where that can be arranged.
pub(crate) fn pin_to_second_core(pid: u32) {
    let moved = Command::new("taskset")
        .args(["-cp", "1", &pid.to_string()])
        .stdout(Stdio::null())
        .status();
    if !moved.is_ok_and(|status| status.success()) {
        println!(
            "The load could not be given a core of its own: taskset or a second core is missing."
        );
    }
}
