//! Rules for the sources: what only some rooms may use, and how long a file gets.

use std::collections::BTreeSet;

use super::sources::{Source, sources};

/// Lines of code in a file, its tests not counted.
const LINES_MAX: usize = 400;

/// What is used in these places (folders or files) and nowhere else; each of them must use it.
fn assert_confined(what: &str, uses: impl Fn(&Source) -> BTreeSet<usize>, places: &[&str]) {
    let mut wrong = String::new();
    let mut in_use = BTreeSet::new();
    for source in sources() {
        let lines = uses(&source);
        let place = places.iter().find(|place| source.path.starts_with(**place));
        match (place, lines.first()) {
            (None, Some(line)) => wrong += &format!("{}:{line} uses {what}\n", source.path),
            (Some(place), Some(_)) => drop(in_use.insert(*place)),
            (_, None) => {}
        }
    }
    for place in places.iter().filter(|place| !in_use.contains(*place)) {
        wrong += &format!("{place} no longer uses {what}: take it off the list\n");
    }
    assert!(
        wrong.is_empty(),
        "\n{wrong}Only these may use {what}: {places:?}\n"
    );
}

/// The lines outside of tests on which one of these paths is used, such as `log::`.
fn any_of(paths: &[&str]) -> impl Fn(&Source) -> BTreeSet<usize> {
    let paths: Vec<Vec<&str>> = paths
        .iter()
        .map(|path| {
            let mut words: Vec<&str> = path.split("::").collect();
            for at in (1..words.len()).rev() {
                words.splice(at..at, [":", ":"]);
            }
            words.retain(|word| !word.is_empty());
            words
        })
        .collect();
    move |source| {
        paths
            .iter()
            .flat_map(|path| source.lines_with(path))
            .collect()
    }
}

#[test]
fn only_the_loop_and_run_know_mio() {
    assert_confined("mio", any_of(&["mio"]), &["src/bin/", "src/server/"]);
}

#[test]
fn only_the_edges_read_the_monotonic_clock() {
    let places = ["src/bin/", "src/client/", "src/server/"];
    assert_confined("the monotonic clock", any_of(&["Instant"]), &places);
}

#[test]
fn row_29_the_wall_clock_is_read_for_the_log_and_for_people_and_handed_in_everywhere_else() {
    let places = [
        "src/bin/discovery/verbs/watch/mod.rs",
        "src/bin/discovery/logging.rs",
        "src/server/mod.rs",
    ];
    let clock = any_of(&["SystemTime", "Utc::now", "Local::now"]);
    assert_confined("the wall clock", clock, &places);
}

#[test]
fn only_the_edges_open_files() {
    let places = [
        "src/auth/file.rs",
        "src/bin/",
        "src/server/cluster.rs",
        "src/server/memory.rs",
        "src/server/process.rs",
        "src/server/state_file/",
    ];
    assert_confined("files", any_of(&["fs::", "File"]), &places);
}

#[test]
fn only_the_client_and_the_state_file_start_threads() {
    let threads = any_of(&[
        "thread::", "Mutex", "RwLock", "Condvar", "Barrier", "mpsc", "OnceLock", "LazyLock",
    ]);
    let places = ["src/client/", "src/server/state_file/"];
    assert_confined("threads or locks", threads, &places);
}

#[test]
fn json_is_written_and_read_where_it_is_spoken() {
    let places = [
        "src/bin/",
        "src/client/",
        "src/cluster/",
        "src/etcd/",
        "src/wire/",
    ];
    let json = any_of(&["serde_json", "json::"]);
    // A literal that names a member of an object.
    let literal = |source: &Source| -> BTreeSet<usize> {
        let names_member =
            |text: &str| text.ends_with(['"', '#']) && text.replace('\\', "").contains("\":");
        let tokens = source.tokens.iter().filter(|token| !token.in_tests);
        tokens
            .filter(|token| names_member(&token.text))
            .map(|token| token.line)
            .collect()
    };
    let either = |source: &Source| &json(source) | &literal(source);
    assert_confined("JSON", either, &places);
}

#[test]
fn the_registry_and_the_formats_write_no_log() {
    let places = ["src/bin/", "src/engine/", "src/server/", "src/service/"];
    assert_confined("the log", any_of(&["log::"]), &places);
}

#[test]
fn nothing_is_unsafe() {
    assert_confined("unsafe code", any_of(&["unsafe"]), &[]);
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|source| {
            let code = source.text.split("#[cfg(test)]\nmod tests").next();
            code.is_some_and(|code| code.lines().count() > LINES_MAX)
        })
        .map(|source| source.path)
        .collect();
    assert!(
        long.is_empty(),
        "more than {LINES_MAX} lines of code: {long:?}"
    );
}
