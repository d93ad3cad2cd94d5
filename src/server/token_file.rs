//! Reading the token file, at start and when SIGHUP asks for it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use log::warn;

use crate::auth::{Tokens, TokensError};
use crate::escape::Plain;
use crate::limits::TOKEN_FILE_LEN_MAX;

/// Why a token file cannot be used.
#[derive(Debug)]
pub enum TokenFileError {
    /// It cannot be read.
    Read(io::Error),
    /// It is a folder, a pipe or a device.
    NotAFile,
    /// It is longer than a mebibyte.
    TooLong,
    /// What is in it.
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

/// Reads the tokens in the file at `path`; warns when everybody on the host can read them too.
///
/// # Errors
/// When there is no token to be had from it.
pub(super) fn read(path: &Path) -> Result<Tokens, TokenFileError> {
    // Asked before it is opened: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(TokenFileError::Read)?;
    if !metadata.is_file() {
        return Err(TokenFileError::NotAFile);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const OTHERS_READ: u32 = 0o004;
        if metadata.permissions().mode() & OTHERS_READ != 0 {
            warn!(
                "the token file {} is readable by everybody: chmod 600 it",
                path.display()
            );
        }
    }
    let mut text = String::new();
    let limit = TOKEN_FILE_LEN_MAX + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(TokenFileError::Read)?;
    if text.len() as u64 == limit {
        return Err(TokenFileError::TooLong);
    }
    Tokens::parse(&text).map_err(TokenFileError::Tokens)
}
