//! What is typed and what is shown, as a document has it.

use std::collections::HashMap;

use regex::{Captures, Regex};

const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/// A block of a document: commands, or a file.
pub struct Block {
    /// The heading that it stands under.
    pub section: String,
    pub line: usize,
    /// Why it is not run, where a comment before it says so.
    pub not_run: Option<String>,
    /// The program without which it is skipped, where a comment before it says so.
    pub needs: Option<String>,
    pub steps: Vec<Step>,
}

/// A command and what it prints.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub line: usize,
    pub command: String,
    pub output: String,
}

const END_OF_FILE: &str = "END-OF-FILE";

impl Step {
    /// The beginning of a step that writes a file.
    fn of_file(line: usize, name: &str) -> Self {
        Step {
            line,
            command: format!("cat >{name} <<'{END_OF_FILE}'"),
            output: String::new(),
        }
    }

    /// Whether it only asks, so that it can be asked again where the answer is not there yet.
    pub fn asks(&self) -> bool {
        const ASKS: [&str; 4] = [
            "discovery query ",
            "discovery list",
            "discovery types",
            "promtool query ",
        ];
        let begins = |beginning: &&str| self.command.starts_with(*beginning);
        let is_get = self.command.starts_with("curl ") && !self.command.contains(" -d ");
        is_get || ASKS.iter().any(begins)
    }
}

/// What a fence encloses.
enum Fence {
    Console,
    File,
    Other,
}

/// The blocks of a document that are marked as `console`, and those that a comment before them names as a file.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut section = "";
    let mut comment = None;
    let mut fence = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (&fence, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let said = |what| comment.and_then(|(key, value)| (key == what).then_some(value));
                let mut block = Block {
                    section: section.to_owned(),
                    line: number,
                    not_run: said("not run").map(str::to_owned),
                    needs: said("needs").map(str::to_owned),
                    steps: Vec::new(),
                };
                fence = match (language, said("file")) {
                    ("console", _) => Some(Fence::Console),
                    (_, Some(name)) => {
                        block.steps.push(Step::of_file(number, name));
                        Some(Fence::File)
                    }
                    _ => Some(Fence::Other),
                };
                if !matches!(fence, Some(Fence::Other)) {
                    blocks.push(block);
                }
                comment = None;
            }
            (Some(kind), end) => {
                if let (Fence::Console, None) = (kind, end) {
                    push_line(blocks.last_mut().expect("a block"), number, line);
                }
                if let Fence::File = kind {
                    let block = blocks.last_mut().expect("a block");
                    let line = end.map_or(line, |_| END_OF_FILE);
                    block.steps[0].command += &format!("\n{line}");
                }
                if end.is_some() {
                    fence = None;
                }
            }
            (None, None) => {
                if line.starts_with('#') {
                    section = line;
                }
                if !line.is_empty() {
                    comment = line
                        .strip_prefix("<!-- ")
                        .and_then(|rest| rest.strip_suffix(" -->"))
                        .and_then(|said| said.split_once(": "));
                }
            }
        }
    }
    blocks
}

/// A line with a prompt begins a step; one behind a backslash goes on with its command; others are output.
fn push_line(block: &mut Block, number: usize, line: &str) {
    if block.not_run.is_some() {
        return;
    }
    if let Some(command) = line.strip_prefix("$ ") {
        block.steps.push(Step {
            line: number,
            command: command.to_owned(),
            output: String::new(),
        });
        return;
    }
    let last = block.steps.last_mut();
    let last = last.unwrap_or_else(|| panic!("README.md:{number}: no command behind `$ `"));
    if last.output.is_empty() && last.command.ends_with('\\') {
        last.command += &format!("\n{line}");
    } else {
        last.output += &format!("{line}\n");
    }
}

/// What a shell or a service printed, without what is another each time: UUIDs, times, ages, the numbers of
/// jobs and of their processes. The shell tells of a job that has ended at a moment of its own, so that is left out.
pub fn masked(text: &str) -> String {
    let mut text = format!("{text}\n");
    for (pattern, mask) in [
        (UUID, "<uuid>"),
        (
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?Z",
            "<time>",
        ),
        (r#""age_ms":[0-9]+"#, r#""age_ms":<age>"#),
        (r" @\[[0-9.]+\]", " @[<time>]"),
        (r"(?m)^\[[0-9]+\] [0-9]+$", "[<job>] <pid>"),
        (
            r"(?m)^\[[0-9]+\][-+ ] +(Killed|Terminated|Done|Exit) .*\n",
            "",
        ),
    ] {
        text = regex(pattern).replace_all(&text, mask).into_owned();
    }
    text.trim_end().to_owned() + "\n"
}

/// The UUIDs of a text, in their order.
pub fn uuids(text: &str) -> impl Iterator<Item = String> {
    let found: Vec<String> = regex(UUID)
        .find_iter(text)
        .map(|found| found.as_str().to_owned())
        .collect();
    found.into_iter()
}

/// The ports that a command names: whole words from 1024 on.
pub fn ports(command: &str) -> Vec<String> {
    words(command)
        .filter(|word| word.parse::<u16>().is_ok_and(|port| port >= 1024))
        .map(str::to_owned)
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))
}

/// The text with other words for these.
pub fn replaced(text: &str, stands_for: &HashMap<String, String>) -> String {
    let word = |found: &Captures| {
        let word = &found[0];
        stands_for.get(word).map_or(word, |other| other).to_owned()
    };
    regex("[0-9A-Za-z.-]+").replace_all(text, word).into_owned()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

#[test]
fn blocks_commands_and_outputs_are_told_apart() {
    let text = "# One\n<!-- not run: it lasts -->\n\n```console\na\n```\n\
        ```sh\n$ no\n```\n## Two\n```console\n$ b \\\n  c\nout\n\nput\n$ d\n```\n\
        <!-- file: a.yml -->\n```yaml\nx: 1\n\n```\n<!-- needs: cc -->\n```console\n$ cc\n```\n";
    let blocks = blocks(text);
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks[0].not_run.as_deref(), Some("it lasts"));
    assert_eq!((blocks[1].section.as_str(), blocks[1].line), ("## Two", 11));
    assert_eq!(blocks[1].not_run, None);
    let step = |line, command: &str, output: &str| Step {
        line,
        command: command.to_owned(),
        output: output.to_owned(),
    };
    let expected = [step(12, "b \\\n  c", "out\n\nput\n"), step(17, "d", "")];
    assert_eq!(blocks[1].steps, expected);
    let file = "cat >a.yml <<'END-OF-FILE'\nx: 1\n\nEND-OF-FILE";
    assert_eq!(blocks[2].steps, [step(20, file, "")]);
    assert_eq!(blocks[3].needs.as_deref(), Some("cc"));
}

#[test]
fn what_varies_is_masked_and_replaced_as_a_whole_word() {
    let text = "[2] 14580\n3999da30-2a11-463a-be8e-6b2beca7bfe6 at 2026-11-25T11:06:55Z\n\
        [2]-  Killed                  discovery run web 8001\n[{\"port\":8001}]\n";
    assert_eq!(
        masked(text),
        "[<job>] <pid>\n<uuid> at <time>\n[{\"port\":8001}]\n"
    );
    assert_eq!(
        ports("run web 8001 http://127.0.0.1:8002/ 80 a-9000"),
        ["8001", "8002"]
    );
    let stands_for = HashMap::from([("8001".to_owned(), "7".to_owned())]);
    assert_eq!(
        replaced("127.0.0.1:8001 18001 8001-a 8001", &stands_for),
        "127.0.0.1:7 18001 8001-a 7"
    );
}
