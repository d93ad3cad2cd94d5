//! The thread that appends to the state file, and makes it short.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use log::{error, info};

use super::Report;
use super::disk::{Disk, DiskFile, How, Lock, append_all};
use super::live::Live;
use super::paths::Paths;
use super::rewrite::{Progress, Rewrite};
use super::syncer::ToSyncer;
use crate::engine::Batch;
use crate::escape::Plain;
use crate::limits::{STATE_FLUSH_LEN, STATE_LOG_QUIET_MS, STATE_OPEN_RETRY_MS, STATE_RETRY_MS};
use crate::state::{Counts, Header, Record};

/// What the writer is told.
pub(super) enum ToWriter {
    /// Records to be appended.
    Records(Batch, Vec<u8>),
    /// This file, which is to take the place of the state file, is synced, or could not be.
    NewIsSynced(Arc<dyn DiskFile>, io::Result<()>),
    /// This file could not be synced.
    SyncFailed(Arc<dyn DiskFile>, io::Error),
    /// Another file is where this one was, or none.
    FileIsGone(Arc<dyn DiskFile>),
    /// Nothing follows but what the syncer says.
    Stop,
}

pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) paths: Paths,
    pub(super) lock: Option<Box<dyn Lock>>,
    /// The file, unless it cannot be opened yet to be appended to.
    pub(super) file: Option<Arc<dyn DiskFile>>,
    /// Bytes of it up to the last batch that is whole.
    pub(super) len: u64,
    pub(super) live: Live,
    /// The registry's count of changes at the start, which is written before the first record.
    pub(super) index: Option<u64>,
    /// Whether the file must be written anew.
    pub(super) state: FileState,
    pub(super) links: Links,
    pub(super) work: Work,
}

/// What is known of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// It can be appended to.
    Good,
    /// It has damage, so it is to be written anew when there is room.
    Damaged,
    /// Nothing is appended to it any more: it must be written anew first.
    Distrusted,
}

/// The other threads.
pub(super) struct Links {
    pub(super) syncer: Sender<ToSyncer>,
    pub(super) unsynced: Arc<AtomicU32>,
    pub(super) reports: Sender<Report>,
    /// Wakes the loop.
    pub(super) wake: Box<dyn Fn() + Send>,
}

/// What is to be done.
#[derive(Default)]
pub(super) struct Work {
    /// Batches that are not in the file.
    unsaved: VecDeque<(Batch, Vec<u8>)>,
    unsaved_len: usize,
    rewrite: Option<Rewrite>,
    /// When what the disk has refused is tried again.
    retry_at: Option<Instant>,
    /// When a rewrite that is only useful is tried again.
    rewrite_from: Option<Instant>,
    /// Whether the loop was told that the disk refuses something.
    is_failing: bool,
    /// When an error was last logged.
    logged_at: Option<Instant>,
    stopping: bool,
}

impl Writer {
    /// Works until it is told to stop.
    pub(super) fn run(mut self, told: &Receiver<ToWriter>) {
        self.report(Report::Len(self.len));
        loop {
            let message = match self.wait(Instant::now()) {
                None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => told.recv_timeout(wait),
            };
            match message {
                Ok(message) => self.hear(message, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.work.stopping = true,
            }
            // What waits is written together.
            while self.work.unsaved_len < STATE_FLUSH_LEN
                && let Ok(message) = told.try_recv()
            {
                self.hear(message, Instant::now());
            }
            self.advance(Instant::now());
            if self.work.stopping && self.is_done() {
                break;
            }
        }
        self.end();
    }

    /// How long it may wait for a message.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let work = &self.work;
        if let Some(retry_at) = work.retry_at.filter(|_| !work.stopping) {
            return Some(retry_at.saturating_duration_since(now));
        }
        let can_write = self.state != FileState::Distrusted && !work.unsaved.is_empty();
        match &work.rewrite {
            _ if can_write => Some(Duration::ZERO),
            Some(rewrite) if rewrite.has_work() => Some(Duration::ZERO),
            Some(_) => None,
            None if self.wants_rewrite() => {
                let from = work.rewrite_from.unwrap_or(now);
                Some(from.saturating_duration_since(now))
            }
            None => work.stopping.then_some(Duration::ZERO),
        }
    }

