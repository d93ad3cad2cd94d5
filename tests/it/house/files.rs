//! Files that nothing reaches.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{File, ROOT, Source, files, normal};

/// Where the compiler begins: the library, the binary, and every test, bench and fuzz target.
fn is_root(path: &str, fuzz_manifest: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["src", "lib.rs"] | ["src", "bin", "discovery", "main.rs"] => true,
        ["tests" | "benches", _] | ["tests" | "benches", _, "main.rs"] => true,
        ["tests", "fuzz", ..] => fuzz_manifest.contains(&parts[2..].join("/")),
        _ => false,
    }
}

/// Every Rust file that the compiler sees when it begins with these.
fn reached(roots: &BTreeSet<String>, sources: &BTreeMap<String, Source>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = roots.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let source = sources
            .get(&path)
            .unwrap_or_else(|| panic!("{path} is declared as a module, and is not there"));
        open.extend(modules(source, roots.contains(&path), sources));
        reached.insert(path);
    }
    reached
}

/// The files of the modules that a file declares.
fn modules(source: &Source, is_root: bool, sources: &BTreeMap<String, Source>) -> Vec<String> {
    let (folder, name) = source.path.rsplit_once('/').expect("it is in a folder");
    let below = if is_root || name == "mod.rs" {
        folder
    } else {
        source.path.trim_end_matches(".rs")
    };
    let mut modules = Vec::new();
    let mut given = None;
    for (at, token) in source.tokens.iter().enumerate() {
        let word = |ahead: usize| {
            source
                .tokens
                .get(at + ahead)
                .map_or("", |token| &token.text)
        };
        match token.text.as_str() {
            "path" if word(1) == "=" => given = Some(word(2).trim_matches('"').to_owned()),
            "mod" if word(2) == ";" => {
                let line = token.line;
                assert_eq!(
                    token.brackets, 0,
                    "{}:{line}: a file inside a module",
                    source.path
                );
                let file = format!("{below}/{}.rs", word(1));
                modules.push(match given.take() {
                    Some(path) => normal(&format!("{folder}/{path}")),
                    None if sources.contains_key(&file) => file,
                    None => format!("{below}/{}/mod.rs", word(1)),
                });
            }
            _ => {}
        }
    }
    modules
}

#[test]
fn every_rust_file_is_compiled() {
    let manifest = files(&["tests/fuzz/Cargo.toml"]);
    let manifest = manifest.first().map_or("", |file| &file.text);
    let sources: BTreeMap<String, Source> = files(&["src", "tests", "benches"])
        .into_iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.path.clone(), Source::new(file)))
        .collect();
    let roots: BTreeSet<String> = sources
        .keys()
        .filter(|path| is_root(path, manifest))
        .cloned()
        .collect();
    let reached = reached(&roots, &sources);
    let dead: Vec<&String> = sources
        .keys()
        .filter(|path| !reached.contains(*path))
        .collect();
    assert_eq!(
        dead, [""; 0],
        "no `mod` leads to these files: declare them or delete them"
    );
    for root in [
        "src/lib.rs",
        "src/bin/discovery/main.rs",
        "tests/it/main.rs",
    ] {
        assert!(roots.contains(root), "{root}");
    }
}

#[test]
fn the_top_level_holds_nothing_but_what_belongs_there() {
    const BELONGS: [&str; 10] = [
        ".ci",
        ".gitignore",
        ".rustfmt.toml",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "src",
        "tests",
    ];
    // The repository itself and what is built are no part of it.
    const BESIDE: [&str; 2] = [".git", "target"];
    let entries = std::fs::read_dir(ROOT).expect("it is there");
    for entry in entries {
        let name = entry.expect("it is there").file_name();
        let name = name.to_string_lossy();
        let is_known = BELONGS.iter().chain(&BESIDE).any(|known| *known == name);
        assert!(is_known, "{name} does not belong there");
    }
}

#[test]
fn every_other_file_of_the_tests_is_used_by_one() {
    let (sources, others): (Vec<File>, Vec<File>) = files(&["tests", ".ci"])
        .into_iter()
        .partition(|file| file.path.ends_with(".rs") || file.path == ".ci/run");
    let is_named = |name: &str| sources.iter().any(|source| source.text.contains(name));
    for other in others {
        let (folder, name) = other.path.rsplit_once('/').expect("it is in a folder");
        // A test may use all files of a folder of data by the folder's name.
        let is_data = !sources.iter().any(|source| source.path.starts_with(folder));
        let (_, folder) = folder.rsplit_once('/').unwrap_or(("", folder));
        // Cargo itself reads these.
        let is_cargos = ["Cargo.toml", "Cargo.lock"].contains(&name);
        assert!(
            is_cargos || is_named(name) || (is_data && is_named(folder)),
            "{} is named by no test",
            other.path
        );
    }
}
