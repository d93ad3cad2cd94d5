//! The real binary on a free port, and clients to talk to it. Each test file uses a part of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running service; killed when dropped.
pub struct Service {
    child: Child,
    addresses: Vec<SocketAddr>,
    stdout: Captured,
    log: Captured,
}

impl Service {
    /// Starts the service with these arguments, on a free port of loopback unless they say where.
    pub fn start(args: &[&str]) -> Self {
        let mut command = command();
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(args);
        Self::spawn(command)
    }

    /// Starts the service with this command and waits until it listens wherever it was told to.
    pub fn spawn(mut command: Command) -> Self {
        let listeners = command
            .get_args()
            .filter(|arg| *arg == "--listen")
            .count()
            .max(1);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = Captured::new(child.stdout.take().expect("it is piped"));
        let log = Captured::new(child.stderr.take().expect("it is piped"));
        let mut service = Service {
            child,
            addresses: Vec::new(),
            stdout,
            log,
        };
        let announced = wait_until("it listens", || {
            let said = service.stdout.text();
            let ended = service.ended();
            assert_eq!(ended, None, "{said:?}; log: {}", service.log());
            (said.matches('\n').count() >= listeners).then_some(said)
        });
        let addresses = announced.lines().map(|line| {
            let address = line
                .strip_prefix("listening on ")
                .unwrap_or_else(|| panic!("{line:?}"));
            address.parse().expect("an address")
        });
        service.addresses = addresses.collect();
        service
    }

    /// Everything that it has written to standard output, once it has ended.
    pub fn whole_stdout(&mut self) -> String {
        self.wait();
        self.stdout.whole()
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Everything that it has logged, once it has ended.
    pub fn whole_log(&mut self) -> String {
        self.wait();
        self.log.whole()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// The status it has ended with, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the service ends", || self.ended())
    }

    /// The value in kB of a line of `/proc/<pid>/status`.
    pub fn status_kb(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect("there is such a line");
        line.split_ascii_whitespace()
            .nth(1)
            .expect("a value")
            .parse()
            .expect("a number")
    }

    /// Descriptors that it holds: its sockets, and a few besides.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("it runs")
            .count()
    }

    /// Processor time used so far, in user mode and in the kernel.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .expect("fields")
            .split(' ')
            .collect();
        let ticks: u64 =
            fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process writes to one of its streams, read as it comes.
pub struct Captured {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    pub fn new(mut stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                sink.lock()
                    .expect("nobody panics with it")
                    .push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Captured {
            text,
            reader: Some(reader),
        }
    }

    pub fn text(&self) -> String {
        self.text.lock().expect("nobody panics with it").clone()
    }

    /// Everything until the stream ends.
    pub fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        self.text()
    }
}

/// The binary, without the environment of whoever runs the tests.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_discovery"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DISCOVERY_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// A client verb at this service, ready to run.
pub fn verb(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = command();
    command
        .args(arguments)
        .env("DISCOVERY_SERVER", address.to_string());
    command
}

/// What a finished process has written and how it has ended.
#[derive(Debug)]
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    pub status: Option<i32>,
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Finished {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    Finished {
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
        status: output.status.code(),
    }
}

/// A process that goes on, and what it writes to its standard output line by line; killed when dropped.
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

    /// The status that it ends with.
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

/// A port of loopback on which nothing listens.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
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

/// Asks until there is an answer; panics when that takes too long.
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One connection. Everything that it waits for must come within `PATIENCE`.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the service accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Client {
            stream,
            unread: Vec::new(),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the service reads");
    }

    /// Sends, and does not mind if the service has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line = self.unread.drain(..=end).take(end).collect();
                return String::from_utf8(line).expect("answers are text");
            }
            let mut buffer = [0; 16 * 1024];
            let n = self.stream.read(&mut buffer).expect("an answer");
            assert_ne!(
                n,
                0,
                "the service closed; unread: {:?}",
                String::from_utf8_lossy(&self.unread)
            );
            self.unread.extend(&buffer[..n]);
        }
    }

    /// Sends a command line and returns its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\n"));
        self.line()
    }

    /// Registers a service and returns its UUID.
    pub fn register(&mut self, service_type: &str, ip: &str, port: u16) -> String {
        let uuid = self.ask(&format!("register {service_type} {ip} {port}"));
        assert!(is_uuid(&uuid), "{uuid}");
        uuid
    }

    /// Registers so many services of the type `hive` in one write.
    pub fn register_many(&mut self, count: usize) {
        self.send("register hive 10.0.0.1 80\n".repeat(count));
        for _ in 0..count {
            let uuid = self.line();
            assert!(is_uuid(&uuid), "{uuid}");
        }
    }

    pub fn end_input(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }

    /// Everything until the service closes in good order.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        self.stream
            .read_to_end(&mut bytes)
            .expect("an end, not a reset");
        bytes
    }

    /// Like `rest`, as text.
    pub fn text(&mut self) -> String {
        String::from_utf8(self.rest()).expect("answers are text")
    }

    /// Waits until the service has closed, in whatever order.
    pub fn wait_for_close(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the service does not close")
                }
                Err(_) => return,
            }
        }
    }

    /// Closes with a reset instead of an end.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
    }
}

/// Whether this is a UUID of version 4 in lower case with hyphens.
pub fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, &byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => b"89ab".contains(&byte),
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// Replaces each UUID by `<uuid>`, so that transcripts can be compared byte for byte.
pub fn mask_uuids(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match rest.get(..36) {
            Some(word) if is_uuid(word) => {
                masked.push_str("<uuid>");
                rest = &rest[36..];
            }
            _ => {
                masked.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    masked
}

/// A frame that was received, taken apart.
#[derive(Debug, PartialEq)]
pub struct Frame {
    pub header: serde_json::Value,
    pub content: String,
}

impl Frame {
    /// Takes apart bytes that must be exactly one frame, with the header that the contract gives.
    pub fn parse(bytes: &[u8]) -> Self {
        let (prefix, rest) = bytes
            .split_at_checked(2)
            .unwrap_or_else(|| panic!("no frame: {bytes:?}"));
        let header_len = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
        let header: serde_json::Value =
            serde_json::from_slice(&rest[..header_len]).expect("a JSON header");
        let content = String::from_utf8(rest[header_len..].to_vec()).expect("UTF-8");
        assert_eq!(header["byteorder"], "little");
        assert_eq!(header["content-encoding"], "utf-8");
        assert_eq!(header["content-length"], content.len());
        Frame { header, content }
    }
}

/// The bytes of a frame with this content.
pub fn frame(content: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": {}}}"#,
        content.len()
    );
    raw_frame(&header, content.as_bytes())
}

/// The bytes of a frame with this header and this content.
pub fn raw_frame(header: &str, content: &[u8]) -> Vec<u8> {
    let mut frame = (header.len() as u16).to_be_bytes().to_vec();
    frame.extend(header.bytes());
    frame.extend(content);
    frame
}

/// Sends bytes on a connection of their own; returns all that is answered until the service closes.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(address);
    client.send(bytes);
    client.rest()
}

/// Sends a frame with this content; returns the frame that answers it.
pub fn ask_frame(address: SocketAddr, content: &str) -> Frame {
    Frame::parse(&exchange(address, &frame(content)))
}