    pub(super) fn hear(&mut self, message: ToWriter, now: Instant) {
        match message {
            ToWriter::Records(batch, records) => {
                self.work.unsaved_len += records.len();
                self.work.unsaved.push_back((batch, records));
            }
            ToWriter::NewIsSynced(file, Ok(())) => {
                if let Some(rewrite) = &mut self.work.rewrite {
                    rewrite.synced(&file);
                }
            }
            ToWriter::NewIsSynced(_, Err(error)) => self.give_up_rewrite(&error, now),
            ToWriter::SyncFailed(file, error) if self.is_current(&file) => {
                self.log(&format!("cannot be synced: {}", Plain(&error)), now);
                self.state = FileState::Distrusted;
            }
            ToWriter::FileIsGone(file) if self.is_current(&file) => {
                self.log("was deleted or replaced", now);
                self.state = FileState::Distrusted;
            }
            // Another file has its place by now.
            ToWriter::SyncFailed(..) | ToWriter::FileIsGone(_) => {}
            ToWriter::Stop => self.work.stopping = true,
        }
    }

    /// Does what can be done now: one write, and one step of a rewrite.
    pub(super) fn advance(&mut self, now: Instant) {
        let must_wait = |at: Instant| now < at && !self.work.stopping;
        if self.work.retry_at.is_some_and(must_wait) {
            return;
        }
        self.work.retry_at = None;
        if self.file.is_none() && !self.reopen(now) {
            return;
        }
        if self.state != FileState::Distrusted {
            self.write(now);
        }
        let may_rewrite = self.work.rewrite_from.is_none_or(|from| from <= now);
        if self.work.retry_at.is_none() && may_rewrite && self.wants_rewrite() {
            self.begin_rewrite(now);
        }
        self.advance_rewrite(now);
        if self.work.retry_at.is_none() && self.state != FileState::Distrusted {
            self.report_failing(false);
        }
    }

    fn is_current(&self, file: &Arc<dyn DiskFile>) -> bool {
        let current = self.file.as_ref();
        current.is_some_and(|current| Arc::ptr_eq(current, file))
    }

    /// Whether it is of no use to go on, for a writer that is told to stop: it tries once more, and no
    /// longer.
    fn is_done(&self) -> bool {
        let work = &self.work;
        let is_written = work.unsaved.is_empty() && self.state != FileState::Distrusted;
        is_written || work.retry_at.is_some()
    }

    fn end(self) {
        if !self.work.unsaved.is_empty() {
            let path = self.paths.file.display();
            error!("{path}: the last changes could not be written");
        }
        if self.work.rewrite.is_some() {
            let _ = self.disk.remove(&self.paths.new);
        }
        let _ = self.links.syncer.send(ToSyncer::Stop);
    }

    fn report(&self, report: Report) {
        let _ = self.links.reports.send(report);
    }

    fn report_failing(&mut self, is_failing: bool) {
        if std::mem::replace(&mut self.work.is_failing, is_failing) != is_failing {
            if !is_failing {
                info!("{}: everything is written again", self.paths.file.display());
            }
            self.report(Report::Failing(is_failing));
            (self.links.wake)();
        }
    }

    /// Appends what waits, in one write.
    fn write(&mut self, now: Instant) {
        let Some(&(batch, _)) = self.work.unsaved.back() else {
            return;
        };
        let Some(file) = self.file.clone() else {
            return;
        };
        let mut bytes = Vec::new();
        if self.len == 0 {
            bytes.extend(Header::default().encode());
        }
        if let Some(index) = self.index {
            Record::Index(index).encode(&mut bytes);
        }
        for (_, records) in &self.work.unsaved {
            bytes.extend(records);
        }
        if let Err(error) = append_all(&*file, &bytes) {
            self.refused(&*file, &error, now);
            return;
        }
        self.work.unsaved_len = 0;
        for (_, records) in self.work.unsaved.drain(..) {
            self.live.count(&Counts::of(&records));
        }
        self.index = None;
        self.len += bytes.len() as u64;
        self.mark_unsynced(file);
        self.report(Report::Saved(batch, self.len));
        (self.links.wake)();
    }

    /// Something was written that is not synced.
    fn mark_unsynced(&self, file: Arc<dyn DiskFile>) {
        if self.links.unsynced.swap(1, Ordering::SeqCst) == 0 {
            let _ = self.links.syncer.send(ToSyncer::Written(file));
        }
    }

