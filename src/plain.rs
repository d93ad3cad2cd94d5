//! Errors of the system as people read them.

use std::fmt;
use std::io;

/// An error in the system's words, without the number that the standard library adds.
pub(crate) struct Plain<'a>(pub(crate) &'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let plain = text.split_once(" (os error").map_or(text.as_str(), |(plain, _)| plain);
        f.write_str(plain)
    }
}
