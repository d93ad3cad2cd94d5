//! The servers that are compared.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::process::{Process, pinned, status};
use crate::queries;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Where it answers DNS.
    pub(crate) address: SocketAddr,
    process: Process,
    _folder: Option<TempDir>,
}

impl Server {
    pub(crate) fn discovery() -> Server {
        let address = free_address();
        // The registrations must outlive the run.
        let arguments = ["--ttl", "86400", "--dns-listen", &address.to_string()];
        let server = Server {
            name: "discovery",
            address,
            process: Process::discovery(&arguments),
            _folder: None,
        };
        server.wait_until_it_answers();
        server
    }

    /// A connection for commands in lines.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.process.address).expect("the server accepts");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    /// Registers so many of a type, each at an address of its own.
    pub(crate) fn register(&self, service_type: &str, count: usize) {
        let mut stream = self.connect();
        let mut commands = String::new();
        for number in 0..count {
            let ip = ip(number);
            writeln!(commands, "register {service_type} {ip} 8080").expect("text");
        }
        stream.write_all(commands.as_bytes()).expect("it reads");
        let lines = BufReader::new(stream).lines().take(count);
        for line in lines {
            let uuid = line.expect("it answers");
            assert_eq!(uuid.len(), 36, "{uuid}");
        }
    }

    pub(crate) fn processor_time(&self) -> (Duration, Duration) {
        self.process.processor_time()
    }

    /// Bytes of memory of its own.
    pub(crate) fn memory(&self) -> u64 {
        status(self.process.id(), "RssAnon:") * 1024
    }

    /// Knot with one worker and the records of `hive`, of so many services, and `solo`; `None` where it is not
    /// installed.
    pub(crate) fn knot(services: usize) -> Option<Server> {
        let version = Command::new("knotd")
            .arg("-V")
            .stdout(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success()).then_some(())?;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let address = free_address();
        let (listen, port) = (address.ip(), address.port());
        let home = path.display();
        let configuration = format!(
            "server:\n  listen: {listen}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\n  rundir: \"{home}\"\ndatabase:\n  storage: \"{home}\"\n\
             template:\n  - id: default\n    storage: \"{home}\"\n    zonefile-sync: -1\n\
             zone:\n  - domain: service.internal\n    file: zone\n"
        );
        let file = path.join("knot.conf");
        std::fs::write(&file, configuration).expect("a file");
        std::fs::write(path.join("zone"), zone(services)).expect("a file");
        let mut command = pinned("knotd");
        command.arg("-c").arg(&file);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().expect("Knot starts");
        let server = Server {
            name: "Knot",
            address,
            process: Process::new(child, address.to_string()),
            _folder: Some(folder),
        };
        server.wait_until_it_answers();
        Some(server)
    }

    fn wait_until_it_answers(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.address).expect("an address");
        let patience = Some(Duration::from_millis(50));
        socket.set_read_timeout(patience).expect("an option");
        let query = queries::addresses("ns.addr.service.internal");
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let is_sent = socket.send(&query).is_ok();
            if is_sent && socket.recv(&mut [0; 2048]).is_ok() {
                return;
            }
            assert!(Instant::now() < deadline, "{} does not answer", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn free_address() -> SocketAddr {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port")
}

fn ip(number: usize) -> std::net::Ipv4Addr {
    (0x0A00_0001 + number as u32).into()
}

/// The zone as the service would answer.
fn zone(services: usize) -> String {
    let mut zone = String::from(
        "$ORIGIN service.internal.\n$TTL 0\n\
         @ SOA ns.addr hostmaster 1 3600 600 86400 0\n@ NS ns.addr\n\
         ns.addr 3600 A 127.0.0.1\nsolo A 10.0.0.1\n",
    );
    for number in 0..services {
        let ip = ip(number);
        let target = format!("{:08x}{:04x}.addr", u32::from(ip), 8080);
        let service = format!("_hive._tcp SRV 1 1 8080 {target}\n");
        let address = format!("hive A {ip}\n{target} 3600 A {ip}\n");
        zone.push_str(&service);
        zone.push_str(&address);
    }
    zone
}
