//! Programs that nobody here wrote, for the tests that run them against the service.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::Captured;

/// Names the folder into which `.ci/tools` has installed them. Where it is set, a test whose program is
/// missing fails; where it is not, it is skipped.
const FOLDER: &str = "TEST_TOOLS";

/// A command that runs this program. Without the program it says that the test is skipped.
pub fn tool(program: &str) -> Option<Command> {
    let path = tools_path();
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(program));
    found(program, files.find(|file| file.is_file())).map(Command::new)
}

/// Where programs are looked for: in the folder, then as everywhere.
pub fn tools_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = folder().map(|folder| folder.join("bin")).into_iter();
    let all = own.chain(std::env::split_paths(&path));
    std::env::join_paths(all).expect("no colon in them")
}

/// The place of a library in the folder. Without it, it says that the test is skipped.
pub fn library(name: &str) -> Option<PathBuf> {
    let place = folder().map(|folder| folder.join(name));
    found(name, place.filter(|place| place.exists()))
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn found(name: &str, place: Option<PathBuf>) -> Option<PathBuf> {
    if place.is_none() {
        skip(name);
    }
    place
}

/// Says it where everybody sees it: what a test prints in the usual ways is shown only if it fails.
fn skip(name: &str) {
    use std::io::Write;
    assert!(folder().is_none(), "{name} is missing, but {FOLDER} is set");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(
        std::io::stderr(),
        "!!! SKIPPED: {test}: {name} is not installed; .ci/tools installs it !!!"
    );
}

/// A program that runs until this is dropped. If the test has failed by then, what it said is shown.
pub struct Running {
    child: Child,
    output: [Captured; 2],
}

impl Running {
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let stdout = Captured::new(child.stdout.take().expect("it is piped"));
        let stderr = Captured::new(child.stderr.take().expect("it is piped"));
        let output = [stdout, stderr];
        Running { child, output }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.output.iter().map(Captured::text).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{}", self.said());
        }
    }
}
