//! The state file: what is registered, kept over the end of the process.
//!
//! The loop never waits for a disk: it hands records to one thread, which appends them, and that one
//! hands what takes long to another, which syncs. They share channels and one atomic number.

mod disk;
#[cfg(test)]
mod fake_disk;
mod live;
mod loading;
mod paths;
#[cfg(unix)]
mod real_disk;
mod rewrite;
mod syncer;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Batch, Journal};
use crate::message::{StateHealth, StateStats};
use crate::service::Service;

use disk::Disk;
use live::Live;
pub use loading::StateError;
use paths::Paths;
#[cfg(unix)]
use real_disk::RealDisk;
use syncer::Syncer;
use writer::{Links, ToWriter, Writer};

/// What the threads tell the loop.
pub(super) enum Report {
    /// Up to this batch all is in the file, which has this length.
    Saved(Batch, u64),
    /// The file has this length.
    Len(u64),
    /// Whether the disk refuses something.
    Failing(bool),
    /// So many bytes could not be read and are lost.
    Skipped(u64),
    /// What was written by this moment is synced.
    Synced(Instant),
    /// Everything is written and synced that can be.
    Closed,
}

/// A state file that was read, before its threads work.
pub(super) struct StateFile {
    writer: Writer,
    told: Receiver<ToWriter>,
    syncer: Syncer,
    asked: Receiver<syncer::ToSyncer>,
    journal: FileJournal,
}

/// The loop's end of the state file.
pub(super) struct FileJournal {
    writer: Sender<ToWriter>,
    reports: Receiver<Report>,
    saved: Batch,
    stats: StateStats,
    is_synced: bool,
    unsynced_since: Option<Instant>,
    is_closed: bool,
}

/// The file system of this host.
#[cfg(unix)]
fn disk_of_host() -> io::Result<Arc<dyn Disk>> {
    Ok(Arc::new(RealDisk))
}

/// Opening files as a state file needs it is known for Unix only.
#[cfg(not(unix))]
fn disk_of_host() -> io::Result<Arc<dyn Disk>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens the state file at `path`, and makes a service with what is registered in it. `make` makes one
/// for so many registrations; `wake` wakes the loop.
pub(super) fn open(
    path: &Path,
    period: Option<Duration>,
    services_max: u32,
    make: &mut dyn FnMut(u32) -> Service,
    wake: Box<dyn Fn() + Send>,
) -> Result<(Service, StateFile), StateError> {
    let disk = disk_of_host().map_err(StateError::System)?;
    open_on(disk, path, period, services_max, make, wake)
}

fn open_on(
    disk: Arc<dyn Disk>,
    path: &Path,
    period: Option<Duration>,
    services_max: u32,
    make: &mut dyn FnMut(u32) -> Service,
    wake: Box<dyn Fn() + Send>,
) -> Result<(Service, StateFile), StateError> {
    let paths = Paths::of(path);
    let (service, loaded) = loading::load(&*disk, &paths, services_max, make)?;
    let registry = service.registry();
    let restored = registry.len() as u64;
    let (writer, told) = channel();
    let (syncer, asked) = channel();
    let (reports, from_threads) = channel();
    let unsynced = Arc::new(AtomicU32::new(0));
    let journal = FileJournal {
        writer: writer.clone(),
        reports: from_threads,
        saved: Batch::default(),
        stats: StateStats {
            health: StateHealth::Ok,
            len: loaded.len,
            restored,
            skipped_len: loaded.skipped_len,
            ..StateStats::default()
        },
        is_synced: period.is_some(),
        unsynced_since: None,
        is_closed: false,
    };
    let syncer_thread = Syncer {
        disk: Arc::clone(&disk),
        paths: paths.clone(),
        period,
        unsynced: Arc::clone(&unsynced),
        writer,
        reports: reports.clone(),
        dirty: None,
        last: None,
        is_named: false,
    };
    let writer = Writer {
        disk,
        paths,
        lock: loaded.lock,
        file: loaded.file,
        len: loaded.len,
        live: Live::of(&loaded.found.counts, restored),
        index: Some(registry.index()),
        state: loaded.state,
        links: Links {
            syncer,
            unsynced,
            reports,
            wake,
        },
        work: writer::Work::default(),
    };
    let state_file = StateFile {
        writer,
        told,
        syncer: syncer_thread,
        asked,
        journal,
    };
    Ok((service, state_file))
}

impl StateFile {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system's error about a thread.
    pub(super) fn start(self) -> io::Result<FileJournal> {
        let StateFile {
            writer,
            told,
            syncer,
            asked,
            journal,
        } = self;
        thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || writer.run(&told))?;
        thread::Builder::new()
            .name("state-syncer".to_owned())
            .spawn(move || syncer.run(&asked))?;
        Ok(journal)
    }
}

impl FileJournal {
    /// Writes and syncs what is left, within `limit`.
    pub(super) fn close(&mut self, limit: Duration) {
        let _ = self.writer.send(ToWriter::Stop);
        let deadline = Instant::now() + limit;
        while !self.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(report) => self.take(&report),
                Err(_) => break,
            }
        }
        if !self.is_closed {
            log::error!("the state file could not be written and synced in time");
        }
    }

    fn hear(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.take(&report);
        }
    }

    fn take(&mut self, report: &Report) {
        match *report {
            Report::Saved(batch, len) => {
                self.saved = batch;
                self.stats.len = len;
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
            Report::Len(len) => self.stats.len = len,
            Report::Failing(true) => self.stats.health = StateHealth::Failing,
            Report::Failing(false) => self.stats.health = StateHealth::Ok,
            Report::Skipped(len) => self.stats.skipped_len += len,
            Report::Synced(begun) => {
                if self.unsynced_since.is_some_and(|since| since <= begun) {
                    self.unsynced_since = None;
                }
            }
            Report::Closed => self.is_closed = true,
        }
    }
}

/// The engine saves to it, and the server closes it.
impl Journal for Rc<RefCell<FileJournal>> {
    fn submit(&mut self, batch: Batch, records: Vec<u8>) {
        // The writer lives as long as the loop.
        let _ = self.borrow().writer.send(ToWriter::Records(batch, records));
    }

    fn saved(&mut self) -> Batch {
        let mut journal = self.borrow_mut();
        journal.hear();
        journal.saved
    }

    fn is_failing(&mut self) -> bool {
        self.borrow().stats.health == StateHealth::Failing
    }

    fn stats(&mut self) -> StateStats {
        let journal = self.borrow();
        let unsynced = journal.unsynced_since.filter(|_| journal.is_synced);
        let age = unsynced.map_or(Duration::ZERO, |since| since.elapsed());
        StateStats {
            unsynced_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            ..journal.stats
        }
    }
}
