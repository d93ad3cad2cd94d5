//! Documents: what is named is there, and links lead somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use discovery_service::limits::{
    AUTHENTICATE_MS_MAX, BACKLOG, CLOSED_FIRST_LEN_MIN, DEPARTURES_MAX, FRAME_ANSWER_LEN_MAX,
    FRAME_CONTENT_LEN_MAX, FRAME_HEADER_LEN_MAX, FRAME_MS_MAX, HOLDS_MAX, KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, LINE_LEN_MAX, LINE_MS_MAX, LINGER_MS_MAX,
    LINGERING_REFUSED_MAX, OUTPUT_RUN_LEN_MAX, OUTPUT_STALL_MS_MAX, OUTPUT_WAITING_LEN_MAX,
    PART_LEN_MAX, READ_LEN_MAX, ROOM_MADE_LEN, SHARE_WORK_MAX, SHUTDOWN_MS_MAX, TIGHT_RUN_LEN_MAX,
    TOKEN_LEN_MAX, TURN_READ_LEN_MAX, TURN_WORK_MAX, TURN_WRITE_LEN_MAX, TYPE_LEN_MAX,
    WAITING_ADMIT_LEN_MAX, WAITING_LEN_MAX, WATCH_SILENCE_MS,
};

use super::sources::{File, ROOT, files, normal};

/// Everything that people and programs read in this repository.
const PLACES: [&str; 6] = ["README.md", "Cargo.toml", ".ci", "benches", "src", "tests"];

/// The documents among those.
fn documents() -> Vec<File> {
    let mut documents = files(&PLACES);
    documents.retain(|file| file.path.ends_with(".md"));
    documents
}

/// Whether a path that a file names is there, seen from the root or from the file's own folder.
fn is_there(file: &File, named: &str) -> bool {
    let root = Path::new(ROOT);
    let folder = root.join(&file.path);
    let folder = folder.parent().expect("it is in a folder");
    root.join(named).exists() || folder.join(named).exists()
}

/// Whether a word names a document of this repository.
fn is_document(word: &str) -> bool {
    let name = word.strip_suffix(".md");
    name.is_some_and(|name| !name.is_empty() && !name.contains("://"))
}

#[test]
fn every_document_that_is_named_is_there() {
    let mut missing = String::new();
    for file in files(&PLACES) {
        for (number, line) in (1..).zip(file.text.lines()) {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./:".contains(c)));
            for word in words.filter(|word| is_document(word)) {
                if !is_there(&file, word) {
                    missing += &format!("{}:{number}: {word}\n", file.path);
                }
            }
        }
    }
    assert!(
        missing.is_empty(),
        "\n{missing}Name documents by their path from the root of the repository.\n"
    );
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let documents = documents();
    assert!(documents.iter().any(|file| file.path == "README.md"));
    let mut broken = String::new();
    for document in &documents {
        for (line, target) in links(&document.text) {
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let folder = document
                .path
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            let path = match path {
                "" => document.path.clone(),
                _ => normal(&format!("{folder}/{path}")),
            };
            let found = Path::new(ROOT).join(&path).exists()
                && (heading.is_empty()
                    || documents
                        .iter()
                        .any(|other| other.path == path && anchors(&other.text).contains(heading)));
            if !found {
                broken += &format!("{}:{line}: {target}\n", document.path);
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}These links lead nowhere.\n");
}

/// The lines of a document that are no code, each with its number and without its code spans.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let mut prose = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if !is_code && !is_fence {
            prose.push((number, line.split('`').step_by(2).collect()));
        }
    }
    prose
}

/// The targets of a document's links within the repository, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // `[text](target)`, and `[name]: target` at the beginning of a line.
        let mut targets: Vec<&str> = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
            .collect();
        if line.starts_with('[') {
            targets.extend(line.split_once("]: ").map(|(_, target)| target.trim()));
        }
        let inside = targets.into_iter().filter(|target| !target.contains(':'));
        links.extend(inside.map(|target| (number, target.to_owned())));
    }
    links
}

