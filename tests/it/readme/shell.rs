//! A shell on a terminal, as a reader of the README has it.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::transcript::Step;
use crate::common::{Captured, PATIENCE, tools_path, wait_until};

/// What the shell writes when it waits for a command.
const PROMPT: &str = "<ready>";

pub struct Shell {
    child: Child,
    input: ChildStdin,
    screen: Captured,
    /// How much of the screen has been looked at.
    read: usize,
    /// Where it runs.
    _folder: TempDir,
}

impl Shell {
    /// A shell in which the registry is at this address, for those who ask it and for those who start it.
    pub fn start(registry: &str) -> Self {
        let stand_ins = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/readme/stand_ins");
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/python");
        let (binary, _) = env!("CARGO_BIN_EXE_discovery")
            .rsplit_once('/')
            .expect("a path");
        let path = tools_path();
        let path = path.to_str().expect("text");
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("python3");
        command
            .args([
                "-c",
                "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)",
            ])
            .args(["bash", "--norc", "--noprofile", "--noediting", "-i"])
            .current_dir(&folder)
            .env("PATH", format!("{stand_ins}:{binary}:{path}"))
            // As if the Python client had been installed.
            .env("PYTHONPATH", python)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DISCOVERY_LISTEN", registry)
            .env("DISCOVERY_SERVER", registry)
            .env("TERM", "dumb")
            .env("HISTFILE", "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python 3 is there");
        let mut shell = Shell {
            input: child.stdin.take().expect("it is piped"),
            screen: Captured::new(child.stdout.take().expect("it is piped")),
            child,
            read: 0,
            _folder: folder,
        };
        // The prompt is written in two parts here, so that the echo of this line is none.
        shell.type_line(&format!(
            "stty -echo -onlcr; PS2= PS1='<'\"{}\"",
            &PROMPT[1..]
        ));
        let begun = wait_until("the shell is ready", || shell.screen.text().find(PROMPT));
        shell.read = begun + PROMPT.len();
        shell
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the shell reads");
    }

    /// Types a line. Returns what is on the screen below it as soon as that is enough, or when it is not even
    /// after this time.
    pub fn run(
        &mut self,
        step: &Step,
        line: &str,
        patience: Duration,
        enough: impl Fn(&str) -> bool,
    ) -> String {
        let deadline = Instant::now() + patience;
        loop {
            let said = self.try_once(step, line, deadline, &enough);
            if !step.asks() || enough(&said) || Instant::now() > deadline {
                return said;
            }
        }
    }

    fn try_once(
        &mut self,
        step: &Step,
        line: &str,
        deadline: Instant,
        enough: impl Fn(&str) -> bool,
    ) -> String {
        self.type_line(line);
        loop {
            let screen = self.screen.text();
            let below = &screen[self.read..];
            let said = below.replace(PROMPT, "");
            // What runs in the background may write below the next prompt.
            let is_over = below.contains(PROMPT) && (enough(&said) || step.asks());
            if is_over || Instant::now() > deadline {
                self.read = screen.len();
                return said;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What was started in the background goes too.
        let _ = writeln!(self.input, "\u{3}\nkill -9 $(jobs -p) 2>/dev/null; exit");
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
