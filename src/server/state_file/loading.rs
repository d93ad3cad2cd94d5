//! Reads the state file of an earlier process into a service.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::disk::{Disk, DiskFile, How, Lock};
use super::paths::Paths;
use super::writer::FileState;
use crate::escape::Plain;
use crate::limits::{STATE_LOCK_MS_MAX, STATE_PIECE_LEN};
use crate::registry::RegisterError;
use crate::service::Service;
use crate::state::{Beginning, Compaction, Found, HEADER_LEN, Record, Replay, Source, fill};

/// Why a state file cannot be used.
#[derive(Debug)]
pub enum StateError {
    /// Another process uses it.
    InUse,
    /// There is something else in it.
    Foreign,
    /// The system's error.
    System(io::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::InUse => f.write_str("it is in use by another process"),
            StateError::Foreign => f.write_str("it is no state file, so it is left as it is"),
            StateError::System(error) => Plain(error).fmt(f),
        }
    }
}

/// What was found at the start.
pub(super) struct Loaded {
    pub(super) lock: Option<Box<dyn Lock>>,
    /// The file, unless the file system is read-only.
    pub(super) file: Option<Arc<dyn DiskFile>>,
    /// Bytes of it that are to stay.
    pub(super) len: u64,
    pub(super) state: FileState,
    pub(super) found: Found,
    /// Bytes that were lost.
    pub(super) skipped_len: u64,
}

/// Locks and opens the file at `paths`, and reads it into `make`'s service, which has room for
/// `services_max` registrations.
pub(super) fn load(
    disk: &dyn Disk,
    paths: &Paths,
    services_max: u32,
    make: &mut dyn FnMut(u32) -> Service,
) -> Result<(Service, Loaded), StateError> {
    let lock = lock(disk, &paths.lock)?;
    if disk.exists(&paths.new) {
        // An earlier process did not come to its end with it.
        let _ = disk.remove(&paths.new);
    }
    let (mut file, mut is_writable) = open(disk, &paths.file)?;
    // Removals may follow what there is no room for, so all is read first.
    let mut service = make(*crate::limits::SERVICES.end());
    let mut reading = Reading::default();
    if let Some(file) = &file {
        reading = read(&**file, &mut |record| service.restore(record))?;
    }
    let mut found = reading.found;
    if found.is_foreign() {
        return Err(StateError::Foreign);
    }
    if let Beginning::Newer(version) = found.beginning {
        put_aside(disk, paths, version);
        (file, is_writable) = open(disk, &paths.file)?;
        found = Found::default();
    }
    let restored = service.registry().len();
    if restored > services_max as usize {
        warn!(
            "{}: of {restored} registrations there is room for {services_max}: the oldest stay",
            paths.file.display()
        );
        service = make(services_max);
        if let Some(file) = &file {
            read_live(&**file, found.len, &mut |record| service.restore(record));
        }
    }
    service.set_services_max(services_max);
    service.go_on_from(found.index);
    let skipped_len = found.damaged_len + found.torn_len;
    let mut loaded = Loaded {
        lock,
        file: file.filter(|_| is_writable),
        len: found.len - found.torn_len,
        state: FileState::Good,
        found,
        skipped_len,
    };
    repair(disk, paths, &mut loaded, reading.unreadable_len);
    if found.len > 0 {
        info!(
            "{}: restored {} registrations",
            paths.file.display(),
            service.registry().len()
        );
    }
    Ok((service, loaded))
}

/// Waits for the lock, which the process before this one may still have.
fn lock(disk: &dyn Disk, path: &Path) -> Result<Option<Box<dyn Lock>>, StateError> {
    const PAUSE: Duration = Duration::from_millis(20);
    let deadline = Instant::now() + Duration::from_millis(STATE_LOCK_MS_MAX);
    loop {
        match disk.lock(path) {
            Ok(lock) => return Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Err(StateError::System(error));
            }
            Err(_) if Instant::now() >= deadline => return Err(StateError::InUse),
            Err(_) => sleep(PAUSE),
        }
    }
}

