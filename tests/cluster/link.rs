//! What a client of etcd does, without the bytes: its reports come late, in pieces, or not at all.

use std::collections::VecDeque;
use std::net::SocketAddr;

use discovery_service::etcd::{Answer, Call, Cause, Report, Trouble};

use crate::etcd::Etcd;
use crate::rng::Rng;

/// Milliseconds after which a watch that hears nothing is noticed.
const DEAF_MS: u64 = 10_000;

pub struct Link {
    rng: Rng,
    phase: Phase,
    /// Whether nothing passes.
    pub is_cut: bool,
    cut_at: u64,
    /// The history that was told last.
    history: Option<u64>,
    /// The history that was reached, and may not be told yet.
    reached: u64,
    /// The revision from which the watch goes on; `None` before all was loaded.
    resume: Option<u64>,
    /// The revision behind what was put into `told`.
    next: u64,
    /// What is on its way, with the moment of its arrival.
    told: VecDeque<(u64, Report)>,
    call: Option<Pending>,
    /// Calls that were given up and are applied nevertheless.
    late: Vec<(u64, Call)>,
    leases: Vec<i64>,
    prolong_at: u64,
    /// Since when the watch hears nothing, while all else goes on.
    pub deaf_since: Option<u64>,
    /// Whether the next change is not told.
    pub loses_change: bool,
    /// Percent of the calls that are answered too late.
    pub late_percent: u64,
    /// Milliseconds after which a connection that is cut is noticed.
    pub noticed_ms: u64,
}

#[derive(PartialEq)]
enum Phase {
    Away(u64),
    /// All that is to be told first is on its way.
    Beginning,
    Watching,
}

struct Pending {
    call: Call,
    applied_at: u64,
    answer: Option<(u64, Answer)>,
    fails: bool,
}

impl Link {
    pub fn new(seed: u64) -> Self {
        Link {
            rng: Rng::new(seed),
            phase: Phase::Away(0),
            is_cut: false,
            cut_at: 0,
            history: None,
            reached: 0,
            resume: None,
            next: 0,
            told: VecDeque::new(),
            call: None,
            late: Vec::new(),
            leases: Vec::new(),
            prolong_at: 0,
            deaf_since: None,
            loses_change: false,
            late_percent: 0,
            noticed_ms: 6_000,
        }
    }

    pub fn cut(&mut self, now: u64) {
        (self.is_cut, self.cut_at) = (true, now);
    }

    /// Whether a call may be made.
    pub fn takes_calls(&self) -> bool {
        self.call.is_none()
    }

    pub fn call(&mut self, call: Call, now: u64) {
        let fails = self.rng.chance(self.late_percent);
        self.call = Some(Pending {
            call,
            applied_at: now + self.rng.below(30),
            answer: None,
            fails,
        });
    }

    pub fn keep(&mut self, lease: i64) {
        self.leases.push(lease);
    }

    pub fn let_go(&mut self, lease: i64) {
        self.leases.retain(|&other| other != lease);
    }

    /// The reports that arrive now.
    pub fn turn(&mut self, etcd: &mut Etcd, name: &[u8], now: u64) -> Vec<Report> {
        let mut reports = Vec::new();
        self.apply_late(etcd, now);
        if !self.is_cut && etcd.is_up {
            self.prolong(etcd, now, &mut reports);
        }
        match self.phase {
            Phase::Away(until) if until <= now && !self.is_cut && etcd.is_up => {
                self.begin(etcd, name, now);
            }
            Phase::Away(_) => return reports,
            _ => {}
        }
        let is_silent = self.is_cut && now >= self.cut_at + self.noticed_ms;
        if !etcd.is_up || is_silent || self.reached != etcd.history {
            self.fail(now, &mut reports);
            return reports;
        }
        if self.deaf_since.is_some_and(|since| now >= since + DEAF_MS) {
            self.deaf_since = None;
            self.fail(now, &mut reports);
            return reports;
        }
        if self.deaf_since.is_none() {
            if !self.is_cut {
                self.watch(etcd, now);
            }
            self.tell(now, &mut reports);
        }
        self.serve_call(etcd, now, &mut reports);
        reports
    }

    fn apply_late(&mut self, etcd: &mut Etcd, now: u64) {
        let (due, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now && etcd.is_up);
        self.late = later;
        let due: Vec<(u64, Call)> = due;
        for (_, call) in due {
            etcd.call(&call, now);
        }
    }

    fn prolong(&mut self, etcd: &mut Etcd, now: u64, reports: &mut Vec<Report>) {
        if now < self.prolong_at {
            return;
        }
        self.prolong_at = now + 1_500;
        let (kept, lost) = std::mem::take(&mut self.leases)
            .into_iter()
            .partition(|&lease| etcd.prolong(lease, now));
        self.leases = kept;
        let lost: Vec<i64> = lost;
        reports.extend(lost.into_iter().map(Report::LeaseLost));
    }

