//! Log lines about the cluster.

use log::{info, warn};

use super::Counts;
use crate::etcd::Report;
use crate::limits::{CLUSTER_LOG_QUIET_MS, LOG_QUIET_MS};
use crate::time::Moment;
use crate::time::rate_limit::RateLimit;

/// What the log was told, and how often it may be told more.
#[derive(Debug)]
pub(super) struct Notices {
    /// What is wrong, as it was told last; nothing while etcd answers.
    trouble: Option<String>,
    troubles: RateLimit,
    lost: RateLimit,
    left_out: RateLimit,
    moves: RateLimit,
    /// The counts that were told.
    moved_told: u64,
    left_out_told: u64,
}

impl Default for Notices {
    fn default() -> Self {
        Notices {
            trouble: None,
            troubles: RateLimit::new(CLUSTER_LOG_QUIET_MS),
            lost: RateLimit::new(LOG_QUIET_MS),
            left_out: RateLimit::new(LOG_QUIET_MS),
            moves: RateLimit::new(CLUSTER_LOG_QUIET_MS),
            moved_told: 0,
            left_out_told: 0,
        }
    }
}

impl Notices {
    /// Tells what has changed between this node and etcd.
    pub(super) fn note(&mut self, report: &Report, now: Moment) {
        match report {
            Report::Away(trouble) => {
                let trouble = trouble.to_string();
                if self.trouble.as_ref() != Some(&trouble)
                    && let Some(suppressed) = self.troubles.pass(now)
                {
                    warn!("cluster: {trouble}; this node goes on with what it knows{suppressed}");
                    self.trouble = Some(trouble);
                }
            }
            Report::Watching if self.trouble.take().is_some() => {
                info!("cluster: etcd tells what changes again");
            }
            Report::Reached {
                member, version, ..
            } if self.trouble.is_none() => {
                info!("cluster: etcd {version} answers at {member}");
            }
            Report::OtherHistory => {
                warn!("cluster: etcd was restored or replaced: this node writes what it owns anew");
            }
            Report::LeaseLost(lease) => {
                if let Some(suppressed) = self.lost.pass(now) {
                    warn!(
                        "cluster: etcd has lost lease {lease:016x}: what was under it is written \
                         again{suppressed}"
                    );
                }
            }
            _ => {}
        }
    }

    /// Tells now and then what is counted.
    pub(super) fn tell(&mut self, counts: &Counts, now: Moment) {
        let moved = counts.takeovers + counts.yields;
        if moved > self.moved_told && self.moves.pass(now).is_some() {
            let count = moved - self.moved_told;
            self.moved_told = moved;
            info!("cluster: {count} registrations have moved from one node to another");
        }
        if counts.left_out > self.left_out_told
            && let Some(suppressed) = self.left_out.pass(now)
        {
            let count = counts.left_out - self.left_out_told;
            self.left_out_told = counts.left_out;
            warn!(
                "cluster: {count} registrations of other nodes were left out: there is no room within \
                 --max-services, or for their tags and metadata{suppressed}"
            );
        }
    }
}
