//! Reading a token file: the service does at start and on SIGHUP, a client for each connection.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{Tokens, TokensError};
use crate::escape::Plain;
use crate::limits::TOKEN_FILE_LEN_MAX;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a token file cannot be used.
#[derive(Debug)]
pub enum TokenFileError {
    /// It cannot be read.
    Read(io::Error),
    /// It is a folder, a pipe or a device.
    NotAFile,
    /// It is longer than a mebibyte.
    TooLong,
    /// Its contents are wrong.
    Tokens(TokensError),
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenFileError::Read(error) => Plain(error).fmt(f),
            TokenFileError::NotAFile => f.write_str("it is not a regular file"),
            TokenFileError::TooLong => write!(f, "it is longer than {TOKEN_FILE_LEN_MAX} bytes"),
            TokenFileError::Tokens(error) => error.fmt(f),
        }
    }
}

/// The tokens in the regular file at `path`, each of which a peer may show. Opening a pipe would wait
/// for its other end, so nothing but a regular file is opened.
///
/// # Errors
/// When it holds no token, or cannot be read.
pub fn read_tokens(path: &Path) -> Result<Tokens, TokenFileError> {
    let metadata = std::fs::metadata(path).map_err(TokenFileError::Read)?;
    if !metadata.is_file() {
        return Err(TokenFileError::NotAFile);
    }
    Tokens::parse(&read_text(path)?).map_err(TokenFileError::Tokens)
}

/// The first token in the file at `path`, which may be a pipe: the one that a client shows.
///
/// # Errors
/// When it holds no token, or cannot be read.
pub fn read_first_token(path: &Path) -> Result<String, TokenFileError> {
    let text = read_text(path)?;
    let token = super::first(&text).map_err(TokenFileError::Tokens)?;
    Ok(token.to_owned())
}

/// Whether everybody on the host can read the file at `path`.
#[must_use]
pub fn is_readable_by_everybody(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const OTHERS_READ: u32 = 0o004;
        let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
        mode.is_ok_and(|mode| mode & OTHERS_READ != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

fn read_text(path: &Path) -> Result<String, TokenFileError> {
    let mut text = String::new();
    let limit = TOKEN_FILE_LEN_MAX + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(TokenFileError::Read)?;
    if text.len() as u64 == limit {
        return Err(TokenFileError::TooLong);
    }
    // Some editors begin a file with a byte order mark.
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    Ok(text)
}
