//! The thread that waits for the disk, so that appending does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::Report;
use super::disk::{Disk, DiskFile};
use super::paths::Paths;
use super::writer::ToWriter;
use crate::limits::{STATE_SYNC_DELAY_MS, STATE_SYNC_SECONDS_DEFAULT};

/// What the writer asks for.
pub(super) enum ToSyncer {
    /// Something was written to this file, which was clean.
    Written(Arc<dyn DiskFile>),
    /// This file is to take the place of the state file once it is synced.
    New(Arc<dyn DiskFile>),
    /// Another file has taken the place of this one.
    Retired(Option<Arc<dyn DiskFile>>),
    /// Nothing follows.
    Stop,
}

pub(super) struct Syncer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) paths: Paths,
    /// The time between two syncs at least; none leaves them to the kernel.
    pub(super) period: Option<Duration>,
    /// Not 0 while something is written that is not synced and that the syncer knows of.
    pub(super) unsynced: Arc<AtomicU32>,
    pub(super) writer: Sender<ToWriter>,
    pub(super) reports: Sender<Report>,
    /// The file that is not synced, and since when.
    pub(super) dirty: Option<(Arc<dyn DiskFile>, Instant)>,
    pub(super) last: Option<Instant>,
    /// Whether a loss of power leaves the file its name.
    pub(super) is_named: bool,
}

impl Syncer {
    /// Works until it is told to stop.
    pub(super) fn run(mut self, asked: &Receiver<ToSyncer>) {
        loop {
            let now = Instant::now();
            let message = match self.due() {
                None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => asked.recv_timeout(due.saturating_duration_since(now)),
            };
            let is_last = match message {
                Ok(message) => self.hear(message, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {
                    self.sync(Instant::now());
                    false
                }
                Err(RecvTimeoutError::Disconnected) => self.hear(ToSyncer::Stop, now),
            };
            if is_last {
                return;
            }
        }
    }

    /// Does what it is asked for; `true` when nothing follows.
    pub(super) fn hear(&mut self, message: ToSyncer, now: Instant) -> bool {
        match message {
            ToSyncer::Written(file) => self.written(file, now),
            ToSyncer::New(file) => {
                let result = file.sync();
                let _ = self.writer.send(ToWriter::NewIsSynced(file, result));
            }
            ToSyncer::Retired(file) => {
                self.dirty = None;
                // Until then a loss of power brings the old file back, which is as good.
                self.is_named = self.disk.sync_folder(&self.paths.file).is_ok();
                // Freeing its blocks takes a while.
                drop(file);
            }
            ToSyncer::Stop => {
                self.sync(now);
                let _ = self.reports.send(Report::Closed);
                return true;
            }
        }
        false
    }

    fn written(&mut self, file: Arc<dyn DiskFile>, now: Instant) {
        let is_known = |(known, _): &(Arc<dyn DiskFile>, _)| Arc::ptr_eq(known, &file);
        if !self.dirty.as_ref().is_some_and(is_known) {
            self.dirty = Some((file, now));
        }
    }

    /// When the next sync is due.
    pub(super) fn due(&self) -> Option<Instant> {
        const DELAY: Duration = Duration::from_millis(STATE_SYNC_DELAY_MS);
        const CHECKS_APART: Duration = Duration::from_secs(STATE_SYNC_SECONDS_DEFAULT as u64);
        let (_, since) = self.dirty.as_ref()?;
        let after_first = *since + DELAY;
        let period = self.period.unwrap_or(CHECKS_APART);
        let after_last = self.last.map(|last| last + period);
        Some(after_last.map_or(after_first, |after_last| after_last.max(after_first)))
    }

    /// Syncs what was written, and looks whether the file is still where it should be.
    pub(super) fn sync(&mut self, now: Instant) {
        let Some((file, _)) = self.dirty.take() else {
            return;
        };
        self.unsynced.store(0, Ordering::SeqCst);
        let is_there = match (file.identity(), self.disk.identity(&self.paths.file)) {
            (Ok(open), Ok(named)) => open == named,
            (Ok(_), Err(_)) => false,
            (Err(_), _) => true,
        };
        if !is_there {
            let _ = self.writer.send(ToWriter::FileIsGone(Arc::clone(&file)));
        }
        if self.period.is_some() {
            let named = match self.is_named {
                true => Ok(()),
                false => self.disk.sync_folder(&self.paths.file),
            };
            self.is_named = named.is_ok();
            match file.sync() {
                Ok(()) => drop(self.reports.send(Report::Synced(now))),
                Err(error) => drop(self.writer.send(ToWriter::SyncFailed(file, error))),
            }
        }
        self.last = Some(now);
    }
}
