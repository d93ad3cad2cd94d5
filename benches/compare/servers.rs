//! The servers that are compared.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::process::{Process, pinned, status};

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
    process: Process,
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
        let process = match kind {
            // The registrations must outlive the run.
            Kind::Discovery => Process::discovery(&["--ttl", "86400"]),
            Kind::Floor(name) => {
                let this = std::env::current_exe().expect("this bench is a file");
                let mut command = pinned(this.to_str().expect("a path in UTF-8"));
                command.env("COMPARE_FLOOR", name);
                Process::announced(command)
            }
            Kind::Redis => redis()?,
        };
        Some(Self::of(kind, process))
    }

    /// The service with these arguments.
    pub(crate) fn with_arguments(args: &[&str]) -> Server {
        Self::of(Kind::Discovery, Process::discovery(args))
    }

    fn of(kind: Kind, process: Process) -> Server {
        Server {
            kind,
            address: process.address.clone(),
            process,
            keys: Vec::new(),
        }
    }

    /// Voluntary context switches since its start: how often it has waited.
    pub(crate) fn wake_ups(&self) -> u64 {
        status(self.process.id(), "voluntary_ctxt_switches:")
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
        Memory::of(self.process.id())
    }

    /// Bytes of resident memory.
    pub(crate) fn resident(&self) -> u64 {
        self.memory().resident
    }

    /// As [`Process::processor_time`].
    pub(crate) fn processor_time(&self) -> (Duration, Duration) {
        self.process.processor_time()
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
        Memory {
            resident: status(pid, "VmRSS:") * 1024,
            own: status(pid, "RssAnon:") * 1024,
        }
    }
}

pub(crate) fn redis_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|file| file.is_file())
}

fn redis() -> Option<Process> {
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
    Some(Process::new(child, format!("127.0.0.1:{port}")))
}

/// A command of the Redis serialization protocol.
fn resp(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
    bytes
}
