//! Hosts that go without a word, and peers that only read slowly: the real TCP between two network
//! namespaces.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Service, finish, wait_until};

const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

/// Two hosts with a cable between them.
struct Hosts {
    here: String,
    there: String,
}

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments.split(' ')).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Hosts {
    /// `None` where tests may not make network namespaces.
    fn new() -> Option<Hosts> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("discovery-{}-{number}-{side}", std::process::id());
        let (here, there) = (name("here"), name("there"));
        let hosts = Hosts { here, there };
        let Hosts { here, there } = &hosts;
        let all = ip(&format!("netns add {here}"))
            && ip(&format!("netns add {there}"))
            && ip(&format!(
                "link add eth netns {here} type veth peer name eth netns {there}"
            ))
            && [(here, HERE), (there, THERE)]
                .iter()
                .all(|(host, address)| {
                    ip(&format!("-n {host} address add {address}/24 dev eth"))
                        && ip(&format!("-n {host} link set eth up"))
                        && ip(&format!("-n {host} link set lo up"))
                });
        if !all {
            println!("LEFT OUT: this system does not let tests make network namespaces");
        }
        all.then_some(hosts)
    }

    fn command(host: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host, program]);
        command
    }

    fn service(&self, arguments: &[&str]) -> Service {
        let mut command = Self::command(&self.here, env!("CARGO_BIN_EXE_discovery"));
        command.args(["--insecure", "--listen", &format!("{HERE}:0")]);
        command.args(arguments).env("RUST_LOG", "debug");
        Service::spawn(command)
    }

    /// A verb of the command line on the service's own host.
    fn verb(&self, service: &Service, arguments: &[&str]) {
        let mut command = Self::command(&self.here, env!("CARGO_BIN_EXE_discovery"));
        command.args(arguments);
        command.args(["--server", &service.address().to_string()]);
        let ended = finish(command);
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    }

    /// A peer on the other host.
    fn peer(&self, service: &Service, lines: &str, reads: bool) -> Peer {
        let code = "import socket,sys,time\n\
            s = socket.socket()\n\
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n\
            s.connect((sys.argv[1], int(sys.argv[2])))\n\
            s.sendall(sys.argv[3].encode())\n\
            print(s.getsockname()[1], flush=True)\n\
            while True:\n\
            \x20   if sys.argv[4] == 'reads': s.recv(4096)\n\
            \x20   else: time.sleep(1)\n";
        let address = service.address();
        let mut command = Self::command(&self.there, "python3");
        command.args(["-c", code, &address.ip().to_string()]);
        command.args([&address.port().to_string(), lines]);
        command.arg(if reads { "reads" } else { "is deaf" });
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("Python 3 is there");
        let stdout = crate::common::Captured::new(process.stdout.take().expect("it is piped"));
        let port = wait_until("it is connected", || stdout.text().trim().parse().ok());
        Peer { process, port }
    }

    fn cut_the_cable(&self) {
        assert!(ip(&format!("-n {} link set eth down", self.there)));
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.here, &self.there] {
            ip(&format!("netns delete {host}"));
        }
    }
}

struct Peer {
    process: Child,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    /// Bytes that the service's host has still to send to it; `None` when there is no such connection.
    fn unsent(&self, service: &Service) -> Option<u64> {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", service.pid()));
        let remote = format!(":{:04X}", self.port);
        let table = table.expect("it runs");
        let line = table.lines().find(|line| {
            let remote_field = line.split_ascii_whitespace().nth(2);
            remote_field.is_some_and(|field| field.ends_with(&remote))
        })?;
        let queues = line.split_ascii_whitespace().nth(4)?;
        u64::from_str_radix(queues.split(':').next()?, 16).ok()
    }

    /// Why the service has closed its connection, if it has.
    fn closed_for(&self, service: &Service) -> Option<String> {
        let begin = format!("{THERE}:{}: connection closed: ", self.port);
        let log = service.log();
        let line = log.lines().find_map(|line| line.split_once(&begin))?;
        Some(line.1.to_owned())
    }
}

#[test]
fn row_49_a_holder_with_a_closed_window_is_kept_and_dark_hosts_are_noticed_with_bytes_under_way() {
    const TTL: Duration = Duration::from_secs(4);
    let Some(hosts) = Hosts::new() else { return };
    let service = hosts.service(&["--ttl", "4"]);
    for port in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        hosts.verb(
            &service,
            &["register", "big", "10.0.0.1", port, "--ttl", "600"],
        );
    }
    // What the kernel takes for a holder, so that no answer waits in the service.
    let deaf_lines = format!("hold hive 10.0.0.9 80\n{}", "query big\n".repeat(50));
    let slow = hosts.peer(&service, &deaf_lines, false);
    let silent = hosts.peer(&service, "hold hive 10.0.0.9 81\n", true);
    let watching = hosts.peer(&service, "hold hive 10.0.0.9 82\nwatch other\n", true);
    let peers = [&slow, &silent, &watching];
    wait_until("answers wait in the kernel", || {
        slow.unsent(&service).filter(|&len| len > 5_000)
    });
    let begun = Instant::now();
    wait_until("three times the TTL passes", || {
        for peer in peers {
            assert_eq!(peer.closed_for(&service), None, "its host answers");
        }
        (begun.elapsed() > 3 * TTL).then_some(())
    });
    assert!(slow.unsent(&service).is_some_and(|len| len > 5_000));
    hosts.cut_the_cable();
    let cut = Instant::now();
    hosts.verb(&service, &["register", "other", "10.0.0.1", "1"]);
    assert!(watching.unsent(&service).is_some_and(|len| len > 0));
    wait_until("all of them are noticed", || {
        let closed = peers.map(|peer| peer.closed_for(&service));
        closed.iter().all(Option::is_some).then_some(())
    });
    let after = cut.elapsed();
    println!("noticed after {after:?} at the latest");
    assert!(after < TTL + Duration::from_secs(3), "{after:?}");
    for peer in peers {
        assert_eq!(peer.closed_for(&service).as_deref(), Some("failed"));
        assert_eq!(peer.unsent(&service), None, "the kernel keeps nothing");
    }
}
