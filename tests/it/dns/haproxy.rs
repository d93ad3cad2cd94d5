//! HAProxy, which asks for SRV records each second.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::common::{Running, tool, wait_until};

/// HAProxy with a backend whose servers DNS tells.
pub(super) struct HaProxy {
    _process: Running,
    folder: TempDir,
}

impl HaProxy {
    /// It asks at `nameserver`, in HAProxy's words, and takes answers of `payload_len` bytes. `None` where
    /// it is not installed.
    pub(super) fn start(nameserver: &str, payload_len: u16, servers: u16) -> Option<Self> {
        let mut command = tool("haproxy")?;
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
        let config = format!(
            "global\n\
             \x20 stats socket {socket} mode 600 level admin\n\
             defaults\n\
             \x20 mode tcp\n\
             \x20 timeout connect 1s\n\
             \x20 timeout client 1s\n\
             \x20 timeout server 1s\n\
             resolvers discovery\n\
             \x20 nameserver discovery {nameserver}\n\
             \x20 accepted_payload_size {payload_len}\n\
             \x20 timeout resolve 1s\n\
             frontend web\n\
             \x20 bind unix@{front}\n\
             \x20 default_backend web\n\
             backend web\n\
             \x20 server-template web {servers} _web._tcp.service.internal resolvers discovery init-addr none\n",
            socket = path("stats"),
            front = path("front"),
        );
        std::fs::write(path("cfg"), config).expect("it is written");
        command.args(["-db", "-q", "-f", &path("cfg")]);
        Some(HaProxy {
            _process: Running::spawn(command),
            folder,
        })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("stats")
    }

    /// The addresses of the servers that have one.
    fn servers(&self) -> BTreeSet<SocketAddr> {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else {
            return BTreeSet::new();
        };
        stream
            .write_all(b"show servers state web\n")
            .expect("it is sent");
        let mut state = String::new();
        stream.read_to_string(&mut state).expect("text");
        // be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state …; the port is the 19th.
        let lines = state
            .lines()
            .filter(|line| line.split(' ').nth(1) == Some("web"));
        let server = |line: &str| {
            let fields: Vec<&str> = line.split(' ').collect();
            let admin: u32 = fields[6].parse().ok()?;
            let ip = fields[4].parse().ok()?;
            let port = fields[18].parse().ok()?;
            (fields[5] == "2" && admin & 0x20 == 0).then_some(SocketAddr::new(ip, port))
        };
        lines.filter_map(server).collect()
    }

    pub(super) fn wait_for(&self, count: usize) {
        let mut seen = 0;
        let found = || {
            seen = self.servers().len();
            (seen == count).then_some(())
        };
        wait_until(&format!("{count} servers"), found);
    }
}

#[test]
fn haproxy_uses_all_instances_of_one_host_and_drops_one_that_goes() {
    let service = service();
    let client = &mut service.connect();
    let uuids = register(client, "web", &ports(5));
    let nameserver = service.dns_address().to_string();
    let Some(haproxy) = HaProxy::start(&nameserver, 8192, 10) else {
        return;
    };
    haproxy.wait_for(5);
    assert_eq!(client.ask(&format!("deregister {}", uuids[2])), "OK");
    haproxy.wait_for(4);
    let left: Vec<u16> = haproxy.servers().iter().map(SocketAddr::port).collect();
    assert_eq!(left, [1, 2, 4, 5]);
}

#[test]
fn haproxy_uses_a_hundred_instances_with_long_datagrams_and_over_tcp() {
    let service = service();
    register(&mut service.connect(), "web", &hosts(100, 80));
    let address = service.dns_address();
    for (nameserver, payload_len) in [
        (address.to_string(), 8192),
        (format!("tcp@{address}"), 65_535),
    ] {
        let Some(haproxy) = HaProxy::start(&nameserver, payload_len, 100) else {
            return;
        };
        haproxy.wait_for(100);
    }
}
