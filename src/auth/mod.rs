//! The tokens that clients must present, and their comparison in constant time.
//!
//! A token is a capability: it appears in no log, no error and no `Debug` output.

mod file;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;

use subtle::ConstantTimeEq;

use crate::limits::TOKEN_LEN_MAX;

pub use file::{TokenFileError, is_readable_by_everybody, read_first_token, read_tokens};

/// The tokens of a token file; at least one.
///
/// They lie in a table by a keyed hash. What a peer shows is hashed, and compared with the one token
/// that has this hash, so that a wrong token costs the same whatever the number of tokens.
pub struct Tokens {
    key: RandomState,
    /// By the [`digest`] of the token.
    table: HashMap<u128, Token>,
    /// The numbers of all that are in the table.
    numbers: HashSet<NonZeroU32>,
    /// The greatest number that was ever given.
    last_number: u32,
}

/// A token with its number, which it keeps as long as it is in the file.
struct Token {
    text: Box<str>,
    number: NonZeroU32,
}

/// The keyed hash of a token. Nobody without the key can choose two tokens of one digest, and in a
/// file that fits into memory two of 2^128 digests do not meet.
fn digest(key: &RandomState, token: &str) -> u128 {
    let half = |part: u8| u128::from(key.hash_one((part, token)));
    half(0) << 64 | half(1)
}

/// Why a token file is invalid. It names lines, never their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensError {
    /// No line holds a token.
    Empty,
    /// The line with this number, counted from 1, holds white space or a control character.
    Character(usize),
    /// The line with this number, counted from 1, is too long.
    TooLong(usize),
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokensError::Empty => f.write_str("it holds no token"),
            TokensError::Character(line) => {
                write!(f, "line {line} holds white space or a control character")
            }
            TokensError::TooLong(line) => {
                write!(f, "line {line} is longer than {TOKEN_LEN_MAX} bytes")
            }
        }
    }
}

impl std::error::Error for TokensError {}

impl Tokens {
    /// Reads the text of a token file: one token a line; empty lines are ignored.
    ///
    /// # Errors
    /// When there is no token, or a line is not a token that a client could send.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens = Tokens {
            key: RandomState::new(),
            table: HashMap::new(),
            numbers: HashSet::new(),
            last_number: 0,
        };
        for token in lines(text) {
            let (line, token) = token?;
            if token.len() > TOKEN_LEN_MAX {
                return Err(TokensError::TooLong(line));
            }
            let number = tokens.next_number();
            tokens.add(token, number);
        }
        if tokens.table.is_empty() {
            Err(TokensError::Empty)
        } else {
            Ok(tokens)
        }
    }

    /// These tokens as successors of `old`: a token that is in both keeps its number, and no other has the
    /// number of an old one.
    #[must_use]
    pub fn succeed(self, old: &Tokens) -> Tokens {
        let mut tokens = Tokens {
            key: self.key,
            table: HashMap::with_capacity(self.table.len()),
            numbers: HashSet::with_capacity(self.table.len()),
            last_number: old.last_number,
        };
        for Token { text, .. } in self.table.into_values() {
            let known = old.accept(&text);
            let number = known.unwrap_or_else(|| tokens.next_number());
            tokens.add(&text, number);
        }
        tokens
    }

    /// The number of `token`, if it is one of them, in a time that depends only on the length of `token`.
    #[must_use]
    pub fn accept(&self, token: &str) -> Option<NonZeroU32> {
        self.candidate(token)
            .filter(|candidate| is_same(&candidate.text, token))
            .map(|candidate| candidate.number)
    }

    /// Whether one of them has this number.
    #[must_use]
    pub fn contains(&self, number: NonZeroU32) -> bool {
        self.numbers.contains(&number)
    }

    /// The only one of them that `token` may be.
    fn candidate(&self, token: &str) -> Option<&Token> {
        self.table.get(&digest(&self.key, token))
    }

    fn next_number(&mut self) -> NonZeroU32 {
        self.last_number = self.last_number.wrapping_add(1);
        NonZeroU32::new(self.last_number).unwrap_or_else(|| self.next_number())
    }

    fn add(&mut self, token: &str, number: NonZeroU32) {
        let text = token.into();
        self.table
            .insert(digest(&self.key, token), Token { text, number });
        self.numbers.insert(number);
    }
}