/// The anchors of a document's headings, as web sites make them.
fn anchors(text: &str) -> BTreeSet<String> {
    // Code spans are part of a heading.
    let headings: BTreeSet<usize> = prose(text)
        .into_iter()
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(number, _)| number)
        .collect();
    let mut anchors = BTreeSet::new();
    for (_, line) in (1..)
        .zip(text.lines())
        .filter(|(number, _)| headings.contains(number))
    {
        let anchor: String = line
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| {
                if c == ' ' {
                    '-'
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect();
        let again = (1..).map(|count| format!("{anchor}-{count}"));
        let mut free = [anchor.clone()].into_iter().chain(again);
        anchors.extend(free.find(|anchor| !anchors.contains(anchor)));
    }
    anchors
}

#[test]
fn links_and_headings_are_read_as_people_write_them() {
    let text = "# One `two`: three\n\
        See [this](a/b.rs), [that](../c#d-e) and `[code](no)`, [web](https://example.org).\n\
        ```\n# no heading\n[code](no)\n```\n\
        ## Again\n## Again\n[name]: f\n";
    let expected = [(2, "a/b.rs"), (2, "../c#d-e"), (9, "f")];
    assert_eq!(
        links(text),
        expected.map(|(line, target)| (line, target.to_owned()))
    );
    let expected = ["again", "again-1", "one-two-three"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}

/// A number with a comma before each three of its digits, where there are more than four.
fn with_commas(number: usize) -> String {
    let text = number.to_string();
    match text.len() {
        ..=4 => text,
        len => format!("{},{}", &text[..len - 3], &text[len - 3..]),
    }
}

#[test]
fn the_bounds_that_the_protocol_names_are_those_of_the_service() {
    const KIB: usize = 1024;
    let protocol = std::fs::read_to_string(Path::new(ROOT).join("src/PROTOCOL.md"));
    let protocol = protocol.expect("it is there");
    let words: Vec<&str> = protocol.split_whitespace().collect();
    let protocol = words.join(" ");
    let seconds = |ms: u64| format!("| {} s", ms as f64 / 1000.0);
    let (idle, interval) = (KEEPALIVE_IDLE.as_secs(), KEEPALIVE_INTERVAL.as_secs());
    let (share, turn) = (SHARE_WORK_MAX, TURN_WORK_MAX as usize);
    assert_eq!(turn / share, 10, "a connection gets a tenth");
    let named = [
        format!("| {LINE_LEN_MAX} bytes in a line, before its line end |"),
        format!(
            "| {FRAME_HEADER_LEN_MAX} bytes of a frame's header, {FRAME_CONTENT_LEN_MAX} of its"
        ),
        format!("| {TYPE_LEN_MAX} bytes of a type, {TOKEN_LEN_MAX} of a token |"),
        format!("| {BACKLOG} connections that wait to be accepted |"),
        format!("| {HOLDS_MAX} registrations held by one connection |"),
        format!(
            "| {} MiB of a framed answer",
            FRAME_ANSWER_LEN_MAX / KIB / KIB
        ),
        format!("lines of at most {} KiB", PART_LEN_MAX / KIB),
        format!("| {DEPARTURES_MAX} removals that `why` remembers |"),
        format!("While {LINGERING_REFUSED_MAX} refused connections"),
        format!("| {} bytes of answers", with_commas(OUTPUT_RUN_LEN_MAX)),
        format!("up to {} KiB of memory", READ_LEN_MAX / KIB),
        format!("| {} KiB of deltas", OUTPUT_WAITING_LEN_MAX / KIB),
        format!(
            "| {} MiB of waiting answers",
            WAITING_ADMIT_LEN_MAX / KIB / KIB
        ),
        format!("| {} MiB of the same", WAITING_LEN_MAX / KIB / KIB),
        format!("A client that has {} KiB", TIGHT_RUN_LEN_MAX / KIB),
        format!("until {} MiB are free", ROOM_MADE_LEN / KIB / KIB),
        format!("that take {} KiB or more", CLOSED_FIRST_LEN_MIN / KIB),
        format!(
            "{} in which a client takes not one byte",
            seconds(OUTPUT_STALL_MS_MAX)
        ),
        format!(
            "{} from the first byte of a text command to its last, {} s from that of a frame",
            seconds(LINE_MS_MAX),
            FRAME_MS_MAX / 1000
        ),
        format!(
            "| with `--token-file`, {} s from the accept",
            AUTHENTICATE_MS_MAX / 1000
        ),
        format!(
            "| {idle} s without a sign of life from the peer's host, then {KEEPALIVE_PROBES} TCP \
             keepalive probes {interval} s apart |"
        ),
        format!(
            "{} without a line for a watcher |",
            seconds(WATCH_SILENCE_MS)
        ),
        format!("{} of staged closing |", seconds(LINGER_MS_MAX)),
        format!(
            "{} after the service was told to stop |",
            seconds(SHUTDOWN_MS_MAX)
        ),
        format!("about {} ms on an ordinary core", turn / 4_000),
        format!("reads at most {} KiB", TURN_READ_LEN_MAX / KIB),
        format!("writes at most {} KiB", TURN_WRITE_LEN_MAX / KIB),
    ];
    let missing: Vec<&String> = named
        .iter()
        .filter(|said| !protocol.contains(*said))
        .collect();
    assert!(
        missing.is_empty(),
        "src/PROTOCOL.md does not say {missing:#?}"
    );
}
