//! What outlives the process with `--state`, and what is done about a file that is not as it should be.

mod files;
mod kills;
mod service_manager;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::common::Service;

/// A folder for one state file.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().expect("a place for temporary files"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn state(&self) -> String {
        text(&self.path("state"))
    }

    /// A service with the state file in this folder.
    fn start(&self, args: &[&str]) -> Service {
        let state = self.state();
        Service::start(&[&["--state", &state], args].concat())
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
