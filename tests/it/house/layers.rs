//! The shape of the house, as a test: who may know of sockets and clocks, and how long a file gets.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 460;

/// Every source file with its text.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 20, "the sources were found");
    found
}

/// The files that hold one of these words, outside of these places.
fn offenders(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let offends = |path: &Path, text: &str| {
        let path = path.to_string_lossy().replace('\\', "/");
        let allowed = allowed.iter().any(|place| path.contains(place));
        !allowed
            && text.lines().any(|line| {
                !line.trim_start().starts_with("//") && words.iter().any(|w| line.contains(w))
            })
    };
    sources()
        .iter()
        .filter(|(path, text)| offends(path, text))
        .map(|(path, _)| path.display().to_string())
        .collect()
}

#[test]
fn row_29_the_wall_clock_is_read_for_the_log_and_to_be_shown_and_handed_in_where_it_is() {
    assert_eq!(
        offenders(
            &["SystemTime", "Utc::now", "Local::now"],
            &[
                "bin/discovery/logging.rs",
                "src/server/mod.rs",
                "bin/discovery/verbs/watch/mod.rs"
            ]
        ),
        [""; 0]
    );
}

#[test]
fn in_the_service_only_the_server_room_knows_mio_and_the_monotonic_clock() {
    assert_eq!(
        offenders(
            &["mio::", "Instant"],
            &["src/server/", "src/client/", "src/bin/"]
        ),
        [""; 0]
    );
}

#[test]
fn the_registry_and_the_wire_never_meet() {
    let registry = offenders(
        &["crate::wire", "crate::session", "crate::engine", "log::"],
        &[
            "src/wire",
            "src/session/",
            "src/engine",
            "src/server",
            "src/service",
            "bin/discovery/logging.rs",
        ],
    );
    assert_eq!(registry, [""; 0]);
    assert_eq!(
        offenders(
            &["crate::registry"],
            &["src/service", "src/server", "src/registry"]
        ),
        [""; 0]
    );
}

#[test]
fn nothing_is_unsafe_and_no_file_is_too_long_to_read() {
    assert_eq!(offenders(&["unsafe "], &[]), [""; 0]);
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| {
            text.split("#[cfg(test)]\nmod tests")
                .next()
                .is_some_and(|code| code.lines().count() > LINES_MAX)
        })
        .map(|(path, _)| path)
        .collect();
    assert_eq!(long, Vec::<PathBuf>::new());
}
