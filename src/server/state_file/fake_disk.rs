//! A disk in memory that fails as it is told.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile, How, Identity, Lock};

const PAGE_LEN: usize = 4096;

/// What is wrong with the disk.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Bytes that it still takes.
    pub(super) room: Option<usize>,
    pub(super) write: Option<io::ErrorKind>,
    pub(super) cut: Option<io::ErrorKind>,
    pub(super) sync: Option<io::ErrorKind>,
    /// Where nothing can be read.
    pub(super) unreadable: Range<u64>,
    pub(super) read_only: bool,
    /// The lock is another process's.
    pub(super) locked: bool,
}

#[derive(Debug, Default)]
struct Inside {
    names: HashMap<PathBuf, Arc<Content>>,
    /// The names that a loss of power leaves.
    synced_names: HashMap<PathBuf, Arc<Content>>,
    files: u64,
    faults: Faults,
    /// Bytes that were ever appended.
    appended: usize,
}

#[derive(Debug)]
struct Content {
    number: u64,
    bytes: Mutex<Vec<u8>>,
    /// What a loss of power leaves for certain.
    synced: Mutex<Vec<u8>>,
}

/// A disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeDisk(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Opened {
    disk: FakeDisk,
    content: Arc<Content>,
}

#[derive(Debug)]
struct FakeLock;

impl Lock for FakeLock {}

impl FakeDisk {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("no test panics with it")
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.inside().faults);
    }

    /// The bytes of a file, if there is one of this name.
    pub(super) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let inside = self.inside();
        let content = inside.names.get(Path::new(path))?;
        Some(content.bytes.lock().unwrap().clone())
    }

    pub(super) fn put(&self, path: &str, bytes: &[u8]) {
        let mut inside = self.inside();
        inside.files += 1;
        let content = Content {
            number: inside.files,
            bytes: Mutex::new(bytes.to_vec()),
            synced: Mutex::new(bytes.to_vec()),
        };
        inside.names.insert(path.into(), Arc::new(content));
    }

    pub(super) fn delete(&self, path: &str) {
        self.inside().names.remove(Path::new(path));
    }

    pub(super) fn appended(&self) -> usize {
        self.inside().appended
    }

    /// The disk of another process after this one was killed.
    pub(super) fn after_kill(&self) -> FakeDisk {
        let inside = self.inside();
        let after = FakeDisk::default();
        for (path, content) in &inside.names {
            let path = path.to_str().expect("a path in UTF-8");
            after.put(path, &content.bytes.lock().unwrap());
        }
        after
    }

    /// The disk after a loss of power: of what was not synced, pages are there or not, as `chance` says.
    pub(super) fn after_power_loss(&self, chance: &mut dyn FnMut(usize) -> usize) -> FakeDisk {
        let inside = self.inside();
        let after = FakeDisk::default();
        // Names that were not synced may be there, or the old ones.
        let names = match chance(2) {
            0 => &inside.synced_names,
            _ => &inside.names,
        };
        for (path, content) in names {
            let (bytes, synced) = (
                content.bytes.lock().unwrap(),
                content.synced.lock().unwrap(),
            );
            let least = synced.len().min(bytes.len());
            let len = least + chance(bytes.len() - least + 1);
            let mut left = vec![0; len];
            let kept = synced.len().min(len);
            left[..kept].copy_from_slice(&synced[..kept]);
            for page in 0..len.div_ceil(PAGE_LEN) {
                let range = page * PAGE_LEN..((page + 1) * PAGE_LEN).min(len);
                if chance(2) == 0 {
                    left[range.clone()].copy_from_slice(&bytes[range]);
                }
            }
            after.put(path.to_str().expect("a path in UTF-8"), &left);
        }
        after
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<Arc<dyn DiskFile>> {
        let mut inside = self.inside();
        if how != How::Read && inside.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let found = inside.names.get(path).cloned();
        let content = match (found, how) {
            (Some(content), How::Read | How::Append) => content,
            (None, How::Read) => return Err(io::ErrorKind::NotFound.into()),
            _ => {
                inside.files += 1;
                let content = Arc::new(Content {
                    number: inside.files,
                    bytes: Mutex::default(),
                    synced: Mutex::default(),
                });
                inside.names.insert(path.into(), Arc::clone(&content));
                content
            }
        };
        let disk = self.clone();
        Ok(Arc::new(Opened { disk, content }))
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lock>> {
        let inside = self.inside();
        if inside.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match inside.faults.locked {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(Box::new(FakeLock)),
        }
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        let inside = self.inside();
        let content = inside.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok((1, content.number))
    }

    fn exists(&self, path: &Path) -> bool {
        self.inside().names.contains_key(path)
    }

    fn keep(&self, path: &Path, copy: &Path) -> io::Result<()> {
        let mut inside = self.inside();
        let content = Arc::clone(inside.names.get(path).ok_or(io::ErrorKind::NotFound)?);
        inside.names.insert(copy.into(), content);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inside = self.inside();
        let content = inside.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inside.names.insert(to.into(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.inside().names.remove(path);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut inside = self.inside();
        inside.synced_names = inside.names.clone();
        Ok(())
    }
}

impl DiskFile for Opened {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut inside = self.disk.inside();
        if let Some(kind) = inside.faults.write {
            return Err(kind.into());
        }
        let len = bytes.len().min(inside.faults.room.unwrap_or(usize::MAX));
        if let Some(room) = &mut inside.faults.room {
            *room -= len;
            if len == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        inside.appended += len;
        // Some file systems write less than they were asked to.
        let mut content = self.content.bytes.lock().unwrap();
        content.extend(&bytes[..len]);
        Ok(len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inside = self.disk.inside();
        let bad = &inside.faults.unreadable;
        if offset < bad.end && offset + buffer.len() as u64 > bad.start {
            return Err(io::Error::from_raw_os_error(5));
        }
        let bytes = self.content.bytes.lock().unwrap();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.bytes.lock().unwrap().len() as u64)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        if let Some(kind) = self.disk.inside().faults.cut {
            return Err(kind.into());
        }
        self.content.bytes.lock().unwrap().truncate(len as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(kind) = self.disk.inside().faults.sync {
            return Err(kind.into());
        }
        let bytes = self.content.bytes.lock().unwrap().clone();
        *self.content.synced.lock().unwrap() = bytes;
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok((1, self.content.number))
    }
}