/// Compares two tokens in constant time, if they have one length.
fn is_same(a: &str, b: &str) -> bool {
    #[cfg(test)]
    tests::COMPARISONS.set(tests::COMPARISONS.get() + 1);
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// The first token in the text of a token file, which a client presents.
///
/// # Errors
/// When there is no token, or the first line that is not empty is not one.
fn first(text: &str) -> Result<&str, TokensError> {
    lines(text)
        .next()
        .unwrap_or(Err(TokensError::Empty))
        .map(|(_, token)| token)
}

/// The tokens in the text of a token file, each with the number of its line.
fn lines(text: &str) -> impl Iterator<Item = Result<(usize, &str), TokensError>> {
    let tokens = text
        .lines()
        .map(str::trim_ascii_end)
        .zip(1..)
        .filter(|(token, _)| !token.is_empty());
    tokens.map(|(token, line)| {
        let wrong = token.chars().any(|c| c.is_whitespace() || c.is_control());
        if wrong {
            Err(TokensError::Character(line))
        } else {
            Ok((line, token))
        }
    })
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.table.len())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Calls of [`is_same`].
        pub(super) static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn row_44_a_shown_token_is_compared_with_one_line_at_most() {
        let text: String = (0..1000).map(|line| format!("token-{line}\n")).collect();
        let tokens = Tokens::parse(&text).unwrap();
        let compared = |token: &str| {
            COMPARISONS.set(0);
            (tokens.accept(token).is_some(), COMPARISONS.get())
        };
        for line in [0, 1, 499, 999] {
            assert_eq!(compared(&format!("token-{line}")), (true, 1));
            assert_eq!(compared(&format!("wrong-{line}")), (false, 0));
        }
        let other = Tokens::parse(&text).unwrap();
        assert_ne!(
            digest(&tokens.key, "token-1"),
            digest(&other.key, "token-1"),
            "the hash has a key of its own"
        );
    }

    #[test]
    fn a_token_is_accepted_whole_and_nothing_else_is() {
        let tokens = Tokens::parse("first\n\nsecond-token \r\n").unwrap();
        for token in ["first", "second-token"] {
            assert!(tokens.accept(token).is_some(), "{token}");
        }
        for token in [
            "",
            "firs",
            "firstt",
            "First",
            "second",
            "first\0",
            "first\nsecond-token",
            &"x".repeat(2000),
        ] {
            assert_eq!(tokens.accept(token), None, "{token}");
        }
    }

    #[test]
    fn a_token_keeps_its_number_as_long_as_it_is_in_the_file() {
        let first = Tokens::parse("a\nb\nb\nc\n").unwrap();
        let number = |tokens: &Tokens, token: &str| tokens.accept(token).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|token| number(&first, token));
        assert!(a != b && b != c && a != c);
        let second = Tokens::parse("d\nc\na\n").unwrap().succeed(&first);
        assert_eq!(number(&second, "a"), a);
        assert_eq!(number(&second, "c"), c);
        assert!(second.contains(a) && second.contains(c) && !second.contains(b));
        let third = Tokens::parse("b\n").unwrap().succeed(&second);
        let again = number(&third, "b");
        assert!(![a, b, c, number(&second, "d")].contains(&again));
        assert!(third.contains(again) && !third.contains(a));
    }

    #[test]
    fn row_45_a_file_without_a_usable_token_is_refused_by_line() {
        assert_eq!(Tokens::parse("").unwrap_err(), TokensError::Empty);
        assert_eq!(Tokens::parse("\n  \n\r\n").unwrap_err(), TokensError::Empty);
        assert_eq!(
            Tokens::parse("good\ntwo words\n").unwrap_err(),
            TokensError::Character(2)
        );
        assert_eq!(
            Tokens::parse("esc\u{1b}\n").unwrap_err(),
            TokensError::Character(1)
        );
        let long = "x".repeat(1_001);
        assert_eq!(Tokens::parse(&long).unwrap_err(), TokensError::TooLong(1));
        assert!(
            Tokens::parse(&long[1..])
                .unwrap()
                .accept(&long[1..])
                .is_some()
        );
    }

    #[test]
    fn row_44_debug_output_shows_no_token() {
        let shown = format!("{:?}", Tokens::parse("secret").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