    fn begin(&mut self, etcd: &Etcd, name: &[u8], now: u64) {
        let mut reports = vec![Report::Reached {
            member: member(),
            version: "3.5.0".to_owned(),
            revision: etcd.revision,
            checked: etcd.keys.get(name).cloned(),
        }];
        if self.history.is_some_and(|seen| seen != etcd.history) {
            reports.push(Report::OtherHistory);
            self.resume = None;
        }
        self.reached = etcd.history;
        self.go_on(etcd, reports, now);
    }

    /// Goes on behind what was seen, or loads all.
    fn go_on(&mut self, etcd: &Etcd, mut reports: Vec<Report>, now: u64) {
        self.resume = self.resume.filter(|&next| etcd.since(next).is_some());
        self.next = match self.resume {
            Some(revision) => revision,
            None => {
                reports.push(Report::LoadBegins);
                reports.extend(etcd.keys.values().cloned().map(Report::Loaded));
                reports.push(Report::LoadEnds(etcd.revision));
                etcd.revision + 1
            }
        };
        reports.push(Report::Watching);
        self.send(reports, now);
        self.phase = Phase::Beginning;
    }

    fn watch(&mut self, etcd: &Etcd, now: u64) {
        if self.rng.chance(60) || self.next > etcd.revision {
            return;
        }
        let Some(lines) = etcd.since(self.next) else {
            // It was compacted behind what is on its way.
            return self.go_on(etcd, Vec::new(), now);
        };
        let mut reports: Vec<Report> = Vec::new();
        for (revision, events) in lines {
            reports.extend(events.iter().cloned().map(Report::Changed));
            // Several revisions may share a line.
            if *revision == etcd.revision || self.rng.chance(70) {
                reports.push(Report::LineEnds(*revision));
            }
        }
        self.next = etcd.revision + 1;
        self.send(reports, now);
    }

    fn send(&mut self, reports: Vec<Report>, now: u64) {
        let before = self.told.back().map_or(0, |told| told.0);
        let mut at = before.max(now + self.rng.below(40));
        for report in reports {
            if self.rng.chance(5) {
                at += self.rng.below(20);
            }
            self.told.push_back((at, report));
        }
    }

    fn tell(&mut self, now: u64, reports: &mut Vec<Report>) {
        while self.told.front().is_some_and(|told| told.0 <= now) {
            let Some((_, report)) = self.told.pop_front() else {
                return;
            };
            if self.loses_change && matches!(report, Report::Changed(_)) {
                self.loses_change = false;
                continue;
            }
            match &report {
                Report::Reached { .. } => self.history = Some(self.reached),
                Report::Watching => self.phase = Phase::Watching,
                Report::LineEnds(revision) | Report::LoadEnds(revision) => {
                    self.resume = Some(revision + 1);
                }
                _ => {}
            }
            reports.push(report);
        }
    }

    fn serve_call(&mut self, etcd: &mut Etcd, now: u64, reports: &mut Vec<Report>) {
        if self.phase != Phase::Watching || self.is_cut {
            return;
        }
        let Some(pending) = &mut self.call else {
            return;
        };
        if pending.answer.is_none() && pending.applied_at <= now {
            if pending.fails {
                return self.fail(now, reports);
            }
            let answer = etcd.call(&pending.call, now);
            pending.answer = Some((now + self.rng.below(30), answer));
        }
        if let Some((_, answer)) = pending.answer.take_if(|(at, _)| *at <= now) {
            let expected = match &pending.call {
                Call::Count(count) => Some(count.expected),
                _ => None,
            };
            self.call = None;
            let is_amiss = matches!(answer, Answer::Counted(count) if expected != Some(count));
            reports.push(Report::Answered(answer));
            if is_amiss {
                self.told.clear();
                self.resume = None;
                self.go_on(etcd, Vec::new(), now);
            }
        }
    }

    fn fail(&mut self, now: u64, reports: &mut Vec<Report>) {
        if let Some(pending) = self.call.take() {
            // It is applied now, later, or never.
            if pending.answer.is_none() && self.rng.chance(60) {
                self.late.push((now + self.rng.below(3_000), pending.call));
            }
            reports.push(Report::Answered(Answer::Unknown));
        }
        self.told.clear();
        self.phase = Phase::Away(now + self.rng.below(1_000));
        reports.push(Report::Away(Trouble {
            member: member(),
            cause: Cause::Ended,
        }));
    }
}

fn member() -> SocketAddr {
    ([127, 0, 0, 1], 2379).into()
}
