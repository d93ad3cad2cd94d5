//! Programs under callgrind, and what it has counted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn is_installed() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// A program to be run under callgrind, and the file that it leaves at its end.
pub(crate) fn command(program: &Path) -> (Command, Counts) {
    let file = format!("callgrind.{}.out", std::process::id());
    let counts = Counts(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file));
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.0.display()))
        .arg(program);
    (command, counts)
}

/// A file of callgrind.
pub(crate) struct Counts(PathBuf);

impl Counts {
    /// The instructions in user space from the first to the last of the program.
    pub(crate) fn total(self) -> u64 {
        let text = std::fs::read_to_string(&self.0).expect("callgrind has written its counts");
        let _ = std::fs::remove_file(&self.0);
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total
            .and_then(|total| total.trim().parse().ok())
            .expect("a file of callgrind")
    }
}
