//! What the state file needs of a file system, so that tests can stand in for one that fails.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// To be read and appended to; it is made where it is not there.
    Append,
    /// As [`Append`](Self::Append), but empty.
    New,
    /// To be read.
    Read,
}

/// Which file it is, whatever its name.
pub(super) type Identity = (u64, u64);

/// A lock, which lasts until it is dropped.
pub(super) trait Lock: Send + Debug {}

/// A file system. Whatever is made in it can be read by its owner only: UUIDs are rights.
pub(super) trait Disk: Send + Sync + Debug {
    fn open(&self, path: &Path, how: How) -> io::Result<Arc<dyn DiskFile>>;
    /// Takes the lock at `path`; [`io::ErrorKind::WouldBlock`] where another process has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    fn identity(&self, path: &Path) -> io::Result<Identity>;
    fn exists(&self, path: &Path) -> bool;
    /// Gives a file a second name, or copies it where that cannot be.
    fn keep(&self, path: &Path, copy: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes sure that the names in the folder of `path` survive a loss of power.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub(super) trait DiskFile: Send + Sync + Debug {
    /// Appends some of the bytes, and returns how many.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    fn len(&self) -> io::Result<u64>;
    fn cut(&self, len: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn identity(&self) -> io::Result<Identity>;
}

/// Appends all of the bytes.
pub(super) fn append_all(file: &dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
