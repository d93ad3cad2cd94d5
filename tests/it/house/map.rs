//! The map of the rooms: who may import whom. A room is a top-level module of the library; `bin` is the binary.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{File, Source, files, sources};

/// Each room, and the rooms that it imports. Kept exact: what is not here may not be imported, and what is
/// here must be.
const MAP: &[(&str, &[&str])] = &[
    ("ascii", &[]),
    ("auth", &["escape", "limits"]),
    ("bin", &["client", "escape", "limits", "message", "server"]),
    ("client", &["auth", "escape", "message"]),
    ("cluster", &["etcd", "limits", "message", "time"]),
    (
        "engine",
        &[
            "limits", "message", "service", "session", "state", "time", "wire",
        ],
    ),
    ("escape", &[]),
    ("etcd", &["limits", "message", "time"]),
    ("limits", &[]),
    ("message", &["ascii", "limits", "time"]),
    ("registry", &["ascii", "limits", "message", "time"]),
    (
        "server",
        &[
            "auth", "cluster", "engine", "escape", "etcd", "limits", "message", "registry",
            "service", "state", "time", "wire",
        ],
    ),
    (
        "service",
        &[
            "auth", "cluster", "etcd", "limits", "message", "registry", "state", "time",
        ],
    ),
    ("session", &["limits", "message", "time", "wire"]),
    ("state", &["limits", "message"]),
    ("time", &[]),
    ("wire", &["ascii", "limits", "message"]),
];

fn may_import(room: &str) -> &'static [&'static str] {
    MAP.iter()
        .find(|(name, _)| *name == room)
        .map_or(&[], |(_, rooms)| rooms)
}

#[test]
fn each_room_imports_the_rooms_of_the_map_and_no_other() {
    let mut wrong = String::new();
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for source in sources() {
        let Some(room) = source.room() else { continue };
        for import in source.imports() {
            if !may_import(room).contains(&import.room.as_str()) {
                wrong += &format!(
                    "{}:{}: `{room}` imports `{}`, which the map does not allow\n",
                    source.path, import.line, import.room
                );
            }
            used.insert((room.to_owned(), import.room));
        }
    }
    for (room, rooms) in MAP {
        for other in *rooms {
            if !used.contains(&(room.to_string(), other.to_string())) {
                wrong +=
                    &format!("the map lets `{room}` import `{other}`, and no file of it does\n");
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{wrong}\
        Move what is needed to a room that may be imported, or hand it in from a room that knows both.\n\
        Where the design itself has changed, change MAP in {} and the table in src/lib.rs.\n",
        file!()
    );
}

#[test]
fn the_map_has_every_room() {
    let library = files(&["src/lib.rs"])
        .pop()
        .map(Source::new)
        .expect("src/lib.rs");
    let mut rooms: Vec<&str> = library
        .tokens
        .windows(3)
        .filter(|words| words[0].text == "mod" && words[2].text == ";")
        .map(|words| words[1].text.as_str())
        .chain(["bin"])
        .collect();
    rooms.sort_unstable();
    let mapped: Vec<&str> = MAP.iter().map(|(room, _)| *room).collect();
    assert_eq!(mapped, rooms, "MAP in {} against src/lib.rs", file!());
}

#[test]
fn the_map_has_no_circle() {
    assert_eq!(
        circle(MAP),
        BTreeSet::new(),
        "these rooms wait for each other"
    );
    let with_circle: [(&str, &[&str]); 3] = [("a", &["b"]), ("b", &["a"]), ("c", &[])];
    assert_eq!(circle(&with_circle), BTreeSet::from(["a", "b"]));
}

/// What a topological sort leaves over: the rooms that are on a circle, or import one that is.
fn circle<'a>(map: &[(&'a str, &'a [&'a str])]) -> BTreeSet<&'a str> {
    let mut left: BTreeMap<&str, &[&str]> = map.iter().copied().collect();
    loop {
        let free = left
            .iter()
            .find(|(_, rooms)| rooms.iter().all(|room| !left.contains_key(room)))
            .map(|(room, _)| *room);
        match free {
            Some(room) => drop(left.remove(room)),
            None => return left.into_keys().collect(),
        }
    }
}

#[test]
fn a_forbidden_import_is_found() {
    let source = Source::new(File {
        path: "src/wire/text.rs".to_owned(),
        text: "fn peek(registry: &crate::registry::Registry) {}".to_owned(),
    });
    let room = source.room().expect("wire");
    let forbidden = |import: &super::sources::Import| !may_import(room).contains(&&*import.room);
    assert_eq!(source.imports().iter().filter(|i| forbidden(i)).count(), 1);
}
