//! The service as a process.

use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::client::Client;
use super::process::{Captured, command, signal};
use super::wait_until;

/// A running service; killed when dropped.
pub struct Service {
    child: Child,
    addresses: Vec<SocketAddr>,
    dns_addresses: Vec<SocketAddr>,
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

    /// Starts the service with this command and waits until it has announced every listener.
    pub fn spawn(mut command: Command) -> Self {
        let count = |flag| command.get_args().filter(|arg| *arg == flag).count();
        let listeners = count("--listen").max(1) + count("--dns-listen");
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
            dns_addresses: Vec::new(),
            stdout,
            log,
        };
        let announced = wait_until("it listens", || {
            let said = service.stdout.text();
            let ended = service.ended();
            assert_eq!(ended, None, "{said:?}; log: {}", service.log());
            (said.matches('\n').count() >= listeners).then_some(said)
        });
        for line in announced.lines() {
            let (what, address) = line.split_once("listening on ").expect("an address");
            let address = address.parse().expect("an address");
            match what {
                "" => service.addresses.push(address),
                "dns " => service.dns_addresses.push(address),
                _ => panic!("{line:?}"),
            }
        }
        service
    }

    /// Waits until it ends; returns all of its standard output.
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

    /// Where it answers DNS.
    pub fn dns_address(&self) -> SocketAddr {
        self.dns_addresses[0]
    }

    pub fn dns_addresses(&self) -> &[SocketAddr] {
        &self.dns_addresses
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

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits until it ends; returns its exit status.
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

    /// The number of its open file descriptors.
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