/// The file, if there is one, and whether it can be written to.
fn open(disk: &dyn Disk, path: &Path) -> Result<(Option<Arc<dyn DiskFile>>, bool), StateError> {
    match disk.open(path, How::Append) {
        Ok(file) => Ok((Some(file), true)),
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            match disk.open(path, How::Read) {
                Ok(file) => Ok((Some(file), false)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, false)),
                Err(error) => Err(StateError::System(error)),
            }
        }
        Err(error) => Err(StateError::System(error)),
    }
}

#[derive(Default)]
struct Reading {
    found: Found,
    unreadable_len: u64,
}

struct Opened<'a>(&'a dyn DiskFile);

impl Source for Opened<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

/// Reads a whole file.
fn read(
    file: &dyn DiskFile,
    each: &mut dyn FnMut(Record<'_>) -> Result<(), RegisterError>,
) -> Result<Reading, StateError> {
    const PIECE_LEN: usize = 4 * STATE_PIECE_LEN;
    let len = file.len().map_err(StateError::System)?;
    let mut replay = Replay::default();
    let mut unreadable_len = 0;
    let mut piece = vec![0; PIECE_LEN];
    let mut offset = 0;
    // Tags and metadata for which there is no room are the only ones that can be refused.
    let mut each = |record: Record<'_>| {
        let _ = each(record);
    };
    while offset < len {
        let piece = &mut piece[..(len - offset).min(PIECE_LEN as u64) as usize];
        unreadable_len += fill(&Opened(file), offset, piece);
        replay.piece(piece, &mut each);
        offset += piece.len() as u64;
    }
    Ok(Reading {
        found: replay.end(&mut each),
        unreadable_len,
    })
}

/// Reads what lives of a file of `len` bytes, oldest first.
fn read_live(
    file: &dyn DiskFile,
    len: u64,
    each: &mut dyn FnMut(Record<'_>) -> Result<(), RegisterError>,
) {
    let mut each = |record: Record<'_>| {
        let _ = each(record);
    };
    let mut compaction = Compaction::new(len);
    let mut replay = Replay::default();
    loop {
        let mut piece = Vec::new();
        let is_last = compaction.step(&Opened(file), &mut piece);
        replay.piece(&piece, &mut each);
        if is_last {
            break;
        }
    }
    replay.end(&mut each);
}

/// Gives a file of a later version another name: a service that was rolled back must run.
fn put_aside(disk: &dyn Disk, paths: &Paths, version: u16) {
    let free = (0..100)
        .map(|attempt| paths.of_version(version, attempt))
        .find(|path| !disk.exists(path));
    let Some(aside) = free else {
        return;
    };
    let path = paths.file.display();
    match disk.rename(&paths.file, &aside) {
        Ok(()) => error!(
            "{path} is of version {version}, which this program does not know: it is now {}, and the \
             service begins without registrations",
            aside.display()
        ),
        Err(error) => error!("{path} cannot be renamed: {}", Plain(&error)),
    }
}

/// Prepares a file to be appended to.
fn repair(disk: &dyn Disk, paths: &Paths, loaded: &mut Loaded, unreadable_len: u64) {
    let found = loaded.found;
    let path = paths.file.display();
    let skipped_len = loaded.skipped_len;
    if found.is_damaged() {
        warn!(
            "{path} is damaged: {skipped_len} bytes of {} were skipped, {unreadable_len} of them \
             unreadable, and {} records read; what it was is kept as {}",
            found.len,
            found.counts.records,
            paths.damaged.display()
        );
        loaded.state = FileState::Damaged;
        if let Err(error) = disk.keep(&paths.file, &paths.damaged) {
            let damaged = paths.damaged.display();
            warn!("{damaged} cannot be made: {}", Plain(&error));
        }
    } else if found.torn_len > 0 {
        warn!("{path}: the last {} bytes were not whole", found.torn_len);
    }
    if found.len < HEADER_LEN as u64 {
        loaded.len = 0;
    }
    if let Some(file) = &loaded.file
        && loaded.len < found.len
        && file.cut(loaded.len).is_err()
    {
        loaded.state = FileState::Damaged;
        loaded.len = found.len;
    }
}
