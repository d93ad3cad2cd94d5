//! A new file that is to take the place of the state file.

use std::io;
use std::sync::Arc;

use super::disk::{DiskFile, append_all};
use super::live::Live;
use crate::limits::{STATE_FLUSH_LEN, STATE_PIECE_LEN};
use crate::state::{Compaction, Source, fill};

/// A rewrite under way. First what lives is copied, then what was appended meanwhile; after a sync, which
/// may take long, what was appended during that. The old file counts until the new one has its name.
pub(super) struct Rewrite {
    old: Old,
    new: Arc<dyn DiskFile>,
    compaction: Compaction,
    /// Up to where the old file is in the new one.
    copied: u64,
    /// What lived when it began.
    before: Live,
    new_len: u64,
    unreadable_len: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Compacting,
    Copying,
    Syncing,
    Synced,
}

/// What follows a step.
pub(super) enum Progress {
    /// The next step, or a sync that is under way.
    Again,
    /// A sync of the new file.
    Sync(Arc<dyn DiskFile>),
    /// The new file can take the place of the old one.
    Complete,
}

struct Old(Arc<dyn DiskFile>);

impl Source for Old {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

impl Rewrite {
    pub(super) fn new(
        old: Arc<dyn DiskFile>,
        new: Arc<dyn DiskFile>,
        len: u64,
        before: Live,
    ) -> Self {
        Rewrite {
            old: Old(old),
            new,
            compaction: Compaction::new(len),
            copied: len,
            before,
            new_len: 0,
            unreadable_len: 0,
            phase: Phase::Compacting,
        }
    }

    /// Whether it can go on without a message.
    pub(super) fn has_work(&self) -> bool {
        self.phase != Phase::Syncing
    }

    /// This file is synced.
    pub(super) fn synced(&mut self, file: &Arc<dyn DiskFile>) {
        if Arc::ptr_eq(file, &self.new) {
            self.phase = Phase::Synced;
        }
    }

    /// Takes the next step, where the old file has `len` bytes now.
    pub(super) fn advance(&mut self, len: u64) -> io::Result<Progress> {
        match self.phase {
            Phase::Compacting => {
                let mut bytes = Vec::new();
                let is_done = self.compaction.step(&self.old, &mut bytes);
                self.append(&bytes)?;
                if is_done {
                    self.phase = Phase::Copying;
                }
                Ok(Progress::Again)
            }
            Phase::Copying if self.copied < len => {
                self.copy(len)?;
                Ok(Progress::Again)
            }
            Phase::Copying => {
                self.phase = Phase::Syncing;
                Ok(Progress::Sync(Arc::clone(&self.new)))
            }
            Phase::Syncing => Ok(Progress::Again),
            // Little is left to be synced with the next changes.
            Phase::Synced if len - self.copied <= STATE_FLUSH_LEN as u64 => {
                while self.copied < len {
                    self.copy(len)?;
                }
                Ok(Progress::Complete)
            }
            Phase::Synced => {
                self.phase = Phase::Copying;
                Ok(Progress::Again)
            }
        }
    }

    pub(super) fn unreadable_len(&self) -> u64 {
        self.unreadable_len + self.compaction.unreadable_len()
    }

    /// The length of the new file, and what lives of it; `now` is what lives of the old one.
    pub(super) fn result(&self, now: &Live) -> (u64, Live) {
        let Live {
            records,
            count,
            len,
        } = self.before;
        let written = self.compaction.written();
        let live = Live {
            records: (written.records + now.records).saturating_sub(records),
            count: (written.ups + now.count).saturating_sub(count),
            len: (written.ups_len + now.len).saturating_sub(len),
        };
        (self.new_len, live)
    }

    pub(super) fn into_new(self) -> Arc<dyn DiskFile> {
        self.new
    }

    /// Copies some of what was appended to the old file.
    fn copy(&mut self, len: u64) -> io::Result<()> {
        let left = (len - self.copied).min(STATE_FLUSH_LEN as u64) as usize;
        let mut bytes = vec![0; left];
        for (number, piece) in bytes.chunks_mut(STATE_PIECE_LEN).enumerate() {
            let offset = self.copied + (number * STATE_PIECE_LEN) as u64;
            self.unreadable_len += fill(&self.old, offset, piece);
        }
        self.append(&bytes)?;
        self.copied += bytes.len() as u64;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        append_all(&*self.new, bytes)?;
        self.new_len += bytes.len() as u64;
        Ok(())
    }
}
