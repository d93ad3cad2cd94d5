//! A server as a process of its own on the first core.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Process {
    pub(crate) address: String,
    child: Child,
}

impl Process {
    /// The service with these arguments.
    pub(crate) fn discovery(args: &[&str]) -> Self {
        let mut command = pinned(env!("CARGO_BIN_EXE_discovery"));
        command
            .args(["--listen", "127.0.0.1:0", "--max-services", "100000000"])
            .args(args);
        Self::announced(command)
    }

    /// A server that says `listening on <address>`.
    pub(crate) fn announced(mut command: Command) -> Self {
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
        Self::new(child, address)
    }

    /// A server that listens at `address`.
    pub(crate) fn new(child: Child, address: String) -> Self {
        Process { address, child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time that the server has used, in user mode and in the kernel.
    pub(crate) fn processor_time(&self) -> (Duration, Duration) {
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()));
        let stat = stat.expect("it runs");
        // After the command's name, which may hold blanks, fields 14 and 15 of proc(5) are the 12th
        // and 13th.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let mut ticks = fields.skip(11).map(|field| field.parse().unwrap_or(0));
        let mut next = || TICK * ticks.next().unwrap_or(0);
        (next(), next())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number of proc(5)'s `status` of a process: `name` with its colon. Memory is in KiB.
pub(crate) fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A command that runs on the first core, where that can be arranged.
pub(crate) fn pinned(program: &str) -> Command {
    pinned_to("0", program)
}

/// A command that runs on this core, where that can be arranged.
pub(crate) fn pinned_to(core: &str, program: &str) -> Command {
    if Command::new("taskset")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        let mut command = Command::new("taskset");
        command.args(["-c", core, program]);
        return command;
    }
    Command::new(program)
}

/// Moves this process to the second core, where that can be arranged.
pub(crate) fn pin_to_second_core() {
    let moved = Command::new("taskset")
        .args(["-cp", "1", &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status();
    if !moved.is_ok_and(|status| status.success()) {
        println!(
            "The load could not be given a core of its own: taskset or a second core is missing."
        );
    }
}

/// Lets this process have as many connections as the system allows.
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
