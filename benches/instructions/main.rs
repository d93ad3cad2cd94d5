//! Counts the instructions of each command with callgrind, so that any machine repeats the figures:
//! `cargo bench --bench instructions`. It needs `valgrind`; without it, it says so and succeeds.
//!
//! Each row is counted on two paths:
//!
//! - *engine*: one process without sockets, from the bytes of pipelined commands to the bytes of
//!   their replies, one batch a turn. It repeats to the instruction.
//! - *server*: the release binary and one connection over loopback, in user space. Random UUIDs and
//!   hashes move it by about one percent.
//!
//! Each path runs twice under callgrind, the second time with twice as many commands; the difference
//! divided by the number of commands is the figure. Starting and filling the service cancel out.
//!
//! `cargo bench --bench instructions -- --save` writes `baseline.txt` beside this file, and
//! `-- --check` fails when a figure is more than 5 % above it. Another compiler generates other
//! code: when its version differs from the baseline's, the check only reports.
//!
//! Why not `gungraun` (or `iai-callgrind`, its predecessor): its runner is a second binary of about
//! 180 crates, which must be installed in exactly the library's version; it counts between symbols,
//! which the release profile strips; its baselines lie in the target directory and cannot be
//! committed; and it does not count a server that another process drives.

mod baseline;
mod callgrind;
mod engine;
mod server;
mod work;

use std::process::ExitCode;

use baseline::Baseline;
use work::{ROWS, Row};

/// Where the commands run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Engine,
    Server,
}

impl Path {
    const ALL: [Path; 2] = [Path::Engine, Path::Server];

    fn name(self) -> &'static str {
        match self {
            Path::Engine => "engine",
            Path::Server => "server",
        }
    }

    fn total(self, row: Row, commands: usize) -> u64 {
        match self {
            Path::Engine => engine::total(row, commands),
            Path::Server => server::total(row, commands),
        }
    }

    /// Instructions for each command of a row.
    fn count(self, row: Row) -> f64 {
        let [once, twice] = [1, 2].map(|times| self.total(row, times * row.commands()));
        twice.saturating_sub(once) as f64 / row.commands() as f64
    }
}

fn main() -> ExitCode {
    if engine::run_as_child() {
        return ExitCode::SUCCESS;
    }
    let wants = |flag: &str| std::env::args().any(|arg| arg == flag);
    if !wants("--bench") {
        // `cargo test --benches` only wants to know that it works.
        for row in ROWS {
            engine::run(row, row.in_flight);
        }
        return ExitCode::SUCCESS;
    }
    if !callgrind::is_installed() {
        println!(
            "NOTHING WAS COUNTED: valgrind is not installed (Debian: apt-get install valgrind)"
        );
        return ExitCode::SUCCESS;
    }
    let counted = print_table();
    if wants("--save") {
        counted.save();
    }
    if wants("--check") {
        return check(&counted);
    }
    ExitCode::SUCCESS
}

/// Counts every row and prints it as soon as it is known.
fn print_table() -> Baseline {
    let mut counted = Baseline::of_this_compiler();
    println!("Instructions for each command\n");
    println!("| command | engine | server |");
    println!("|---|---|---|");
    for row in ROWS {
        let counts = Path::ALL.map(|path| {
            let count = path.count(row);
            counted.add(path.name(), row, count);
            format!("{count:.0}")
        });
        println!("| {row} | {} |", counts.join(" | "));
    }
    println!();
    counted
}

fn check(counted: &Baseline) -> ExitCode {
    let baseline = Baseline::load();
    let worse = baseline.worse(counted);
    for line in &worse {
        println!("{line}");
    }
    if baseline.compiler != counted.compiler {
        println!(
            "NOT CHECKED: the baseline is of {}, this is {}",
            baseline.compiler, counted.compiler
        );
        return ExitCode::SUCCESS;
    }
    if worse.is_empty() {
        println!("no figure is more than 5 % above the baseline");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
