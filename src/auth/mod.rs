//! The tokens that clients must present, and their comparison in constant time.
//!
//! A token is a capability: it appears in no log, no error and no `Debug` output.

mod file;

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::limits::TOKEN_LEN_MAX;

pub use file::{TokenFileError, is_readable_by_everybody, read_first_token, read_tokens};

/// The tokens of a token file; at least one.
pub struct Tokens(Vec<Padded>);

/// A token in a buffer of fixed length, so that the time of a comparison does not depend on the
/// lengths.
struct Padded {
    bytes: [u8; TOKEN_LEN_MAX],
    len: u64,
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
        let mut tokens = Vec::new();
        for token in lines(text) {
            let (line, token) = token?;
            tokens.push(Padded::new(token).ok_or(TokensError::TooLong(line))?);
        }
        if tokens.is_empty() {
            Err(TokensError::Empty)
        } else {
            Ok(Tokens(tokens))
        }
    }

    /// Whether `token` is one of them, in a time that depends only on the number of tokens.
    #[must_use]
    pub fn accept(&self, token: &str) -> bool {
        let presented = Padded::new(token);
        let fits = Choice::from(u8::from(presented.is_some()));
        let presented = presented.unwrap_or(Padded {
            bytes: [0; TOKEN_LEN_MAX],
            len: 0,
        });
        let found = self.0.iter().fold(Choice::from(0), |found, token| {
            found | token.ct_eq(&presented)
        });
        (found & fits).into()
    }
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
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Padded {
    fn new(token: &str) -> Option<Self> {
        let mut bytes = [0; TOKEN_LEN_MAX];
        bytes
            .get_mut(..token.len())?
            .copy_from_slice(token.as_bytes());
        Some(Padded {
            bytes,
            len: token.len() as u64,
        })
    }

    fn ct_eq(&self, other: &Self) -> Choice {
        self.bytes.ct_eq(&other.bytes) & self.len.ct_eq(&other.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_accepted_whole_and_nothing_else_is() {
        let tokens = Tokens::parse("first\n\nsecond-token \r\n").unwrap();
        for token in ["first", "second-token"] {
            assert!(tokens.accept(token), "{token}");
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
            assert!(!tokens.accept(token), "{token}");
        }
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
        let long = "x".repeat(TOKEN_LEN_MAX + 1);
        assert_eq!(Tokens::parse(&long).unwrap_err(), TokensError::TooLong(1));
        assert!(Tokens::parse(&long[1..]).unwrap().accept(&long[1..]));
    }

    #[test]
    fn row_44_debug_output_shows_no_token() {
        let shown = format!("{:?}", Tokens::parse("secret").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
