//! The state file and the files beside it.

use std::path::{Path, PathBuf};

/// Their paths.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) file: PathBuf,
    /// A lock on the file itself would be lost when another takes its place.
    pub(super) lock: PathBuf,
    /// What will take its place.
    pub(super) new: PathBuf,
    /// What it was before damage was repaired.
    pub(super) damaged: PathBuf,
}

impl Paths {
    pub(super) fn of(file: &Path) -> Self {
        Paths {
            lock: beside(file, "lock"),
            new: beside(file, "new"),
            damaged: beside(file, "damaged"),
            file: file.to_owned(),
        }
    }

    /// Where a file of a later version is put aside, for the `attempt`th time.
    pub(super) fn of_version(&self, version: u16, attempt: u32) -> PathBuf {
        match attempt {
            0 => beside(&self.file, &format!("v{version}")),
            _ => beside(&self.file, &format!("v{version}.{attempt}")),
        }
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
