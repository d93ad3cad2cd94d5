//! The real binary over loopback: one connection, one batch in flight.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::callgrind;
use crate::work::{self, KEYS, Row};

/// Instructions of a service that is filled and then sent `commands` commands.
pub(crate) fn total(row: Row, commands: usize) -> u64 {
    let (mut command, counts) = callgrind::command(Path::new(env!("CARGO_BIN_EXE_discovery")));
    // Sweeps are rare, for they come by the machine's time, and callgrind is slow.
    command
        .args(["--listen", "127.0.0.1:0", "--ttl", "86400"])
        .args(["--tick", "60000"])
        .env("RUST_LOG", "warn");
    let mut service = Service::start(command);
    load(&service.address, row, commands);
    service.stop();
    counts.total()
}

/// The service under callgrind; it does not outlive this.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(mut command: Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("valgrind starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.expect("an address").to_owned();
        Service { child, address }
    }

    /// Ends it in its own way, for callgrind writes its counts then.
    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "the service under callgrind: {status}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the service accepts");
    stream.set_nodelay(true).expect("loopback takes options");
    stream
}

fn load(address: &str, row: Row, commands: usize) {
    let mut stream = connect(address);
    let mut replies = Vec::new();
    let mut uuids = Vec::with_capacity(KEYS);
    for start in (0..KEYS).step_by(100) {
        let commands: String = (start..start + 100).map(work::register).collect();
        exchange(&mut stream, commands.as_bytes(), (b'\n', 100), &mut replies);
        uuids.extend(work::uuids(&replies));
    }
    if row.is_http() {
        stream = connect(address);
    }
    let ends = (row.reply_end(), row.in_flight);
    for batch in row.batches(commands, &uuids) {
        exchange(&mut stream, &batch, ends, &mut replies);
        row.check(&replies);
    }
}

/// Sends commands and reads as many replies, which end with this byte.
fn exchange(
    stream: &mut TcpStream,
    commands: &[u8],
    (end, mut count): (u8, usize),
    replies: &mut Vec<u8>,
) {
    stream.write_all(commands).expect("the service reads");
    replies.clear();
    let mut buffer = [0; 64 * 1024];
    while count > 0 {
        let len = stream.read(&mut buffer).expect("the service answers");
        assert_ne!(len, 0, "the service keeps the connection");
        count -= memchr::memchr_iter(end, &buffer[..len]).count();
        replies.extend_from_slice(&buffer[..len]);
    }
}
