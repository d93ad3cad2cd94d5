//! The figures that are committed, and how others compare with them.

use std::fmt::Write;
use std::process::Command;

use crate::work::Row;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/instructions/baseline.txt"
);
/// How much more than the baseline is no failure.
const SLACK: f64 = 1.05;

/// Figures with the compiler that made the code: a line `compiler: …`, then a line for each figure.
pub(crate) struct Baseline {
    pub(crate) compiler: String,
    /// What was counted, and the instructions for each command.
    figures: Vec<(String, f64)>,
}

impl Baseline {
    /// No figures yet.
    pub(crate) fn of_this_compiler() -> Self {
        Baseline {
            compiler: compiler(),
            figures: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, path: &str, row: Row, count: f64) {
        self.figures.push((format!("{path}, {row}"), count));
    }

    pub(crate) fn load() -> Self {
        let text = std::fs::read_to_string(FILE).expect("the baseline is readable");
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        let compiler = match lines.next() {
            Some(("compiler", compiler)) => compiler.to_owned(),
            _ => panic!("the baseline starts with its compiler"),
        };
        let figures = lines
            .map(|(name, count)| (name.to_owned(), count.parse().expect("a number")))
            .collect();
        Baseline { compiler, figures }
    }

    pub(crate) fn save(&self) {
        let mut text = format!("compiler: {}\n", self.compiler);
        for (name, count) in &self.figures {
            let _ = writeln!(text, "{name}: {count:.0}");
        }
        std::fs::write(FILE, text).expect("the baseline is writable");
        println!("wrote {FILE}");
    }

    /// A line for each figure of `counted` that is above this baseline's by more than the slack, or
    /// that it does not have.
    pub(crate) fn worse(&self, counted: &Baseline) -> Vec<String> {
        let of = |name: &str| self.figures.iter().find(|(other, _)| other == name);
        let lines = counted.figures.iter().map(|(name, count)| match of(name) {
            None => Some(format!(
                "{name}: {count:.0}, and the baseline has no figure"
            )),
            Some((_, old)) if *count > old * SLACK => {
                let percent = (count / old - 1.0) * 100.0;
                Some(format!("{name}: {count:.0}, {percent:.1} % above {old:.0}"))
            }
            Some(_) => None,
        });
        lines.flatten().collect()
    }
}

/// The version of the compiler and the machine that it compiles for.
fn compiler() -> String {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.expect("rustc is installed where cargo is");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let [release, host] = ["release: ", "host: "].map(|name| field(name).unwrap_or("unknown"));
    format!("rustc {release} {host}")
}
