//! Processes: how they are started, what they write, how they end.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{PATIENCE, wait_until};

/// The output of a process on one of its streams; a thread reads it as it comes.
pub struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    pub fn new(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                let mut bytes = sink.lock().expect("nobody panics with it");
                bytes.extend_from_slice(&buffer[..n]);
            }
        });
        Captured {
            bytes,
            reader: Some(reader),
        }
    }

    /// What has been written so far.
    pub fn text(&self) -> String {
        let bytes = self.bytes.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until the stream ends.
    pub fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        self.text()
    }
}

/// The binary, without the variables that it would read from the environment of the tests.
pub fn command() -> Command {
    restore_signals();
    let mut command = Command::new(env!("CARGO_BIN_EXE_discovery"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DISCOVERY_") || name == "RUST_LOG" || name == "STATE_DIRECTORY" {
            command.env_remove(name);
        }
    }
    command
}

/// Lets signals have their effect in the processes that the tests start, even where the tests were
/// started with signals ignored, as under `nohup`: what is ignored stays so in a new program, and what is
/// handled becomes the default (execve(2)).
fn restore_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0);
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1] {
            if ignored & (1 << (signal - 1)) != 0 {
                signal_hook::flag::register(signal, Arc::default()).expect("it can be handled");
            }
        }
    });
}

/// A verb of the command line that asks this service.
pub fn verb(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = command();
    command
        .args(arguments)
        .env("DISCOVERY_SERVER", address.to_string());
    command
}

/// The output and the exit status of a process that has ended.
#[derive(Debug)]
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    pub status: Option<i32>,
}

/// Runs a command, which gets no input, to its end; panics after [`PATIENCE`].
pub fn finish(mut command: Command) -> Finished {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("it runs");
    let mut stdout = Captured::new(child.stdout.take().expect("it is piped"));
    let mut stderr = Captured::new(child.stderr.take().expect("it is piped"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().and_then(|()| child.wait()).expect("it runs");
            panic!(
                "it does not end: {command:?}: {}{}",
                stdout.text(),
                stderr.text()
            );
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Finished {
        stdout: stdout.whole(),
        stderr: stderr.whole(),
        status: status.code(),
    }
}

/// A process that keeps running, and the lines that it writes to standard output; killed when dropped.
pub struct Talking {
    pub child: Child,
    lines: BufReader<ChildStdout>,
}

impl Talking {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Talking { child, lines }
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// Waits until it ends; returns its exit status.
    pub fn status(&mut self) -> Option<i32> {
        wait_until("it ends", || self.child.try_wait().expect("it is ours")).code()
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback on which nothing listens, told once. It lies below those that the kernel gives out
/// by itself (`ip_local_port_range` of ip(7)), so no other test's connection has it when it is used.
pub fn free_port() -> u16 {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    // Processes that test at the same time begin at different places.
    let first = std::process::id().wrapping_mul(997);
    loop {
        let number = first.wrapping_add(TOLD.fetch_add(1, Ordering::Relaxed));
        let port = (PORTS.start + number % (PORTS.end - PORTS.start)) as u16;
        let is_free = [
            Ipv4Addr::LOCALHOST.into(),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ]
        .iter()
        .all(|ip| {
            let address = SocketAddr::new(*ip, port);
            !in_use(TcpListener::bind(address).err()) && !in_use(UdpSocket::bind(address).err())
        });
        if is_free {
            return port;
        }
    }
}

/// Whether this is why a socket could not be bound; a machine may have no IPv6.
fn in_use(error: Option<std::io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// Sends a signal by its name, such as `TERM`.
pub fn signal(pid: u32, name: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match name {
        "CONT" => Signal::CONT,
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        other => panic!("SIG{other} is not used here"),
    };
    kill_process(Pid::from_raw(pid as i32).expect("a process"), signal).expect("it runs");
}
