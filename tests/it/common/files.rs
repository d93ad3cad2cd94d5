//! Files for one test, removed at its end.

use tempfile::NamedTempFile;

/// A file with this content that only its owner may read.
pub fn private_file(content: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a place for temporary files");
    std::fs::write(&file, content).expect("it is ours");
    file
}

/// Its path as an argument of a command.
pub fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path in UTF-8")
}
