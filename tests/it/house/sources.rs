//! The repository's files as data: their texts, their tokens, and what they import.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The repository's own folder.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the repository.
pub struct File {
    /// Its path from the root of the repository, with `/` on every platform.
    pub path: String,
    pub text: String,
}

/// Every text file below these folders (or named among them), in the order of their paths.
///
/// What builds and fuzzing leave behind does not count.
pub fn files(places: &[&str]) -> Vec<File> {
    const LEFT_BEHIND: [&str; 5] = ["target", "corpus", "artifacts", "coverage", "__pycache__"];
    fn walk(path: &Path, found: &mut Vec<File>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !LEFT_BEHIND.contains(&&*name) {
            for entry in fs::read_dir(path).expect("a folder") {
                walk(&entry.expect("an entry").path(), found);
            }
        } else if path.is_file() {
            let relative = path.strip_prefix(ROOT).expect("it is in the repository");
            found.push(File {
                path: relative.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(path).unwrap_or_default(),
            });
        }
    }
    let mut found = Vec::new();
    for place in places {
        walk(&Path::new(ROOT).join(place), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A path without `.` and `..`.
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The Rust sources of the library and the binary.
pub fn sources() -> Vec<Source> {
    let sources: Vec<Source> = files(&["src"])
        .into_iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(Source::new)
        .collect();
    assert!(sources.len() > 20, "the sources were found");
    sources
}

/// A Rust file, as its tokens. Comments are none; a doc comment is an attribute with a string.
pub struct Source {
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

/// A word, a character of punctuation, a literal or a bracket.
pub struct Token {
    pub text: String,
    pub line: usize,
    /// Whether it stands in a module that is compiled for tests only.
    pub in_tests: bool,
    /// How many modules of this file it stands in, and how many brackets.
    modules: usize,
    pub brackets: usize,
}

/// A path into another room.
#[derive(Debug, PartialEq)]
pub struct Import {
    pub room: String,
    pub line: usize,
}

impl Import {
    fn new(room: &str, at: &Token) -> Self {
        Import {
            room: room.to_owned(),
            line: at.line,
        }
    }
}

impl Source {
    pub fn new(file: File) -> Self {
        let stream: TokenStream = file
            .text
            .parse()
            .unwrap_or_else(|error| panic!("{} is not Rust: {error}", file.path));
        let mut tokens = Vec::new();
        flatten(stream, Place::default(), &mut tokens);
        Source {
            path: file.path,
            text: file.text,
            tokens,
        }
    }

    /// The room that this file belongs to: a top-level module of the library, or `bin`. None for `lib.rs`.
    pub fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (room != "lib").then_some(room)
    }

    /// Every path that leads to another room, wherever it stands in the file.
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let first = match token.text.as_str() {
                // In the binary, `crate` is the binary itself.
                "crate" if self.room() == Some("bin") => continue,
                "crate" | "discovery_service" => at,
                "super" if self.word(at.wrapping_sub(1)) != ":" => {
                    let mut last = at;
                    while self.is_path(last) && self.word(last + 3) == "super" {
                        last += 3;
                    }
                    let levels = (last - at) / 3 + 1;
                    if levels <= self.depth() + token.modules {
                        continue;
                    }
                    last
                }
                _ => continue,
            };
            if !self.is_path(first) {
                // `pub(crate)` and `pub(super)` lead nowhere.
                if token.text == "discovery_service" {
                    imports.push(Import::new("discovery_service under another name", token));
                }
            } else if self.word(first + 3) == "{" {
                imports.extend(
                    self.group(first + 3)
                        .map(|member| Import::new(&member.text, member)),
                );
            } else {
                imports.push(Import::new(self.word(first + 3), token));
            }
        }
        imports.retain(|import| self.room() != Some(&import.room));
        imports
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn is_path(&self, at: usize) -> bool {
        (self.word(at + 1), self.word(at + 2)) == (":", ":")
    }

    /// How many modules below its room this file is.
    fn depth(&self) -> usize {
        let below = self.path.split('/').count() - 2;
        let is_folder = self.path.ends_with("/mod.rs");
        below - usize::from(is_folder)
    }

    /// The first word of each member of the group that opens here.
    fn group(&self, open: usize) -> impl Iterator<Item = &Token> {
        let inside = self.tokens[open].brackets + 1;
        self.tokens[open + 1..]
            .iter()
            .take_while(move |token| token.brackets >= inside)
            .scan(true, move |begins, token| {
                let first = *begins && token.brackets == inside;
                *begins = token.brackets == inside && token.text == ",";
                Some(first.then_some(token))
            })
            .flatten()
    }

    /// The lines on which these words stand one behind the other, outside of tests.
    pub fn lines_with(&self, words: &[&str]) -> BTreeSet<usize> {
        self.tokens
            .windows(words.len())
            .filter(|window| {
                let same = |(token, word): (&Token, &&str)| token.text == **word;
                !window[0].in_tests && window.iter().zip(words).all(same)
            })
            .map(|window| window[0].line)
            .collect()
    }
}

/// Where a token stands.
#[derive(Clone, Copy, Default)]
struct Place {
    in_tests: bool,
    modules: usize,
    brackets: usize,
}

fn flatten(stream: TokenStream, place: Place, tokens: &mut Vec<Token>) {
    let token = |text: String, line: usize| Token {
        text,
        line,
        in_tests: place.in_tests,
        modules: place.modules,
        brackets: place.brackets,
    };
    // What is known of the item that is being read; it ends with a block or a semicolon.
    let (mut for_tests, mut is_module) = (false, false);
    let mut after_hash = false;
    for tree in stream {
        let line = tree.span().start().line;
        let TokenTree::Group(group) = tree else {
            let text = tree.to_string();
            is_module |= text == "mod";
            if text == ";" {
                (for_tests, is_module) = (false, false);
            }
            after_hash = text == "#";
            tokens.push(token(text, line));
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::None => ("", ""),
        };
        let is_block = open == "{";
        for_tests |= after_hash && group.stream().to_string() == "cfg (test)";
        after_hash = false;
        let inside = Place {
            in_tests: place.in_tests || (for_tests && is_block),
            modules: place.modules + usize::from(is_module && is_block),
            brackets: place.brackets + 1,
        };
        tokens.push(token(open.to_owned(), line));
        flatten(group.stream(), inside, tokens);
        tokens.push(token(close.to_owned(), group.span_close().start().line));
        if is_block {
            (for_tests, is_module) = (false, false);
        }
    }
}

#[test]
fn imports_are_found_wherever_they_stand_and_nowhere_else() {
    let text = r##"
        //! See [`crate::comment`].
        use crate::{a::{self, b::c}, d as e, /* crate::comment */ f};
        /// As in [`crate::doc_link`].
        pub(crate) fn one(x: crate::g::Type) -> super::Type {
            log::info!("crate::string {}", crate::h::shown(x));
            super::super::i::two()
        }
        use crate::session::itself;
        #[cfg(test)]
        mod tests {
            use super::*;
            use super::super::Type;
            use super::super::super::{j, k::l};
            use discovery_service as library;
        }
        fn three(x: discovery_service::m::Type) -> self::Type {}
    "##;
    let source = Source::new(File {
        path: "src/session/feed.rs".to_owned(),
        text: text.to_owned(),
    });
    let found: Vec<(String, usize)> = source
        .imports()
        .into_iter()
        .map(|import| (import.room, import.line))
        .collect();
    let expected = [
        ("a", 3),
        ("d", 3),
        ("f", 3),
        ("g", 5),
        ("h", 6),
        ("i", 7),
        ("j", 14),
        ("k", 14),
        ("discovery_service under another name", 15),
        ("m", 17),
    ];
    assert_eq!(
        found,
        expected.map(|(room, line)| (room.to_owned(), line)),
        "{found:?}"
    );
    assert_eq!(source.lines_with(&["log", ":", ":"]), [6].into());
    assert!(source.lines_with(&["use", "super"]).is_empty(), "in tests");
}

#[test]
fn a_path_is_normalised() {
    assert_eq!(normal("src/../a/./b"), "a/b");
}