    /// The disk has refused a write.
    fn refused(&mut self, file: &dyn DiskFile, error: &io::Error, now: Instant) {
        self.fail(error, now, STATE_RETRY_MS);
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        // What was written of it goes. A file of which anything else is wrong is not written to again.
        if file.cut(self.len).is_err() || !is_full {
            self.state = FileState::Distrusted;
        }
    }

    fn fail(&mut self, error: &io::Error, now: Instant, retry_ms: u64) {
        self.log(&format!("cannot be written: {}", Plain(error)), now);
        self.work.retry_at = Some(now + Duration::from_millis(retry_ms));
        self.report_failing(true);
    }

    /// Logs an error, at most one a minute.
    fn log(&mut self, what: &str, now: Instant) {
        const QUIET: Duration = Duration::from_millis(STATE_LOG_QUIET_MS);
        let logged = &mut self.work.logged_at;
        if logged.is_none_or(|at| now - at >= QUIET) {
            *logged = Some(now);
            let path = self.paths.file.display();
            error!("{path} {what}; the service goes on, and tries it again");
        }
    }

    /// Opens the file of a file system that was read-only.
    fn reopen(&mut self, now: Instant) -> bool {
        let opened = self.lock().and_then(|()| {
            let file = self.disk.open(&self.paths.file, How::Append)?;
            if file.len()? != self.len {
                file.cut(self.len)?;
            }
            Ok(file)
        });
        match opened {
            Ok(file) => {
                info!("{}: can be written now", self.paths.file.display());
                self.file = Some(file);
                true
            }
            Err(error) => {
                self.fail(&error, now, STATE_OPEN_RETRY_MS);
                false
            }
        }
    }

    fn lock(&mut self) -> io::Result<()> {
        if self.lock.is_none() {
            self.lock = Some(self.disk.lock(&self.paths.lock)?);
        }
        Ok(())
    }

    fn wants_rewrite(&self) -> bool {
        let must = self.state != FileState::Good || self.live.are_few(self.len);
        must && self.work.rewrite.is_none() && self.file.is_some()
    }

    fn begin_rewrite(&mut self, now: Instant) {
        let Some(file) = self.file.clone() else {
            return;
        };
        match self.disk.open(&self.paths.new, How::New) {
            Ok(new) => self.work.rewrite = Some(Rewrite::new(file, new, self.len, self.live)),
            Err(error) => self.give_up_rewrite(&error, now),
        }
    }

    fn advance_rewrite(&mut self, now: Instant) {
        let Some(rewrite) = &mut self.work.rewrite else {
            return;
        };
        match rewrite.advance(self.len) {
            Ok(Progress::Again) => {}
            Ok(Progress::Sync(new)) => drop(self.links.syncer.send(ToSyncer::New(new))),
            Ok(Progress::Complete) => self.take_place(now),
            Err(error) => self.give_up_rewrite(&error, now),
        }
    }

    /// Puts the new file where the old one was.
    fn take_place(&mut self, now: Instant) {
        let Some(rewrite) = self.work.rewrite.take() else {
            return;
        };
        if let Err(error) = self.disk.rename(&self.paths.new, &self.paths.file) {
            self.give_up_rewrite(&error, now);
            return;
        }
        let lost = rewrite.unreadable_len();
        if lost > 0 {
            self.report(Report::Skipped(lost));
        }
        (self.len, self.live) = rewrite.result(&self.live);
        let new = rewrite.into_new();
        let old = self.file.replace(Arc::clone(&new));
        self.state = FileState::Good;
        self.work.rewrite_from = None;
        let _ = self.links.syncer.send(ToSyncer::Retired(old));
        // The writer told the syncer of the old file, whose place this one has now.
        self.links.unsynced.store(0, Ordering::SeqCst);
        self.mark_unsynced(new);
        self.report(Report::Len(self.len));
    }

    fn give_up_rewrite(&mut self, error: &io::Error, now: Instant) {
        self.work.rewrite = None;
        let _ = self.disk.remove(&self.paths.new);
        if self.state == FileState::Distrusted {
            self.fail(error, now, STATE_RETRY_MS);
        } else {
            // The file is only longer than it need be.
            self.log(&format!("cannot be written anew: {}", Plain(error)), now);
            self.work.rewrite_from = Some(now + Duration::from_millis(STATE_OPEN_RETRY_MS));
        }
    }
}
