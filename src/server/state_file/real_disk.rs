//! The file system of this host.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::disk::{Disk, DiskFile, How, Identity, Lock};

/// Only the owner may read and write.
const MODE: u32 = 0o600;

#[derive(Debug)]
pub(super) struct RealDisk;

impl Lock for File {}

fn open(path: &Path, how: How) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    if how != How::Read {
        options.append(true).create(true).mode(MODE);
    }
    let file = options.open(path)?;
    if how == How::New {
        file.set_len(0)?;
    }
    if how != How::Read && file.metadata()?.mode() & 0o777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<Arc<dyn DiskFile>> {
        // Opening a pipe would wait for its other end.
        if let Ok(found) = fs::metadata(path)
            && !found.is_file()
        {
            return Err(if found.is_dir() {
                io::ErrorKind::IsADirectory.into()
            } else {
                io::Error::other("it is no regular file")
            });
        }
        Ok(Arc::new(open(path, how)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = open(path, How::Append)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        let found = fs::metadata(path)?;
        Ok((found.dev(), found.ino()))
    }

    fn exists(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    fn keep(&self, path: &Path, copy: &Path) -> io::Result<()> {
        match fs::remove_file(copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if fs::hard_link(path, copy).is_ok() {
            return Ok(());
        }
        let copied = open(copy, How::New)
            .and_then(|mut file| io::copy(&mut File::open(path)?, &mut file).map(drop));
        if copied.is_err() {
            let _ = fs::remove_file(copy);
        }
        copied
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<Identity> {
        let found = self.metadata()?;
        Ok((found.dev(), found.ino()))
    }
}
